// Shares cannot be compared: equality of secrets is a protocol, not an operator.
#include "mpc/value.h"

bool same(const treville::Shared& a, const treville::Shared& b) { return a == b; }
