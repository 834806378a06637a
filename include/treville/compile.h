// The compiler's public interface: a float graph in, a program and its private constants out.
#pragma once

#include "compile/compile.h"
