
3
x0Placeholder*
dtype0*
shape
:
3
x1Placeholder*
dtype0*
shape
:
%
IdentityIdentityMatMul*
T0
G
MatMulMatMulx0x1*
T0*
transpose_a(*
transpose_b("í