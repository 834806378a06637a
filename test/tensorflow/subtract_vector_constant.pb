
3
x0Placeholder*
dtype0*
shape
:
6
ConstConst*
dtype0*
valueB*ê( >

SubSubx0Const*
T0
"
IdentityIdentitySub*
T0"í