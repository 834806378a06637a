
3
x0Placeholder*
dtype0*
shape
:
3
x1Placeholder*
dtype0*
shape
:
&
IdentityIdentityReshape*
T0
4
ReshapeReshapex0Shape*
Tshape0*
T0
9
ShapeShapex1*
T0*
out_type0:íÏ"í