// Keys are not printed.
#include <iostream>

#include "crypto/prg.h"

void show(const treville::Key& key) { std::cout << key; }
