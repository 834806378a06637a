// The table of operations.
#include "ops/ops.h"

#include <algorithm>
#include <iterator>

namespace treville {
namespace {

constexpr const OpDef* kTable[] = {
    &ops::kConv,
    &ops::kConvTranspose,
    &ops::kMatMul,
    &ops::kEinsum,
    &ops::kAdd,
    &ops::kSub,
    &ops::kMul,
    &ops::kDiv,
    &ops::kNeg,
    &ops::kSqrt,
    &ops::kRsqrt,
    &ops::kRelu,
    &ops::kClip,
    &ops::kLeakyRelu,
    &ops::kBatchNorm,
    &ops::kMaxPool,
    &ops::kConcat,
    &ops::kStack,
    &ops::kPad,
    &ops::kAveragePool,
    &ops::kReduceMean,
    &ops::kReduceSum,
    &ops::kReduceProd,
    &ops::kReshape,
    &ops::kFlatten,
    &ops::kSqueeze,
    &ops::kUnsqueeze,
    &ops::kIdentity,
    &ops::kDropout,
    &ops::kSlice,
    &ops::kGather,
    &ops::kSoftmax,
    &ops::kStridedSlice,
    &ops::kTranspose,
    &ops::kArgMax,
    &ops::kArgMin,
    &ops::kTopK,
    &ops::kTile,
    &ops::kExpand,
    &ops::kResize,
    &ops::kSpaceToDepth,
    &ops::kDepthToSpace,
    &ops::kSpaceToBatch,
    &ops::kBatchToSpace,
    &ops::kPart,
    &ops::kReverse,
    &ops::kShape,
    &ops::kCast,
    &ops::kRange,
    &ops::kFill,
    &ops::kConstantOfShape,
    &ops::kAbs,
    &ops::kSign,
    &ops::kFloor,
    &ops::kCeil,
    &ops::kRound,
    &ops::kSigmoid,
    &ops::kTanh,
    &ops::kExp,
    &ops::kLog,
    &ops::kErf,
    &ops::kSoftplus,
    &ops::kSoftsign,
    &ops::kElu,
    &ops::kSelu,
    &ops::kSwish,
    &ops::kGelu,
    &ops::kMish,
    &ops::kReciprocal,
    &ops::kPow,
    &ops::kSquare,
    &ops::kHardSigmoid,
    &ops::kHardSwish,
    &ops::kSin,
    &ops::kCos,
    &ops::kEqual,
    &ops::kLess,
    &ops::kLessEqual,
    &ops::kGreater,
    &ops::kGreaterEqual,
    &ops::kNot,
    &ops::kAnd,
    &ops::kOr,
    &ops::kXor,
    &ops::kWhere,
    &ops::kMax,
    &ops::kMin,
    &ops::kPRelu,
    &ops::kInstanceNorm,
    &ops::kGroupNorm,
    &ops::kLayerNorm,
    &ops::kLrn,
    &ops::kL2Normalize,
    &ops::kLstm,
    &ops::kGru,
    &ops::kRnn,
    &ops::kReduceMax,
    &ops::kReduceMin,
    &ops::kReduceL1,
    &ops::kReduceL2,
    &ops::kReduceSumSquare,
};

}  // namespace

const OpDef* find_op(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kTable), std::end(kTable), [&](const OpDef* op) { return op->name == name; });
  return found == std::end(kTable) ? nullptr : *found;
}

std::vector<std::string_view> op_names() {
  std::vector<std::string_view> names;
  for (const OpDef* op : kTable) names.push_back(op->name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace treville
