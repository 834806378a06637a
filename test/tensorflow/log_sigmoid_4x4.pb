
3
x0Placeholder*
dtype0*
shape
:
)
IdentityIdentity
LogSigmoid*
T0
/

LogSigmoidNegLogSigmoid/Softplus*
T0
"
LogSigmoid/NegNegx0*
T0
8
LogSigmoid/SoftplusSoftplusLogSigmoid/Neg*
T0"í