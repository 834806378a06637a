
/
x0Placeholder*
dtype0*
shape:
F
ConstConst*
dtype0*)
value B"×dY¾n)>K3?îˆ?¾
"
IdentityIdentityMul*
T0

MulMulConstx0*
T0"í