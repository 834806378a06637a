
7
x0Placeholder*
dtype0*
shape:
\
p_re_lu/ReadVariableOp/resourceConst*
dtype0*%
valueB"Z¥6>ò“ó>À5 >
1
IdentityIdentityp_re_lu/add^NoOp*
T0
%
NoOpNoOp^p_re_lu/ReadVariableOp
3
p_re_lu/NegNegp_re_lu/ReadVariableOp*
T0
!
p_re_lu/Neg_1Negx0*
T0
L
p_re_lu/ReadVariableOpIdentityp_re_lu/ReadVariableOp/resource*
T0
!
p_re_lu/ReluRelux0*
T0
.
p_re_lu/Relu_1Relup_re_lu/Neg_1*
T0
8
p_re_lu/addAddV2p_re_lu/Relup_re_lu/mul*
T0
8
p_re_lu/mulMulp_re_lu/Negp_re_lu/Relu_1*
T0"í