// The definitions that make up the table of operations, each in the file of its family. ops.cc lists them.
#pragma once

#include "ops/op.h"

namespace treville::ops {

extern const OpDef kConv;                                           // conv.cc
extern const OpDef kConvTranspose;                                  // conv_transpose.cc
extern const OpDef kMatMul;                                         // matmul.cc
extern const OpDef kAdd, kSub, kMul, kDiv;                          // arithmetic.cc
extern const OpDef kNeg, kSqrt, kRsqrt;                             // unary.cc
extern const OpDef kBatchNorm;                                      // batch_norm.cc
extern const OpDef kRelu, kClip, kLeakyRelu;                        // activation.cc
extern const OpDef kMaxPool, kAveragePool;                          // pool.cc
extern const OpDef kReduceMean, kReduceSum, kReduceProd;            // reduce.cc
extern const OpDef kConcat, kStack;                                 // concat.cc
extern const OpDef kPad;                                            // pad.cc
extern const OpDef kReshape, kFlatten, kSqueeze, kUnsqueeze;        // reshape.cc
extern const OpDef kIdentity, kDropout;                             // reshape.cc
extern const OpDef kSlice, kStridedSlice, kPart, kReverse;          // slice.cc
extern const OpDef kGather;                                         // gather.cc
extern const OpDef kTranspose;                                      // transpose.cc
extern const OpDef kSoftmax;                                        // softmax.cc
extern const OpDef kArgMax, kArgMin;                                // arg_max.cc
extern const OpDef kTopK;                                           // top_k.cc
extern const OpDef kTile, kExpand;                                  // repeat.cc
extern const OpDef kResize;                                         // resize.cc
extern const OpDef kSpaceToDepth, kDepthToSpace;                    // blocks.cc
extern const OpDef kSpaceToBatch, kBatchToSpace;                    // blocks.cc
extern const OpDef kShape, kCast, kConstantOfShape, kRange, kFill;  // shapes.cc

}  // namespace treville::ops
