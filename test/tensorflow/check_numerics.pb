
3
x0Placeholder*
dtype0*
shape
:
=
CheckNumericsCheckNumericsx0*
T0*
messagebad
3
IdentityIdentityCheckNumerics^NoOp*
T0

NoOpNoOp^CheckNumerics"í