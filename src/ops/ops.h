// The definitions that make up the table of operations, each in the file of its family. ops.cc lists them.
#pragma once

#include "ops/op.h"

namespace treville::ops {

extern const OpDef kConv;                                           // conv.cc
extern const OpDef kConvTranspose;                                  // conv_transpose.cc
extern const OpDef kEinsum;                                         // einsum.cc
extern const OpDef kMatMul;                                         // matmul.cc
extern const OpDef kAdd, kSub, kMul, kDiv, kMod;                    // arithmetic.cc
extern const OpDef kNeg, kAbs, kSign, kFloor, kCeil, kRound;        // unary.cc
extern const OpDef kSigmoid, kTanh, kExp, kLog, kErf, kSoftplus;    // smooth.cc
extern const OpDef kSoftsign, kElu, kSelu, kSwish, kGelu, kMish;    // smooth.cc
extern const OpDef kSqrt, kRsqrt, kReciprocal, kPow, kSquare;       // smooth.cc
extern const OpDef kHardSigmoid, kHardSwish, kSin, kCos, kTan;      // smooth.cc
extern const OpDef kAsin, kAcos, kAtan, kSinh, kCosh;               // smooth.cc
extern const OpDef kAsinh, kAcosh, kAtanh;                          // smooth.cc
extern const OpDef kEqual, kLess, kLessEqual, kGreater;             // compare.cc
extern const OpDef kGreaterEqual, kNot, kAnd, kOr, kXor;            // compare.cc
extern const OpDef kWhere, kMax, kMin, kPRelu;                      // compare.cc
extern const OpDef kInstanceNorm, kGroupNorm, kLayerNorm;           // normalize.cc
extern const OpDef kLrn, kL2Normalize;                              // normalize.cc
extern const OpDef kLstm, kGru, kRnn;                               // recurrent.cc
extern const OpDef kBatchNorm;                                      // batch_norm.cc
extern const OpDef kRelu, kClip, kLeakyRelu;                        // activation.cc
extern const OpDef kMaxPool, kAveragePool;                          // pool.cc
extern const OpDef kReduceMean, kReduceSum, kReduceProd;            // reduce.cc
extern const OpDef kReduceMax, kReduceMin;                          // reduce.cc
extern const OpDef kReduceL1, kReduceL2, kReduceSumSquare;          // reduce.cc
extern const OpDef kConcat, kStack;                                 // concat.cc
extern const OpDef kPad;                                            // pad.cc
extern const OpDef kReshape, kFlatten, kSqueeze, kUnsqueeze;        // reshape.cc
extern const OpDef kIdentity, kDropout;                             // reshape.cc
extern const OpDef kSlice, kStridedSlice, kPart, kReverse;          // slice.cc
extern const OpDef kGather;                                         // gather.cc
extern const OpDef kGatherElements, kGatherNd;                      // positions.cc
extern const OpDef kScatterElements, kScatterNd;                    // positions.cc
extern const OpDef kCumSum, kTrilu;                                 // triangles.cc
extern const OpDef kQuantizeLinear, kDequantizeLinear;              // quantize.cc
extern const OpDef kTranspose;                                      // transpose.cc
extern const OpDef kSoftmax, kLogSoftmax;                           // softmax.cc
extern const OpDef kArgMax, kArgMin;                                // arg_max.cc
extern const OpDef kTopK;                                           // top_k.cc
extern const OpDef kTile, kExpand;                                  // repeat.cc
extern const OpDef kResize;                                         // resize.cc
extern const OpDef kSpaceToDepth, kDepthToSpace;                    // blocks.cc
extern const OpDef kSpaceToBatch, kBatchToSpace;                    // blocks.cc
extern const OpDef kShape, kCast, kConstantOfShape, kRange, kFill;  // shapes.cc

}  // namespace treville::ops
