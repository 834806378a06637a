
3
x0Placeholder*
dtype0*
shape
:
N
ConstConst*
dtype0*1
value(B&"î@"¾ˆ¼za?×‘<ó²¾
?
&
IdentityIdentityMinimum*
T0
&
MinimumMinimumConstx0*
T0"í