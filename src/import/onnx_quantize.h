// Quantised ONNX models. Integers that a model made of floats are never computed with: the graph has the floats
// themselves, and the ranges of the integers as declared ranges.
#pragma once

#include "import/onnx.h"

namespace treville::import {

void import_quantize_linear(OnnxNode& node);
void import_dequantize_linear(OnnxNode& node);

// dequantised gives what the integers in input i stand for, whose scale and zero point are the two inputs behind it.
ValueId dequantised(OnnxNode& node, size_t i);
// finish_quantised makes the node's result the integers for `real`, whose scale and zero point are inputs `scale` and
// the one behind it.
void finish_quantised(OnnxNode& node, ValueId real, size_t scale);

}  // namespace treville::import
