
7
x0Placeholder*
dtype0*
shape:
>
unstackUnpackx0*
T0*
axisÿÿÿÿÿÿÿÿÿ*	
num
(
IdentityIdentity	unstack:1*
T0"í