
3
x0Placeholder*
dtype0*
shape
:
$
IdentityIdentityRound*
T0

RoundRoundx0*
T0"í