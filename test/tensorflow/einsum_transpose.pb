
7
x0Placeholder*
dtype0*
shape:
E
einsum/EinsumEinsumx0*
N*
T0*
equation
abc->cab
,
IdentityIdentityeinsum/Einsum*
T0"í