// Slots and steps are numbered apart.
#include "base/ids.h"

treville::StepId step(treville::SlotId slot) { return slot; }
