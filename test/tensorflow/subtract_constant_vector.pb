
/
x0Placeholder*
dtype0*
shape:
F
ConstConst*
dtype0*)
value B"¸¬õ>~U|¿!?¯ä<
"
IdentityIdentitySub*
T0

SubSubConstx0*
T0"í