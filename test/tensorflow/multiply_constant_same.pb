
3
x0Placeholder*
dtype0*
shape
:
v
ConstConst*
dtype0*Y
valuePBN"@w¹`?©i?¦[À¾¸%>¿ŸaR¿cÓ'¿½Ó7¿6Ü,>çXÉ>uJ>Ì©5?™²¶>ÏE¾”¥¿ßh„¾M·™>
"
IdentityIdentityMul*
T0

MulMulConstx0*
T0"í