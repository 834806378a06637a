
7
x0Placeholder*
dtype0*
shape:
7
x1Placeholder*
dtype0*
shape:
,
IdentityIdentityeinsum/Einsum*
T0
M
einsum/EinsumEinsumx0x1*
N*
T0*
equationbqd,bkd->bqk"í