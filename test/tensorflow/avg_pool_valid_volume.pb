
?
x0Placeholder*
dtype0*
shape:
y
	AvgPool3D	AvgPool3Dx0*
T0*
data_formatNDHWC*
ksize	
*
paddingVALID*
strides	

(
IdentityIdentity	AvgPool3D*
T0"í