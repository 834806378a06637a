// A count of bits and a bare number do not mix.
#include "base/ids.h"

treville::Bits wider(treville::Bits bits) { return bits + 1; }
