// A party is not a number; index_of gives its index.
#include "base/ids.h"

int number(treville::PartyId party) { return party; }
