
3
x0Placeholder*
dtype0*
shape
:
v
ConstConst*
dtype0*Y
valuePBN"@”Œ,=‰&?¶·z?üÌå<Öêj¿n	2?¤!X>GZ¼=¤´t?¨:?¢¾š>di6?²N¿Êa>%Å¿>n¯]?

AddAddConstx0*
T0
"
IdentityIdentityAdd*
T0"í