// Shape is the extent of a dense tensor, outermost dimension first. Run-time tensors are NHWC.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace treville {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<int64_t> dims) : dims_(std::move(dims)) {}

  int rank() const { return static_cast<int>(dims_.size()); }
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  int64_t& operator[](int axis) { return dims_[static_cast<size_t>(axis)]; }
  const std::vector<int64_t>& dims() const { return dims_; }
  // elements is the product of the dimensions (1 for rank 0). Dimensions must be known (>= 0).
  int64_t elements() const;
  bool operator==(const Shape&) const = default;

 private:
  std::vector<int64_t> dims_;
};

// to_string prints [1,224,224,3].
std::string to_string(const Shape& shape);

}  // namespace treville
