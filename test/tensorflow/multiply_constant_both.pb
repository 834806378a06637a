
7
x0Placeholder*
dtype0*
shape:
V
ConstConst*
dtype0*9
value0B."lDC?Îû¿Â×=¨SO?—'>×—>
"
IdentityIdentityMul*
T0

MulMulConstx0*
T0"í