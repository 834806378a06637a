
;
x0Placeholder*
dtype0*
shape:
+
IdentityIdentitySpaceToDepth*
T0
R
SpaceToDepthSpaceToDepthx0*
T0*

block_size*
data_formatNHWC"í