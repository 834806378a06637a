
7
x0Placeholder*
dtype0*
shape:
&
IdentityIdentityunstack*
T0
*

Identity_1Identity	unstack:1*
T0
*

Identity_2Identity	unstack:2*
T0
5
unstackUnpackx0*
T0*

axis*	
num"í