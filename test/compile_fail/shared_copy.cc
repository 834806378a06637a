// A share is copied by clone() alone, where a reader sees what it costs.
#include "mpc/value.h"

treville::Shared twice(const treville::Shared& x) {
  treville::Shared copy = x;
  return copy;
}
