
3
x0Placeholder*
dtype0*
shape
:
#
IdentityIdentityRank*
T0

RankRankx0*
T0"í