
3
x0Placeholder*
dtype0*
shape
:
/
x1Placeholder*
dtype0*
shape:
&
IdentityIdentityMaximum*
T0
#
MaximumMaximumx0x1*
T0"í