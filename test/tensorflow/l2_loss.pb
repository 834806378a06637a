
3
x0Placeholder*
dtype0*
shape
:
%
IdentityIdentityL2Loss*
T0

L2LossL2Lossx0*
T0"í