
3
x0Placeholder*
dtype0*
shape
:
F
ConstConst*
dtype0*)
value B"‰M^¾‡º½ÿÿ=¿ ï¦>¯…>
"
IdentityIdentitymul*
T0

SoftmaxSoftmaxx0*
T0
#
mulMulSoftmaxConst*
T0"í