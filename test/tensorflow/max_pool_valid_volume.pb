
?
x0Placeholder*
dtype0*
shape:
y
	MaxPool3D	MaxPool3Dx0*
T0*
data_formatNDHWC*
ksize	
*
paddingVALID*
strides	

(
IdentityIdentity	MaxPool3D*
T0"í