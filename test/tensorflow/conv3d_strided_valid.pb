
?
x0Placeholder*
dtype0*
shape:
Ü
ConstConst*
dtype0*Ë
valueﬁB€"¿Ÿ>ø|R>«õ"æ\]*?m0C>…‚=Û…∫æS=,øªÏgøUNQø¶bR?Ñ≈>Ù=≥ P?»~‹æÂA¯>U97øÜﬁøúØ‰>Å‚æVsø∂)ø*Ìæ1G¨<^t?A\	øS∆8?gf∫ΩÓîææ±+?‡?PæÁBjøù´d?9≠,ødW?ıÏBø¡≥”>”°ø√iøÕﬂOø9	*>@õ>ù◊ÎΩW+ææC”iøËO;>Ê¡æ‡Dè>
~
Conv3DConv3Dx0Const*
T0*
data_formatNDHWC*
	dilations	
*
paddingVALID*
strides	

%
IdentityIdentityConv3D*
T0"Ì