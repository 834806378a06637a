
3
x0Placeholder*
dtype0*
shape
:
v
ConstConst*
dtype0*Y
valuePBN"@ƒ|=ü‹A?2M@¿¾#?®>¤<¿>zÞ>ë#?Ôž†¾Ö–ƒ¾½Zy=%ç¾zn\¿µt¡>ãº‘>Ÿ}k¾
"
IdentityIdentityMul*
T0

MulMulx0Const*
T0"í