
3
x0Placeholder*
dtype0*
shape
:
6
ConstConst*
dtype0*
valueB*_8e?
 
AddAddV2x0Const*
T0
"
IdentityIdentityAdd*
T0"í