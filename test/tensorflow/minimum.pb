
3
x0Placeholder*
dtype0*
shape
:
3
x1Placeholder*
dtype0*
shape
:
&
IdentityIdentityMinimum*
T0
#
MinimumMinimumx0x1*
T0"í