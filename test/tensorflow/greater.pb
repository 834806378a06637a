
3
x0Placeholder*
dtype0*
shape
:
3
x1Placeholder*
dtype0*
shape
:
#
GreaterGreaterx0x1*
T0
&
IdentityIdentityGreater*
T0
"í