
3
x0Placeholder*
dtype0*
shape
:
,
IdentityIdentityeinsum/Einsum*
T0
B
einsum/EinsumEinsumx0*
N*
T0*
equationij->j"í