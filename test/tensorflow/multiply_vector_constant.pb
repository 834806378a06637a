
3
x0Placeholder*
dtype0*
shape
:
6
ConstConst*
dtype0*
valueB*ıÃ=
"
IdentityIdentityMul*
T0

MulMulx0Const*
T0"í