
;
x0Placeholder*
dtype0*
shape:
&
IdentityIdentitySqueeze*
T0
6
SqueezeSqueezex0*
T0*
squeeze_dims
"í