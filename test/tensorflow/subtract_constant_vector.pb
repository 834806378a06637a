
/
x0Placeholder*
dtype0*
shape:
F
ConstConst*
dtype0*)
value B"¸¬õ>~U|¿!?¯ä<

SubSubConstx0*
T0
"
IdentityIdentitySub*
T0"í