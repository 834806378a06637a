
3
x0Placeholder*
dtype0*
shape
:
#
IdentityIdentityTanh*
T0

TanhTanhx0*
T0"í