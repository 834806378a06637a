
3
x0Placeholder*
dtype0*
shape
:
"
IdentityIdentityLog*
T0

LogLogx0*
T0"í