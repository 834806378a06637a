
7
x0Placeholder*
dtype0*
shape:
D
Reshape/shapeConst*
dtype0*
valueB:
ÿÿÿÿÿÿÿÿÿ
&
IdentityIdentityReshape*
T0
<
ReshapeReshapex0Reshape/shape*
Tshape0*
T0"í