// NumPy's formats: .npy (versions 1 to 3), what inputs, calibration data and outputs are exchanged in, and .npz,
// several arrays by name in one file.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tensor/float_tensor.h"

namespace treville {

// read_npy reads a dense C- or Fortran-ordered array of float16/32/64, bool or integers as float32. The file must hold
// exactly what its header says; anything else is a UserError naming the file and what was expected.
FloatTensor read_npy(const std::filesystem::path& path);
// write_npy writes float32 in C order, atomically (a temporary file is renamed).
void write_npy(const std::filesystem::path& path, const FloatTensor& tensor);

using NamedTensors = std::map<std::string, FloatTensor>;

// read_npz reads all arrays of an archive, compressed or not, of at most 16 GB together; each as read_npy does.
NamedTensors read_npz(const std::filesystem::path& path);
// write_npz writes as numpy.savez does (uncompressed), atomically.
void write_npz(const std::filesystem::path& path, const NamedTensors& arrays);

}  // namespace treville
