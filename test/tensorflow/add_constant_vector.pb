
/
x0Placeholder*
dtype0*
shape:
F
ConstConst*
dtype0*)
value B"¤e¯>$‘:¿Š¿™Î˜>

AddAddConstx0*
T0
"
IdentityIdentityAdd*
T0"í