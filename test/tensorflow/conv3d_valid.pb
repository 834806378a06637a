
?
x0Placeholder*
dtype0*
shape:
‚
ConstConst*
dtype0*e
value\BZ"@2¿ëKË¾Ù½ª¾&F[¾\“È¾¿­å…¼œþE?Õ\?x¼>Æ»¾¿ÅU?Ðg¿¬õ4¿‘C«¾˜º-?
~
Conv3DConv3Dx0Const*
T0*
data_formatNDHWC*
	dilations	
*
paddingVALID*
strides	

%
IdentityIdentityConv3D*
T0"í