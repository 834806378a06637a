
3
x0Placeholder*
dtype0*
shape
:
:
bConst*
dtype0*!
valueB"ŠL>.Ò@'ò@
N
BiasAddBiasAddx0BiasAdd/ReadVariableOp*
T0*
data_formatNHWC
.
BiasAdd/ReadVariableOpIdentityb*
T0
#
out_0IdentityBiasAdd*
T0"í