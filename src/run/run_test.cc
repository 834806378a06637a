#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <random>

#include "base/error.h"
#include "mpc/clear.h"
#include "program/testing.h"
#include "run/check_ranges.h"
#include "run/execute.h"
#include "run/local_run.h"
#include "run/testing.h"

namespace treville {
namespace {

using testing::Builder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::small_model;
using testing::SmallModel;

template <class Error, class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

RingTensor ramp(Ring ring, const Shape& shape, int64_t start = 0, int64_t step = 1) {
  RingTensor tensor = RingTensor::stored(ring, shape);
  dispatch(ring, [&](auto word) {
    int64_t next = start - step;
    for (auto& value : tensor.as<decltype(word)>()) value = static_cast<decltype(word)>(next += step);
  });
  return tensor;
}

// ---- encode and decode

TEST(Encode, RoundsToTheScaleAndDecodeGivesItBack) {
  const FloatTensor x({4}, {0.0f, 1.5f, -1.25f, 0.126f});
  for (Ring ring : {Ring::k32, Ring::k64}) {
    const RingTensor encoded = encode(x, ring, Bits(2), 2, "image");
    SlotType type{{4}, ring, Form::kMasked, Bits(2), bits_of(ring)};
    EXPECT_THAT(decode({encoded.clone(), bits_of(ring)}, type).values, ElementsAre(0.0f, 1.5f, -1.25f, 0.25f));
    type.divisor = 5;
    EXPECT_THAT(decode({encoded.clone(), bits_of(ring)}, type).values, ElementsAre(0.0f, 0.3f, -0.25f, 0.05f));
  }
}

TEST(Encode, RejectsWhatIsOutsideWithoutShowingIt) {
  const auto error = [](float value) {
    return error_of<UserError>([&] { encode(FloatTensor({2}, {0, value}), Ring::k32, Bits(12), 4, "image"); });
  };
  EXPECT_EQ(error(4), "");
  EXPECT_EQ(error(-4), "");
  EXPECT_THAT(error(4.25f), HasSubstr("input \"image\": element 1 is outside the range of magnitude 4 "));
  EXPECT_EQ(error(4.25f).find("4.25"), std::string::npos);
  EXPECT_THAT(error(NAN), HasSubstr("not a finite number"));
  EXPECT_THAT(error(INFINITY), HasSubstr("not a finite number"));
  EXPECT_NE(error_of<UserError>([] { encode(FloatTensor({1}, {1e6f}), Ring::k32, Bits(12), 1e9, "x"); }), "");
}

TEST(Decode, SignExtendsFromTheModulusButNotAnIndex) {
  const auto decoded = [](bool is_index) {
    SlotType type{{3}, Ring::k32, Form::kAdditive, Bits(0), Bits(4)};
    type.is_index = is_index;
    return decode({ramp(Ring::k32, {3}, 7), Bits(4)}, type).values;
  };
  EXPECT_THAT(decoded(false), ElementsAre(7, -8, -7));
  EXPECT_THAT(decoded(true), ElementsAre(7, 8, 9));
}

// ---- execute

TEST(Execute, FreesEverySlotAfterItsLastUse) {
  // A chain of 20 pads: without freeing, 20 tensors would be live at once.
  const int64_t side = 128;
  Builder b;
  SlotId x = b.input({1, side, side, 1});
  for (int i = 0; i < 20; ++i) x = b.add(TransposeStep{x, {0, 2, 1, 3}});
  b.output(x);
  const int64_t tensor_bytes = side * side * 4;
  std::map<std::string, RingTensor> inputs;
  inputs.emplace("x", ramp(Ring::k32, {1, side, side, 1}));
  const LocalRunResult result = run_local("clear", b.program, {}, inputs);
  const int64_t peak = result.peaks.back().bytes;
  EXPECT_GE(peak, 2 * tensor_bytes);
  EXPECT_LE(peak, 2 * tensor_bytes + 1024);
}

TEST(Execute, KeepsASlotThatIsReadAgainAndDropsUnusedResults) {
  Builder b;
  const SlotId x = b.input({8});
  const SlotId y = b.add(ReluStep{x, Bits(0), Bits(20)});
  b.add(ScaleStep{x, 3, Bits(0)});  // never read
  const SlotId z = b.add(AddStep{x, y});
  b.output(b.add(AddStep{z, z}));
  b.output(x, PartyId::kDealer, "x");
  std::map<std::string, RingTensor> inputs;
  inputs.emplace("x", ramp(Ring::k32, {8}, -4));
  const LocalRunResult result = run_local("clear", b.program, {}, inputs);
  const auto& out = result.output(PartyId::kEvaluator, "y");
  SlotType integers = out.type;
  integers.scale = Bits(0);
  EXPECT_THAT(decode(out.value, integers).values, ElementsAre(-8, -6, -4, -2, 0, 4, 8, 12));
  EXPECT_EQ(result.output(PartyId::kEvaluator, "x").value.value.as<uint32_t>()[7], 3u);
}

TEST(Execute, TheObserverSeesEveryStepAndItsResult) {
  Builder b;
  const SlotId x = b.input({2});
  b.output(b.add(ReluStep{x, Bits(0), Bits(20)}));
  std::vector<std::string> seen;
  LocalRunOptions options;
  options.observe = [&](PartyId, Phase) {
    return StepObserver{
        [&](StepId id, const Step& step) { seen.push_back(fmt::format("{} {}", index_of(id), name_of(step.body))); },
        [&](StepId, const Step&, const Shared* result) { seen.push_back(result ? to_string(result->shape()) : "-"); }};
  };
  std::map<std::string, RingTensor> inputs;
  inputs.emplace("x", ramp(Ring::k32, {2}));
  run_local("clear", b.program, {}, inputs, options);
  EXPECT_THAT(seen, ElementsAre("0 input", "[2]", "1 relu", "[2]", "2 output", "-"));
}

TEST(Execute, AResultOfAnotherTypeIsABug) {
  Builder b;
  const SlotId x = b.input({2});
  b.output(b.add(ReshapeStep{x, {1, 2}}));
  b.program.steps[1].type.modulus = Bits(20);
  std::map<std::string, RingTensor> inputs;
  inputs.emplace("x", ramp(Ring::k32, {2}));
  EXPECT_THAT(error_of<BugError>([&] { run_local("clear", b.program, {}, inputs); }), HasSubstr("modulo 32"));
}

TEST(WeightSpecs, ListTermsInTheOrderOfTheirUse) {
  Builder b;
  const SlotId x = b.input({2, 3});
  const ConstantId first = b.constant("first", {3, 4}, Bits(2)), second = b.constant("second", {3, 4}, Bits(2));
  LinearStep step;
  step.terms = {{x, MatmulGeometry{2, 3, 4}, second}, {x, MatmulGeometry{2, 3, 4}, first}};
  step.modulus = Bits(32);
  b.output(b.add(step));
  EXPECT_THAT(weight_constants(b.program), ElementsAre(second, first));
  EXPECT_EQ(weight_specs(b.program).size(), 2u);
  EXPECT_EQ(std::get<MatmulGeometry>(weight_specs(b.program)[0].map).inner, 3);
}

// ---- local runs

using Reals = std::vector<double>;

Reals reals(const RingTensor& tensor, int scale) {
  Reals values;
  dispatch(tensor.ring(), [&](auto word) {
    using Signed = std::make_signed_t<decltype(word)>;
    for (auto value : tensor.as<decltype(word)>())
      values.push_back(std::ldexp(static_cast<double>(static_cast<Signed>(value)), -scale));
  });
  return values;
}

// float_meaning computes the small model in double precision.
Reals float_meaning(const SmallModel& m) {
  const Reals x = reals(m.inputs.at("x"), 8), w = reals(m.constants[0], 6), bias = reals(m.constants[1], 14);
  const Reals fc = reals(m.constants[2], 8);
  const auto inside = [](int v, int size) { return v >= 0 && v < size; };
  Reals conv(8 * 8 * 4), pooled(4 * 4 * 4, -1e30), average(4 * 4 * 4), out(5);
  for (int y = 0; y < 8; ++y)
    for (int c = 0; c < 8; ++c)
      for (int o = 0; o < 4; ++o) {
        double& sum = conv[static_cast<size_t>((y * 8 + c) * 4 + o)];
        sum = bias[static_cast<size_t>(o)];
        for (int t = 0; t < 9; ++t)
          for (int i = 0; i < 3 && inside(y + t / 3 - 1, 8) && inside(c + t % 3 - 1, 8); ++i)
            sum += x[static_cast<size_t>(((y + t / 3 - 1) * 8 + c + t % 3 - 1) * 3 + i)] *
                   w[static_cast<size_t>((t * 3 + i) * 4 + o)];
      }
  for (int i = 0; i < 4 * 4 * 4; ++i)
    for (int t = 0; t < 9; ++t) {
      const int y = i / 16 * 2 + t / 3 - 1, c = i / 4 % 4 * 2 + t % 3 - 1;
      if (inside(y, 8) && inside(c, 8))
        pooled[static_cast<size_t>(i)] =
            std::max(pooled[static_cast<size_t>(i)], conv[static_cast<size_t>((y * 8 + c) * 4 + i % 4)]);
    }
  for (double& value : pooled) value = std::max(value, 0.0);
  for (int i = 0; i < 4 * 4 * 4; ++i) {
    int count = 0;
    for (int t = 0; t < 9; ++t) {
      const int y = i / 16 + t / 3 - 1, c = i / 4 % 4 + t % 3 - 1;
      if (!inside(y, 4) || !inside(c, 4)) continue;
      average[static_cast<size_t>(i)] += pooled[static_cast<size_t>((y * 4 + c) * 4 + i % 4)];
      ++count;
    }
    average[static_cast<size_t>(i)] /= count;
  }
  // The mean's divisor of 16 is folded into no weight here: the integers of fc stand for 16 times the reals.
  for (int i = 0; i < 4 * 4 * 4; ++i)
    for (int o = 0; o < 5; ++o)
      out[static_cast<size_t>(o)] += average[static_cast<size_t>(i)] * fc[static_cast<size_t>(i % 4 * 5 + o)];
  return out;
}

class LocalRuns : public ::testing::TestWithParam<std::string_view> {};

TEST_P(LocalRuns, AreWithinTheErrorBoundOfFloat) {
  for (Ring ring : {Ring::k32, Ring::k64}) {
    for (uint32_t seed = 0; seed < 5; ++seed) {
      const SmallModel m = small_model(ring, seed);
      ASSERT_NO_THROW(verify(m.b.program));
      const LocalRunResult result = run_local(GetParam(), m.b.program, m.constants, m.inputs);
      const PartyId receiver = GetParam() == "clear" ? PartyId::kEvaluator : PartyId::kDealer;
      const RevealedOutput& output = result.output(receiver, "y");
      const FloatTensor y = decode(output.value, output.type);
      const Reals expected = float_meaning(m);
      // One unit of 2^-8 from the pool and one from the average, whose reciprocal is off by 1/33 at most (11/64),
      // summed over 64 elements with weights below 60 / 256.
      double largest = 0;
      for (double value : expected) largest = std::max(largest, std::abs(value));
      const double allowed = 64 * 2 * 60.0 / 256 / 256 + largest / 33;
      for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(y.values[i], expected[i], allowed) << "seed " << seed;
    }
  }
}

TEST_P(LocalRuns, TheFirstErrorIsTheOneReported) {
  const SmallModel m = small_model(Ring::k32, 1);
  for (PartyId party : kAllParties) {
    LocalRunOptions options;
    std::atomic<bool> thrown = false;
    options.observe = [&](PartyId self, Phase) {
      StepObserver observer;
      if (self == party)
        observer.before = [&](StepId id, const Step&) {
          if (index_of(id) < 3) return;
          thrown = true;
          throw UserError("the root cause");
        };
      return observer;
    };
    const std::string error =
        error_of<UserError>([&] { run_local(GetParam(), m.b.program, m.constants, m.inputs, options); });
    EXPECT_EQ(error, thrown ? "the root cause" : "") << "party " << index_of(party);
    EXPECT_EQ(thrown.load(), GetParam() != "clear" || party == PartyId::kEvaluator) << "party " << index_of(party);
  }
}

TEST_P(LocalRuns, MissingInputsAreUserErrors) {
  const SmallModel m = small_model(Ring::k32, 1);
  EXPECT_THAT(error_of<UserError>([&] { run_local(GetParam(), m.b.program, m.constants, {}); }),
              HasSubstr("input \"x\" [1,8,8,3] is missing"));
  std::map<std::string, RingTensor> wrong;
  wrong.emplace("x", ramp(Ring::k32, {1, 8, 8, 1}));
  EXPECT_THAT(error_of<UserError>([&] { run_local(GetParam(), m.b.program, m.constants, wrong); }),
              HasSubstr("expected [1,8,8,3]"));
}

INSTANTIATE_TEST_SUITE_P(Protocols, LocalRuns, ::testing::ValuesIn(protocol_names()),
                         [](const auto& test) { return std::string(test.param); });

TEST(LocalRun, SeedsFixTheTranscript) {
  const SmallModel m = small_model(Ring::k32, 2);
  const auto transcripts = [&](uint64_t seed) {
    LocalRunOptions options;
    options.seed = seed;
    options.network.keep_transcript = true;
    return run_local("porthos", m.b.program, m.constants, m.inputs, options).transcripts;
  };
  EXPECT_EQ(transcripts(1), transcripts(1));
  EXPECT_NE(transcripts(1), transcripts(2));
}

// ---- ranges

TEST(CheckRanges, SeesASumThatWrapsInTheProgramsRing) {
  // 2^20 * 2^13 = 2^33 is 0 modulo 2^32: a run over 32 bits would not notice.
  Builder b;
  const SlotId x = b.input({1, 1});
  LinearStep step;
  step.terms.push_back({x, MatmulGeometry{1, 1, 1}, b.constant("w", {1, 1}, Bits(2))});
  step.modulus = Bits(32);
  b.output(b.add(ReluStep{b.add(step, 1e6, "fc1"), Bits(12), Bits(20)}, 1e6, "fc1/relu"));
  std::vector<RingTensor> constants;
  constants.push_back(ramp(Ring::k32, {1, 1}, 1 << 13));
  std::map<std::string, RingTensor> inputs;
  inputs.emplace("x", ramp(Ring::k32, {1, 1}, -(1 << 20)));
  const CheckedRun checked = check_ranges(b.program, constants, inputs);
  EXPECT_FALSE(checked.ranges.ok());
  EXPECT_THAT(checked.ranges.message(), HasSubstr("relu fc1/relu: 1 of 1 values need up to 22 bits, 19 are allowed"));
}

TEST(CheckRanges, GivesTheOutputsOfClearWhenAllFits) {
  const SmallModel m = small_model(Ring::k32, 4);
  const CheckedRun checked = check_ranges(m.b.program, m.constants, m.inputs);
  EXPECT_TRUE(checked.ranges.ok()) << checked.ranges.message();
  EXPECT_EQ(checked.ranges.steps.size(), 3u);
  const LocalRunResult clear = run_local("clear", m.b.program, m.constants, m.inputs);
  ASSERT_EQ(checked.outputs.size(), 1u);
  const RevealedOutput& expected = clear.output(PartyId::kEvaluator, "y");
  EXPECT_EQ(decode(checked.outputs[0].value, checked.outputs[0].type).values,
            decode(expected.value, expected.type).values);
}

}  // namespace
}  // namespace treville
