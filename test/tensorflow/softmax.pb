
3
x0Placeholder*
dtype0*
shape
:
&
IdentityIdentitySoftmax*
T0

SoftmaxSoftmaxx0*
T0"í