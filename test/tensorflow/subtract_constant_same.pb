
3
x0Placeholder*
dtype0*
shape
:
v
ConstConst*
dtype0*Y
valuePBN"@]¥%?äí¾l—	¾¬°f¿2I^>_Üc¾§À¿°¡_=p«9¿Z¿,¿…®¾þ(¿kJA¿ç´v?Åæ?l->
"
IdentityIdentitySub*
T0

SubSubConstx0*
T0"í