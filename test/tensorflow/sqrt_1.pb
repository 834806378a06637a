
/
x0Placeholder*
dtype0*
shape:
#
IdentityIdentitySqrt*
T0

SqrtSqrtx0*
T0"í