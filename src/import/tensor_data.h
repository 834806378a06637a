// tensor_data turns the bytes and lists of a model file's tensors into Constants. Element counts come from an untrusted
// file: they are multiplied with overflow checks and compared with the data that is present before anything is
// allocated.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "tensor/float_tensor.h"

namespace treville::import {

// ElementType is what a stored tensor holds; each importer maps its format's numbers onto it.
enum class ElementType : uint8_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBfloat16,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kBool,
};

inline bool is_float(ElementType type) { return type <= ElementType::kBfloat16; }
int64_t bytes_of(ElementType type);

// checked_elements is the product of dims; throws UserError beginning with `where` when a dimension is negative or the
// product does not fit.
int64_t checked_elements(const std::vector<int64_t>& dims, const std::string& where);

float half_to_float(uint16_t bits);
float bfloat16_to_float(uint16_t bits);

// constant_from_bytes reads little-endian elements; `bytes` must hold exactly the declared elements.
Constant constant_from_bytes(ElementType type, const std::vector<int64_t>& dims, std::string_view bytes,
                             const std::string& where);

// all_finite is false when a float tensor holds NaN or an infinity.
bool all_finite(const Constant& constant);

// FillBudget bounds what a small file may ask to be repeated: all fills of one model together.
class FillBudget {
 public:
  void spend(int64_t elements, const std::string& where);

 private:
  int64_t left_ = int64_t{1} << 27;
};

// constant_from_values converts a list of stored values. Fewer values than elements: the last one is repeated when
// `fills` is given (TensorFlow's rule; no values at all means zeros), else it is an error.
template <class Values>
Constant constant_from_values(ElementType type, const std::vector<int64_t>& dims, const Values& values,
                              FillBudget* fills, const std::string& where) {
  const int64_t elements = checked_elements(dims, where);
  const auto present = static_cast<int64_t>(values.size());
  if (present < elements && fills != nullptr) {
    fills->spend(elements - present, where);
  } else if (present != elements) {
    throw UserError("{}: expected {} elements of shape {}, found {}. The file is damaged.", where, elements,
                    to_string(Shape(dims)), present);
  }
  const auto to_float = [&](auto stored) {
    if (type == ElementType::kFloat16) return half_to_float(static_cast<uint16_t>(stored));
    if (type == ElementType::kBfloat16) return bfloat16_to_float(static_cast<uint16_t>(stored));
    return static_cast<float>(stored);
  };
  if (is_float(type)) {
    std::vector<float> result;
    result.reserve(static_cast<size_t>(elements));
    for (auto value : values) result.push_back(to_float(value));
    result.resize(static_cast<size_t>(elements), result.empty() ? 0.0F : result.back());
    return FloatTensor(Shape(dims), std::move(result));
  }
  std::vector<int64_t> result;
  result.reserve(static_cast<size_t>(elements));
  for (auto value : values) {
    using Stored = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Stored, uint64_t>) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        throw UserError("{}: an unsigned 64-bit element does not fit a signed one", where);
      }
    }
    result.push_back(static_cast<int64_t>(value));
  }
  result.resize(static_cast<size_t>(elements), result.empty() ? 0 : result.back());
  return IntTensor(Shape(dims), std::move(result));
}

}  // namespace treville::import
