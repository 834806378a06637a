
3
x0Placeholder*
dtype0*
shape
:
H
norm/Sum/reduction_indicesConst*
dtype0*
valueB:
+
IdentityIdentitynorm/Squeeze*
T0
$
	norm/SqrtSqrtnorm/Sum*
T0
B
norm/SqueezeSqueeze	norm/Sqrt*
T0*
squeeze_dims

[
norm/SumSumnorm/mulnorm/Sum/reduction_indices*

Tidx0*
T0*
	keep_dims(
 
norm/mulMulx0x0*
T0"í