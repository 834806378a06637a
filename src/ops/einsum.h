// The equation of an Einsum: which label each axis of an operand has. The pass expand_einsum turns it into a product.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tensor/shape.h"

namespace treville::ops {

// Equation has one character for each axis of each operand and of the result; the axes of an ellipsis have labels of
// their own, aligned from the right.
struct Equation {
  std::vector<std::string> operands;
  std::string result;
};

// parse_equation reads "ij,jk->ik" for operands of the given shapes; `fail` is told what is wrong and does not return.
Equation parse_equation(const std::string& text, const std::vector<Shape>& shapes,
                        const std::function<void(const std::string&)>& fail);

}  // namespace treville::ops
