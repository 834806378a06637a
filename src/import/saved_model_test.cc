#include "import/saved_model.h"

#include <gtest/gtest.h>
