
?
x0Placeholder*
dtype0*
shape:
†
ConstConst*
dtype0*è
valueŞBÛ"ÀM}1?wM*½ÎlÃ¾9.C?üŠ¾RÁ´<:Òo¿Åº>ı k?ì_Š¾LdÛ>y2->™lR?cuª¾˜ø?(¨w?|±¿QÕ¾9Y?«a‚>ÙÆĞ>áÇM¿äÀŸ¾ş*]¾zc¿Boª>­Y¾h„4?Óy>vîP¿`Œf¿ü˜º>•ê¿bÖ>?b¹A>k¿¸ó=3!ù¾_dQ¿1X?¿š)t?Ç“=S>N¦¿WÄ“¾+Õ¾±\4?ì³ê¼
}
Conv3DConv3Dx0Const*
T0*
data_formatNDHWC*
	dilations	
*
paddingSAME*
strides	

%
IdentityIdentityConv3D*
T0"í