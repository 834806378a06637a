
3
x0Placeholder*
dtype0*
shape
:
f
ConstConst*
dtype0*I
value@B>"0º+Ï=Û‰ ¾l¾«ÝG?L7“>ï5>‹=Á>¿Wg?˜sÜ½0dK¿!¼>
%
IdentityIdentityMatMul*
T0
J
MatMulMatMulx0Const*
T0*
transpose_a(*
transpose_b("í