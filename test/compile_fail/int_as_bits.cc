// What a bare number counts must be said: relu(x, 12, 20) does not compile.
#include "mpc/protocol.h"

using namespace treville;

Shared activate(Protocol& pass, Shared x) { return pass.relu(std::move(x), 12, 20); }
