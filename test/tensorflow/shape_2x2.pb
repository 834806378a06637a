
3
x0Placeholder*
dtype0*
shape
:
$
IdentityIdentityShape*
T0
9
ShapeShapex0*
T0*
out_type0:íÏ"í