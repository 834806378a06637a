
3
x0Placeholder*
dtype0*
shape
:
(
IdentityIdentity	ZerosLike*
T0
#
	ZerosLike	ZerosLikex0*
T0"í