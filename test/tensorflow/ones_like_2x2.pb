
3
x0Placeholder*
dtype0*
shape
:
'
IdentityIdentityOnesLike*
T0
!
OnesLikeOnesLikex0*
T0"í