#include "import/tensor_data.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace treville::import {
namespace {

static_assert(std::endian::native == std::endian::little, "model files are little-endian");

// Elements<T> views bytes as unaligned elements of T.
template <class T>
class Elements {
 public:
  explicit Elements(std::string_view bytes) : bytes_(bytes) {}
  size_t size() const { return bytes_.size() / sizeof(T); }

  class Iterator {
   public:
    explicit Iterator(const char* at) : at_(at) {}
    T operator*() const {
      T value;
      std::memcpy(&value, at_, sizeof(T));
      return value;
    }
    Iterator& operator++() {
      at_ += sizeof(T);
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const char* at_;
  };
  Iterator begin() const { return Iterator(bytes_.data()); }
  Iterator end() const { return Iterator(bytes_.data() + size() * sizeof(T)); }

 private:
  std::string_view bytes_;
};

}  // namespace

int64_t bytes_of(ElementType type) {
  switch (type) {
    case ElementType::kFloat64:
    case ElementType::kInt64:
    case ElementType::kUint64:
      return 8;
    case ElementType::kFloat32:
    case ElementType::kInt32:
    case ElementType::kUint32:
      return 4;
    case ElementType::kFloat16:
    case ElementType::kBfloat16:
    case ElementType::kInt16:
    case ElementType::kUint16:
      return 2;
    case ElementType::kInt8:
    case ElementType::kUint8:
    case ElementType::kBool:
      return 1;
  }
  CHECK(false, "element type {}", static_cast<int>(type));
  return 0;
}

int64_t checked_elements(const std::vector<int64_t>& dims, const std::string& where) {
  int64_t count = 1;
  for (int64_t dim : dims) {
    if (dim < 0) throw UserError("{}: dimension {} of a stored tensor is negative. The file is damaged.", where, dim);
    if (__builtin_mul_overflow(count, dim, &count)) {
      throw UserError("{}: a tensor of shape {} has too many elements", where, to_string(Shape(dims)));
    }
  }
  return count;
}

float half_to_float(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const float sign = (bits >> 15) != 0 ? -1.0F : 1.0F;
  if (exponent == 31) {
    return fraction != 0 ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
}

float bfloat16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

Constant constant_from_bytes(ElementType type, const std::vector<int64_t>& dims, std::string_view bytes,
                             const std::string& where) {
  const int64_t elements = checked_elements(dims, where);
  const int64_t width = bytes_of(type);
  int64_t expected = 0;
  if (__builtin_mul_overflow(elements, width, &expected) || expected != static_cast<int64_t>(bytes.size())) {
    throw UserError("{}: expected {} elements of {} bytes for shape {}, found {} bytes. The file is damaged.", where,
                    elements, width, to_string(Shape(dims)), bytes.size());
  }
  const auto read = [&]<class T>(T) { return constant_from_values(type, dims, Elements<T>(bytes), nullptr, where); };
  switch (type) {
    case ElementType::kFloat32:
      return read(float{});
    case ElementType::kFloat64:
      return read(double{});
    case ElementType::kFloat16:
    case ElementType::kBfloat16:
    case ElementType::kUint16:
      return read(uint16_t{});
    case ElementType::kInt8:
      return read(int8_t{});
    case ElementType::kInt16:
      return read(int16_t{});
    case ElementType::kInt32:
      return read(int32_t{});
    case ElementType::kInt64:
      return read(int64_t{});
    case ElementType::kUint8:
    case ElementType::kBool:
      return read(uint8_t{});
    case ElementType::kUint32:
      return read(uint32_t{});
    case ElementType::kUint64:
      return read(uint64_t{});
  }
  CHECK(false, "element type {}", static_cast<int>(type));
  return {};
}

bool all_finite(const Constant& constant) {
  const auto* tensor = std::get_if<FloatTensor>(&constant);
  return tensor == nullptr ||
         std::all_of(tensor->values.begin(), tensor->values.end(), [](float value) { return std::isfinite(value); });
}

void FillBudget::spend(int64_t elements, const std::string& where) {
  if (elements > left_) {
    throw UserError(
        "{}: the file repeats one value for {} elements; all repeated values of a model may have 2^27 together", where,
        elements);
  }
  left_ -= elements;
}

}  // namespace treville::import
