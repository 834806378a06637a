
3
x0Placeholder*
dtype0*
shape
:
3
x1Placeholder*
dtype0*
shape
:
'
IdentityIdentityNotEqual*
T0

E
NotEqualNotEqualx0x1*
T0*
incompatible_shape_error("í