
;
x0Placeholder*
dtype0*
shape:
Z
ConstConst*
dtype0*=
value4B2" ¿`o¿5|3?†‡N¿äb¾ÌÞ#?·×½èÀü>|¿
"
IdentityIdentityMul*
T0

MulMulx0Const*
T0"í