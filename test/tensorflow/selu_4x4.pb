
3
x0Placeholder*
dtype0*
shape
:
#
IdentityIdentitySelu*
T0

SeluSelux0*
T0"í