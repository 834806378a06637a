
3
x0Placeholder*
dtype0*
shape
:
&
IdentityIdentitySigmoid*
T0

SigmoidSigmoidx0*
T0"í