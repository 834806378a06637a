
;
x0Placeholder*
dtype0*
shape:
Z
ConstConst*
dtype0*=
value4B2" j»Z¿{ò¾m¼?åëm>ñ‘>,¹=¨ŒU?ùú>
"
IdentityIdentitySub*
T0

SubSubx0Const*
T0"í