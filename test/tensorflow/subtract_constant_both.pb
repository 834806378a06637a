
7
x0Placeholder*
dtype0*
shape:
V
ConstConst*
dtype0*9
value0B.">‡J0>EdL>´×;ñ²©»ó”/?
"
IdentityIdentitySub*
T0

SubSubConstx0*
T0"í