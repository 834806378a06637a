
3
x0Placeholder*
dtype0*
shape
:
v
ConstConst*
dtype0*Y
valuePBN"@&Ã&>í{¾TÚV?%Ö=£ë/?áÛl?Ñ¦Ë>hl¿h†>f/«<º?]¿ÀÉù½½?r=‘¾8œ?4˜I?
"
IdentityIdentitySub*
T0

SubSubx0Const*
T0"í