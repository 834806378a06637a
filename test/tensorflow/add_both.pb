
;
x0Placeholder*
dtype0*
shape:
7
x1Placeholder*
dtype0*
shape:

AddAddx0x1*
T0
"
IdentityIdentityAdd*
T0"í