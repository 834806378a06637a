
7
x0Placeholder*
dtype0*
shape:
(
IdentityIdentity	unstack:1*
T0
>
unstackUnpackx0*
T0*
axisÿÿÿÿÿÿÿÿÿ*	
num"í