
3
x0Placeholder*
dtype0*
shape
:
B
einsum/EinsumEinsumx0*
N*
T0*
equationij->j
,
IdentityIdentityeinsum/Einsum*
T0"í