
3
x0Placeholder*
dtype0*
shape
:
6
ConstConst*
dtype0*
valueB*ê( >
"
IdentityIdentitySub*
T0

SubSubx0Const*
T0"í