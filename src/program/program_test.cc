#include "program/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "program/testing.h"

namespace treville {
namespace {

using testing::Builder;
using testing::conv_of;
using ::testing::HasSubstr;
using testing::pool_of;
using testing::random_program;

// small: input, convolution, relu, output.
Program small() {
  Builder b;
  const SlotId x = b.input({1, 4, 4, 2});
  const ConvGeometry g = conv_of({1, 4, 4, 2}, 3, 3, 1);
  LinearStep conv;
  conv.terms.push_back({x, g, b.constant("w", {3, 3, 2, 3}, Bits(10))});
  conv.bias = b.constant("bias", {3}, Bits(22));
  const SlotId y = b.add(conv);
  b.output(b.add(ReluStep{y, Bits(12), Bits(20)}));
  return b.program;
}

std::string error_of(const Program& program) {
  try {
    verify(program);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

template <class S>
S& body(Program& program, size_t step) {
  return std::get<S>(program.steps[step].body);
}

TEST(Verify, AcceptsWhatTheBuilderMakes) {
  EXPECT_EQ(error_of(small()), "");
  for (uint32_t seed = 0; seed < 50; ++seed) EXPECT_EQ(error_of(random_program(seed)), "") << "seed " << seed;
}

struct Violation {
  const char* name;
  std::function<void(Program&)> break_it;
  const char* message;
};

class VerifyRejects : public ::testing::TestWithParam<Violation> {};

TEST_P(VerifyRejects, WithAMessageThatNamesTheRule) {
  Program program = small();
  GetParam().break_it(program);
  EXPECT_THAT(error_of(program), HasSubstr(GetParam().message));
}

const Violation kViolations[] = {
    {"SlotNotDefined", [](Program& p) { body<ReluStep>(p, 2).x = SlotId{2}; }, "no earlier step defines"},
    {"SlotOutOfRange", [](Program& p) { body<ReluStep>(p, 2).x = SlotId{9}; }, "not below the 3 slots"},
    {"ResultOutOfRange", [](Program& p) { p.steps[2].result = SlotId{9}; }, "not below the 3 slots"},
    {"TooManySlots", [](Program& p) { p.slots = 1u << 31; }, "slots"},
    {"WrongScale", [](Program& p) { p.steps[2].type.scale = Bits(3); }, "its type is"},
    {"WrongForm", [](Program& p) { p.steps[2].type.form = Form::kAdditive; }, "its type is"},
    {"WrongModulus", [](Program& p) { p.steps[1].type.modulus = Bits(31); }, "its type is"},
    {"WrongShape", [](Program& p) { p.steps[2].type.shape = {3}; }, "its type is"},
    {"BoundNotFinite", [](Program& p) { p.steps[2].type.bound = INFINITY; }, "bound"},
    {"BoundNegative", [](Program& p) { p.steps[2].type.bound = -1; }, "bound"},
    {"KAndTruncationBeyondTheModulus", [](Program& p) { body<ReluStep>(p, 2).k = Bits(21); }, "do not fit the 32 bits"},
    {"KTooSmall", [](Program& p) { body<ReluStep>(p, 2).k = Bits(1); }, "k is 1"},
    {"KHuge", [](Program& p) { body<ReluStep>(p, 2).k = Bits(1 << 30); }, "k is"},
    {"TruncationNegative", [](Program& p) { body<ReluStep>(p, 2).truncate = Bits(-1); }, "truncate is -1"},
    {"TruncationOfTheWholeRing", [](Program& p) { body<ReluStep>(p, 2).truncate = Bits(32); }, "truncate is 32"},
    {"WeightShape",
     [](Program& p) {
       p.constants[0].shape = {3, 3, 2, 4};
     },
     "weight w has shape"},
    {"WeightRing", [](Program& p) { p.constants[0].ring = Ring::k64; }, "another ring"},
    {"WeightMissing", [](Program& p) { body<LinearStep>(p, 1).terms[0].weight = ConstantId{7}; }, "constant 7 of 2"},
    {"BiasScale", [](Program& p) { p.constants[1].scale = Bits(3); }, "has scale 3, expected 22"},
    {"BiasShape", [](Program& p) { p.constants[1].shape = {4}; }, "does not fit"},
    {"ConstantTwice", [](Program& p) { p.constants[1].name = "w"; }, "declared twice"},
    {"ConstantNotAWord", [](Program& p) { p.constants[1].name = "a b"; }, "one word"},
    {"ConstantTooLarge",
     [](Program& p) {
       p.constants[1].shape = {1LL << 40, 1LL << 40};
     },
     "more than"},
    {"ConstantDimZero", [](Program& p) { p.constants[1].shape = {0}; }, "below 1"},
    {"InputDimNegative", [](Program& p) { body<InputStep>(p, 0).shape = {-1}; }, "below 1"},
    {"InputRank", [](Program& p) { body<InputStep>(p, 0).shape = Shape(std::vector<int64_t>(17, 1)); }, "dimensions"},
    {"InputScale", [](Program& p) { body<InputStep>(p, 0).scale = Bits(1000); }, "scale is 1000"},
    {"InputWithoutName", [](Program& p) { body<InputStep>(p, 0).name = ""; }, "needs a name"},
    {"GroupsDoNotDivide", [](Program& p) { std::get<ConvGeometry>(body<LinearStep>(p, 1).terms[0].map).groups = 3; },
     "do not divide"},
    {"StrideZero", [](Program& p) { std::get<ConvGeometry>(body<LinearStep>(p, 1).terms[0].map).stride_h = 0; },
     "stride"},
    {"PadNegative", [](Program& p) { std::get<ConvGeometry>(body<LinearStep>(p, 1).terms[0].map).pad_top = -1; },
     "pad"},
    {"LinearWithoutTerms", [](Program& p) { body<LinearStep>(p, 1).terms.clear(); }, "no terms"},
    {"LinearModulus", [](Program& p) { body<LinearStep>(p, 1).modulus = Bits(33); }, "modulus is 33"},
    {"OutputIsNotItsOperand", [](Program& p) { p.steps[3].result = SlotId{0}; }, "what it reads"},
    {"NoOutput", [](Program& p) { p.steps.pop_back(); }, "no output"},
    {"OutputTwice", [](Program& p) { p.steps.push_back(p.steps[3]); }, "comes twice"},
    {"InputTwice", [](Program& p) { p.steps.insert(p.steps.begin(), p.steps[0]); }, "comes twice"},
    {"ParametersNegative", [](Program& p) { p.parameters = -1; }, "parameters"},
    {"LayerNameTooLong", [](Program& p) { p.steps[2].layer = std::string(5000, 'x'); }, "5000 bytes"},
};
INSTANTIATE_TEST_SUITE_P(Each, VerifyRejects, ::testing::ValuesIn(kViolations),
                         [](const auto& test) { return std::string(test.param.name); });

// The rules of steps that need other operands: infer_type says BugError with the same text.
std::string infer_error(Builder& b, StepBody body) {
  try {
    infer_type(body, b.types, b.program);
  } catch (const BugError& error) {
    return error.what();
  }
  return "";
}

TEST(InferType, RejectsOperandsThatDoNotFit) {
  Builder b;
  const SlotId x = b.input({1, 4, 4, 2});
  const SlotId other = b.input({1, 4, 4, 3}, Bits(12), PartyId::kDealer, "other");
  const SlotId fine = b.input({1, 4, 4, 2}, Bits(14), PartyId::kDealer, "fine");
  const SlotId pooled = b.add(MaxPoolStep{x, pool_of({1, 4, 4, 2}, 2, 2, 0), Bits(2), Bits(20)});
  const SlotId logits = b.add(ReshapeStep{x, {4, 8}});
  const SlotId label = b.add(ArgMaxStep{logits, Bits(0), Bits(20)});
  const SlotId average = b.add(SumAxesStep{x, {1, 2}, 16});
  const SlotId sum = b.add(SumAxesStep{x, {1, 2}, 1});
  const ConstantId w = b.constant("w", {1, 1, 2, 2}, Bits(3));
  EXPECT_THAT(infer_error(b, AddStep{x, other}), HasSubstr("shapes"));
  EXPECT_THAT(infer_error(b, AddStep{x, fine}), HasSubstr("scales 12 and 14"));
  EXPECT_EQ(infer_error(b, AddStep{x, fine, Bits(2), Bits(0)}), "");
  EXPECT_THAT(infer_error(b, AddStep{x, fine, Bits(40), Bits(38)}), HasSubstr("a shift is 40"));
  EXPECT_THAT(infer_error(b, AddStep{average, sum}), HasSubstr("divisors 16 and 1"));
  EXPECT_THAT(infer_error(b, ScaleStep{label, 3}), HasSubstr("is an index"));
  EXPECT_THAT(infer_error(b, ConcatStep{{x, other}, {0, 0}, 4}), HasSubstr("axis is 4"));
  EXPECT_THAT(infer_error(b, ConcatStep{{x, other}, {0, 0}, 1}), HasSubstr("does not fit the others"));
  EXPECT_THAT(infer_error(b, ConcatStep{{x, fine}, {0, 0}, 3}), HasSubstr("scales"));
  EXPECT_THAT(infer_error(b, ConcatStep{{x}, {}, 3}), HasSubstr("1 parts and 0 shifts"));
  EXPECT_THAT(infer_error(b, LinearStep{{{pooled, conv_of({1, 2, 2, 2}, 2, 1, 0), w}}, {}, Bits(32)}),
              HasSubstr("is additive"));
  EXPECT_THAT(infer_error(b, MaxPoolStep{x, pool_of({1, 4, 4, 2}, 2, 2, 0), Bits(12), Bits(20)}),
              HasSubstr("do not fit"));
  EXPECT_THAT(infer_error(b, MaxPoolStep{x, pool_of({1, 4, 4, 2}, 1, 1, 1), Bits(2), Bits(20)}),
              HasSubstr("nothing but padding"));
  EXPECT_THAT(infer_error(b, MaxPoolStep{x, pool_of({1, 5, 4, 2}, 2, 2, 0), Bits(2), Bits(20)}),
              HasSubstr("a window over"));
  EXPECT_THAT(infer_error(b, ArgMaxStep{x, Bits(2), Bits(20)}), HasSubstr("[rows,columns]"));
  EXPECT_THAT(infer_error(b, RescaleStep{x, Bits(2), Bits(2)}), HasSubstr("k is 2"));
  EXPECT_THAT(infer_error(b, ClipStep{x, Bits(2), Bits(8), 128}), HasSubstr("upper bound is 128"));
  EXPECT_THAT(infer_error(b, ClipStep{x, Bits(2), Bits(8), 0}), HasSubstr("upper bound is 0"));
  EXPECT_THAT(infer_error(b, LeakyReluStep{x, Bits(2), Bits(20), 1, Bits(13)}), HasSubstr("slope_bits is 13"));
  EXPECT_THAT(infer_error(b, LeakyReluStep{x, Bits(2), Bits(20), 5000, Bits(3)}), HasSubstr("slope is 5000"));
  EXPECT_THAT(infer_error(b, SumAxesStep{x, {2, 1}, 1}), HasSubstr("an axis is 1"));
  EXPECT_THAT(infer_error(b, SumAxesStep{x, {4}, 1}), HasSubstr("an axis is 4"));
  EXPECT_THAT(infer_error(b, SumAxesStep{x, {1}, 0}), HasSubstr("divisor is 0"));
  EXPECT_THAT(infer_error(b, SumAxesStep{average, {1}, 1LL << 31}), HasSubstr("too large together"));
  EXPECT_THAT(infer_error(b, SumPoolStep{x, pool_of({1, 4, 4, 2}, 2, 2, 0), Bits(4), 4}), HasSubstr("exclude"));
  EXPECT_THAT(infer_error(b, ReshapeStep{x, {31}}), HasSubstr("a reshape to"));
  EXPECT_THAT(infer_error(b, TransposeStep{x, {0, 1, 2}}), HasSubstr("3 axes"));
  EXPECT_THAT(infer_error(b, TransposeStep{x, {0, 1, 1, 2}}), HasSubstr("comes twice"));
  EXPECT_THAT(infer_error(b, TransposeStep{x, {0, 1, 4, 2}}), HasSubstr("an axis is 4"));
  EXPECT_THAT(infer_error(b, PadStep{x, {0, 0, 0, -1}, {0, 0, 0, 0}}), HasSubstr("a pad is -1"));
  EXPECT_THAT(infer_error(b, PadStep{x, {0}, {0}}), HasSubstr("pads"));
  EXPECT_THAT(infer_error(b, SliceStep{x, {0, 0, 0, 0}, {1, 1, 1, 2}, {1, 1, 1, 2}}), HasSubstr("last element"));
  EXPECT_THAT(infer_error(b, SliceStep{x, {0, 4, 0, 0}, {1, 1, 1, 1}, {1, 1, 1, 1}}), HasSubstr("a start is 4"));
  EXPECT_THAT(infer_error(b, SliceStep{x, {0, 0, 0, 0}, {1, 0, 1, 1}, {1, 1, 1, 1}}), HasSubstr("a step is 0"));
  EXPECT_THAT(infer_error(b, GatherStep{x, 4, {0}}), HasSubstr("the axis is 4"));
  EXPECT_THAT(infer_error(b, GatherStep{x, 1, {0, 4}}), HasSubstr("an index is 4"));
  EXPECT_THAT(infer_error(b, GatherStep{x, 1, {-1}}), HasSubstr("an index is -1"));
  EXPECT_THAT(infer_error(b, GatherStep{x, 1, {}}), HasSubstr("the number of indices is 0"));
  EXPECT_THAT(infer_error(b, GatherStep{x, 1, std::vector<int64_t>(4097)}), HasSubstr("indices is 4097"));
  EXPECT_THAT(infer_error(b, AddConstantStep{x, w}), HasSubstr("does not fit"));
  OutputStep top{logits, PartyId::kDealer, "top", OutputPolicy::kReveal, PostProcess::kTopValues, 9};
  EXPECT_THAT(infer_error(b, top), HasSubstr("top is 9"));
  top.top = 8;
  EXPECT_EQ(infer_error(b, top), "");
  top.post = PostProcess::kSoftmax;
  EXPECT_THAT(infer_error(b, top), HasSubstr("top is 8"));
  EXPECT_THAT(infer_error(b, ScaleStep{x, 1LL << 40}), HasSubstr("the factor"));
  EXPECT_THAT(infer_error(b, ReluStep{SlotId{99}}), HasSubstr("does not exist"));
}

TEST(InferType, RejectsProductsAndLookUpsThatDoNotFit) {
  Builder b;
  const SlotId x = b.input({2, 6});
  const SlotId additive = b.add(MaxPoolStep{x, pool_of({1, 1, 1, 12}, 1, 1, 0), Bits(2), Bits(20)});
  const SlotId label = b.add(ArgMaxStep{x, Bits(0), Bits(20)});
  const SlotId average = b.add(SumAxesStep{x, {}, 1 << 20});
  const TableId table = b.table("t", 4, 8, true), other = b.table("other", 4, 8, true, Bits(3));
  const TableId wide = b.table("wide", 4, 48, false), small = b.table("small", 3, 8, true);
  const Elementwise all{{12}};
  EXPECT_EQ(infer_error(b, ProductStep{x, x, all}), "");
  EXPECT_THAT(infer_error(b, ProductStep{x, additive, all}), HasSubstr("is additive; a product takes masked"));
  EXPECT_THAT(infer_error(b, ProductStep{x, label, all}), HasSubstr("is an index"));
  EXPECT_THAT(infer_error(b, ProductStep{x, x, Elementwise{{11}}}), HasSubstr("a product over"));
  EXPECT_THAT(infer_error(b, ProductStep{x, x, BatchMatmul{2, 2, 3, 3}}), HasSubstr("a product over [2,3,3]"));
  EXPECT_THAT(infer_error(b, ProductStep{x, x, BatchMatmul{1, -2, -6, -2}}), HasSubstr("below 1"));
  EXPECT_THAT(infer_error(b, ProductStep{average, average, all}), HasSubstr("too large together"));
  EXPECT_EQ(infer_error(b, LookUpStep{x, Bits(4), Bits(4), {table, table}}), "");
  EXPECT_THAT(infer_error(b, LookUpStep{x, Bits(4), Bits(4), {}}), HasSubstr("no tables"));
  EXPECT_THAT(infer_error(b, LookUpStep{x, Bits(4), Bits(4), {TableId{9}}}), HasSubstr("table 9 of 4"));
  EXPECT_THAT(infer_error(b, LookUpStep{x, Bits(4), Bits(4), {table, other}}), HasSubstr("different scales"));
  EXPECT_THAT(infer_error(b, LookUpStep{x, Bits(4), Bits(4), {small}}), HasSubstr("8 entries, expected 2^4"));
  EXPECT_THAT(infer_error(b, LookUpStep{x, Bits(4), Bits(4), {wide}}), HasSubstr("more than the ring"));
  EXPECT_THAT(infer_error(b, LookUpStep{x, Bits(4), Bits(13), {table}}), HasSubstr("n is 13"));
  EXPECT_THAT(infer_error(b, LookUpStep{x, Bits(29), Bits(4), {table}}), HasSubstr("do not fit"));
  EXPECT_THAT(infer_error(b, LookUpStep{x, Bits(4), Bits(4), std::vector<TableId>(32, table)}), HasSubstr("is 256"));
  EXPECT_THAT(infer_error(b, NonNegativeStep{x, Bits(4), Bits(29)}), HasSubstr("do not fit"));
}

TEST(InferType, OfProductsAndLookUpsFollowsTheirMeaning) {
  Builder b;
  const SlotId x = b.input({2, 6});
  const SlotId average = b.add(SumAxesStep{b.add(RescaleStep{x, Bits(2), Bits(20)}), {}, 6});
  EXPECT_EQ(b.type(b.add(ProductStep{average, average, Elementwise{{12}}})),
            (SlotType{{12}, Ring::k32, Form::kMasked, Bits(20), Bits(32), 36, 1e6}));
  EXPECT_EQ(b.type(b.add(ProductStep{x, average, BatchMatmul{1, 2, 6, 2}})),
            (SlotType{{1, 2, 2}, Ring::k32, Form::kMasked, Bits(22), Bits(32), 6, 1e6}));
  const TableId table = b.table("t", 4, 8, true, Bits(5));
  EXPECT_EQ(b.type(b.add(LookUpStep{average, Bits(4), Bits(4), {table, table, table}})),
            (SlotType{{3, 2, 6}, Ring::k32, Form::kMasked, Bits(5), Bits(32), 1, 1e6}));
  EXPECT_EQ(b.type(b.add(NonNegativeStep{average, Bits(4), Bits(20)})),
            (SlotType{{2, 6}, Ring::k32, Form::kMasked, Bits(0), Bits(32), 1, 1e6}));
}

TEST(Verify, RejectsTablesThatAreNone) {
  const auto with = [](TableDecl table) {
    Program program = small();
    program.tables.push_back(std::move(table));
    return error_of(program);
  };
  EXPECT_EQ(with({"t", {Bits(3), true, {-4, 0, 0, 3}}, Bits(0)}), "");
  EXPECT_THAT(with({"t", {Bits(3), true, {-4, 0, 0, 4}}, Bits(0)}),
              HasSubstr("table t: an entry is 4, expected -4 to"));
  EXPECT_THAT(with({"t", {Bits(3), false, {0, 0, 0, 8}}, Bits(0)}), HasSubstr("an entry is 8, expected 0 to 7"));
  EXPECT_THAT(with({"t", {Bits(3), false, {0, 0, 0}}, Bits(0)}), HasSubstr("3 entries"));
  EXPECT_THAT(with({"t", {Bits(3), false, std::vector<int64_t>(8192)}, Bits(0)}), HasSubstr("8192 entries"));
  EXPECT_THAT(with({"t", {Bits(49), false, {0, 0, 0, 0}}, Bits(0)}), HasSubstr("width of its entries is 49"));
  EXPECT_THAT(with({"t", {Bits(0), false, {0, 0, 0, 0}}, Bits(0)}), HasSubstr("width of its entries is 0"));
  EXPECT_THAT(with({"t t", {Bits(3), false, {0, 0, 0, 0}}, Bits(0)}), HasSubstr("one word"));
  EXPECT_THAT(with({"t", {Bits(3), false, {0, 0, 0, 0}}, Bits(999)}), HasSubstr("scale is 999"));
}

TEST(InferType, FollowsFormsModuliScalesAndDivisors) {
  Builder b;
  const SlotId x = b.input({1, 4, 4, 2});
  const SlotId y = b.add(MaxPoolStep{x, pool_of({1, 4, 4, 2}, 2, 2, 0), Bits(2), Bits(20)});
  EXPECT_EQ(b.type(y), (SlotType{{1, 2, 2, 2}, Ring::k32, Form::kAdditive, Bits(10), Bits(21), 1, 1e6}));
  const SlotId shifted = b.add(AddStep{y, y, Bits(3), Bits(3)});
  EXPECT_EQ(b.type(shifted).modulus, Bits(24));
  EXPECT_EQ(b.type(shifted).scale, Bits(13));
  EXPECT_EQ(b.type(b.add(AddStep{x, x})).form, Form::kMasked);
  EXPECT_EQ(b.type(b.add(SumAxesStep{b.add(SumAxesStep{y, {1}, 2}), {2}, 3})).divisor, 6);
  const SlotId logits = b.add(ReshapeStep{x, {2, 16}});
  const SlotType label = b.type(b.add(ArgMaxStep{logits, Bits(0), Bits(20)}));
  EXPECT_EQ(label.shape, Shape{2});
  EXPECT_EQ(label.modulus, Bits(4));
  EXPECT_TRUE(label.is_index);
  EXPECT_EQ(b.type(b.add(ArgMaxStep{b.add(ReshapeStep{x, {32, 1}}), Bits(0), Bits(20)})).modulus, Bits(1));
}

}  // namespace
}  // namespace treville
