
/
x0Placeholder*
dtype0*
shape:
F
ConstConst*
dtype0*)
value B"Ä·l?¬*¾j‘M?yÛ½
 
AddAddV2Constx0*
T0
"
IdentityIdentityAdd*
T0"í