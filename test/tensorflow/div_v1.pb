
3
x0Placeholder*
dtype0*
shape
:
/
x1Placeholder*
dtype0*
shape:

DivDivx0x1*
T0
"
IdentityIdentityDiv*
T0"í