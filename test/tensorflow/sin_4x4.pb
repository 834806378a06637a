
3
x0Placeholder*
dtype0*
shape
:
"
IdentityIdentitySin*
T0

SinSinx0*
T0"í