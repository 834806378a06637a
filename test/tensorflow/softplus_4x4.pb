
3
x0Placeholder*
dtype0*
shape
:
'
IdentityIdentitySoftplus*
T0
!
SoftplusSoftplusx0*
T0"í