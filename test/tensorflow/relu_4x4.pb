
3
x0Placeholder*
dtype0*
shape
:
#
IdentityIdentityRelu*
T0

ReluRelux0*
T0"í