
3
x0Placeholder*
dtype0*
shape
:
%
IdentityIdentitySquare*
T0

SquareSquarex0*
T0"í