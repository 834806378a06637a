
/
x0Placeholder*
dtype0*
shape:
$
IdentityIdentityRsqrt*
T0

RsqrtRsqrtx0*
T0"í