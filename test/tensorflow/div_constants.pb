
3
x0Placeholder*
dtype0*
shape
:
>
ConstConst*
dtype0*!
valueB""}ё?тућ?mt9@
&
IdentityIdentitytruediv*
T0
&
truedivRealDivx0Const*
T0"н