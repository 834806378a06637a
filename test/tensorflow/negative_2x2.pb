
3
x0Placeholder*
dtype0*
shape
:
"
IdentityIdentityNeg*
T0

NegNegx0*
T0"í