// NumPy's .npy format, versions 1 to 3: what inputs, calibration data and outputs are exchanged in.
#pragma once

#include <filesystem>

#include "tensor/float_tensor.h"

namespace treville {

// read_npy reads a dense C- or Fortran-ordered array of float16/32/64, bool or integers as float32. The file must hold
// exactly what its header says; anything else is a UserError naming the file and what was expected.
FloatTensor read_npy(const std::filesystem::path& path);
// write_npy writes float32 in C order, atomically (a temporary file is renamed).
void write_npy(const std::filesystem::path& path, const FloatTensor& tensor);

}  // namespace treville
