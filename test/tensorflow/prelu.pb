
7
x0Placeholder*
dtype0*
shape:
>
ConstConst*
dtype0*!
valueB"U¥K> ’´>ÆvX>
"
IdentityIdentitysub*
T0

NegNegx0*
T0

ReluRelux0*
T0

Relu_1ReluNeg*
T0
"
mulMulConstRelu_1*
T0

subSubRelumul*
T0"í