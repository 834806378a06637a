
3
x0Placeholder*
dtype0*
shape
:
#
IdentityIdentitySize*
T0
)
SizeSizex0*
T0*
out_type0"í