
3
x0Placeholder*
dtype0*
shape
:
'
IdentityIdentitySoftsign*
T0
!
SoftsignSoftsignx0*
T0"í