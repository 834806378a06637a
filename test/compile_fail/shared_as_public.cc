// The one way from Shared to Public is reveal.
#include "mpc/value.h"

treville::Public open(treville::Shared x) { return x; }
