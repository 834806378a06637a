
3
x0Placeholder*
dtype0*
shape
:

InvInvx0*
T0

out_0IdentityInv*
T0"í