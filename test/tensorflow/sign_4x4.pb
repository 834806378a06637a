
3
x0Placeholder*
dtype0*
shape
:
#
IdentityIdentitySign*
T0

SignSignx0*
T0"í