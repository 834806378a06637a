
3
x0Placeholder*
dtype0*
shape
:
(
IdentityIdentity	LeakyRelu*
T0
3
	LeakyRelu	LeakyRelux0*
T0*
alpha%млL>"М