
3
x0Placeholder*
dtype0*
shape
:
v
ConstConst*
dtype0*Y
valuePBN"@2¿¦{\?9lK?rå,?§¨g¿üÝ]¿ß¢l=ø?x¿Å¼‚¾û?©BË¾õý{?—0‘¾èOé>”ø<?(ø¾
 
AddAddV2x0Const*
T0
"
IdentityIdentityAdd*
T0"í