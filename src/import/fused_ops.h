// fused_ops writes the fused operations of optimised graphs (TensorFlow.js converters and Grappler make them) out as
// the operations they stand for, so that the table of operations knows only those.
#pragma once

#include "tf_format.pb.h"

namespace treville::import {

// expand_fused_ops replaces _FusedConv2D, FusedDepthwiseConv2dNative, _FusedDepthwiseConv2dNative and _FusedMatMul by
// the product and what follows it. The last node keeps the fused node's name. A node whose list of operations is not
// understood is left as it is.
void expand_fused_ops(tf_format::GraphDef& graph);

}  // namespace treville::import
