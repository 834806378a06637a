
3
x0Placeholder*
dtype0*
shape
:
"
IdentityIdentitymul*
T0
!
SoftplusSoftplusx0*
T0

TanhTanhSoftplus*
T0

mulMulx0Tanh*
T0"í