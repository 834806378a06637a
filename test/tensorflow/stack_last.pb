
3
x0Placeholder*
dtype0*
shape
:
3
x1Placeholder*
dtype0*
shape
:
$
IdentityIdentitystack*
T0
<
stackPackx0x1*
N*
T0*
axisÿÿÿÿÿÿÿÿÿ"í