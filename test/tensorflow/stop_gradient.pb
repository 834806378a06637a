
3
x0Placeholder*
dtype0*
shape
:
+
IdentityIdentityStopGradient*
T0
)
StopGradientStopGradientx0*
T0"í