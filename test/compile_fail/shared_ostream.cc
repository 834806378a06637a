// Secrets are not printed.
#include <iostream>

#include "mpc/value.h"

void show(const treville::Shared& x) { std::cout << x; }
