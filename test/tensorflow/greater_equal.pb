
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
-
GreaterEqualGreaterEqualx0x1*
T0
+
IdentityIdentityGreaterEqual*
T0
"í