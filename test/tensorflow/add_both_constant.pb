
;
x0Placeholder*
dtype0*
shape:
Z
ConstConst*
dtype0*=
value4B2" üñÄ>ù|v¿Œ$U¾G0>¿­A?¸ºV?ap¿ñ>

AddAddx0Const*
T0
"
IdentityIdentityAdd*
T0"í