
3
x0Placeholder*
dtype0*
shape
:
$
IdentityIdentityLog1p*
T0

Log1pLog1px0*
T0"í