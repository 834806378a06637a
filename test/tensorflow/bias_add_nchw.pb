
7
x0Placeholder*
dtype0*
shape:
>
ConstConst*
dtype0*!
valueB"§iÉ>E…?¼“C¿
=
BiasAddBiasAddx0Const*
T0*
data_formatNCHW
&
IdentityIdentityBiasAdd*
T0"í