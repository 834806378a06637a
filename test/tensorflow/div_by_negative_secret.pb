
3
x0Placeholder*
dtype0*
shape
:
N
ConstConst*
dtype0*1
value(B&"‡é	ΩPÁXø<ƒ“>8yæ>mæ˘Zoø
&
IdentityIdentitytruediv*
T0
&
truedivRealDivConstx0*
T0"Ì