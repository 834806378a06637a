
3
x0Placeholder*
dtype0*
shape
:
)
IdentityIdentity
Reciprocal*
T0
%

Reciprocal
Reciprocalx0*
T0"í