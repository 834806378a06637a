
3
x0Placeholder*
dtype0*
shape
:
#
IdentityIdentityRint*
T0

RintRintx0*
T0"í