
?
x0Placeholder*
dtype0*
shape:
Ç
ConstConst*
dtype0*e
value\BZ"@íN<§Ü)?QlsæÏKtøj(&ø.‡Ãæ?ˇPø/jøC£9>Éä‘æÛ%_?µa>í2áæçêzøœBΩπm?
}
Conv3DConv3Dx0Const*
T0*
data_formatNDHWC*
	dilations	
*
paddingSAME*
strides	

%
IdentityIdentityConv3D*
T0"Ì