// Shares have no order.
#include "mpc/value.h"

bool smaller(const treville::Shared& a, const treville::Shared& b) { return a < b; }
