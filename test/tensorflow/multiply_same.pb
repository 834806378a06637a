
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
"
IdentityIdentityMul*
T0

MulMulx0x1*
T0"í