
3
x0Placeholder*
dtype0*
shape
:
3
x1Placeholder*
dtype0*
shape
:
?
EqualEqualx0x1*
T0*
incompatible_shape_error(
$
IdentityIdentityEqual*
T0
"í