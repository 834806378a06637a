
;
x0Placeholder*
dtype0*
shape:
Z
ConstConst*
dtype0*=
value4B2" «ûè¾`Z?þX8?fx=¿éU¾—I¿V1™¾Cƒ˜¾
 
AddAddV2x0Const*
T0
"
IdentityIdentityAdd*
T0"í