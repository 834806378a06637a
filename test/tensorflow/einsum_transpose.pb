
7
x0Placeholder*
dtype0*
shape:
,
IdentityIdentityeinsum/Einsum*
T0
E
einsum/EinsumEinsumx0*
N*
T0*
equation
abc->cab"í