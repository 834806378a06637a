
3
x0Placeholder*
dtype0*
shape
:
6
ConstConst*
dtype0*
valueB*Z48?

AddAddx0Const*
T0
"
IdentityIdentityAdd*
T0"í