
7
x0Placeholder*
dtype0*
shape:
B
ConstConst*
dtype0*%
valueB"B':=w²¾ À¿—d>
=
BiasAddBiasAddx0Const*
T0*
data_formatNHWC
&
IdentityIdentityBiasAdd*
T0"í