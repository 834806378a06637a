#include "mpc/linear.h"

#include <gtest/gtest.h>

#include <random>

#include "kernels/elementwise.h"

namespace treville {
namespace {

RingTensor random_tensor(Ring ring, const Shape& shape, std::mt19937_64& random) {
  RingTensor tensor = RingTensor::stored(ring, shape);
  dispatch(ring, [&](auto word) {
    for (auto& value : tensor.as<decltype(word)>()) value = static_cast<decltype(word)>(random());
  });
  return tensor;
}

// Planes: the halves of one value at D and E (and lambda at H when it is masked).
struct Planes {
  Shared dealer, evaluator, helper;
};

Planes share(const RingTensor& value, SharedForm form, Bits modulus, std::mt19937_64& random) {
  const Ring ring = value.ring();
  RingTensor lambda = random_tensor(ring, value.shape(), random);
  RingTensor m = value.clone();
  add_in_place(m, lambda);
  RingTensor minus = lambda.clone();
  negate_in_place(minus);
  const bool is_masked = form == SharedForm::kMasked;
  return {Shared(form, ring, modulus, value.shape(), std::move(minus)),
          Shared(form, ring, modulus, value.shape(), std::move(m)),
          Shared(form, ring, modulus, value.shape(), is_masked ? std::optional(std::move(lambda)) : std::nullopt)};
}

// expect_value: the halves add up to the value modulo 2^modulus, and H holds lambda exactly when it is masked.
void expect_value(const Planes& planes, const RingTensor& value, SharedForm form, Bits modulus) {
  RingTensor sum = planes.dealer.plane().clone();
  add_in_place(sum, planes.evaluator.plane());
  reduce(sum, modulus);
  RingTensor expected = value.clone();
  reduce(expected, modulus);
  dispatch(value.ring(), [&](auto word) {
    EXPECT_TRUE(std::ranges::equal(sum.as<decltype(word)>(), expected.as<decltype(word)>()));
  });
  for (const Shared* shared : {&planes.dealer, &planes.evaluator, &planes.helper}) {
    EXPECT_EQ(shared->form(), form);
    EXPECT_EQ(shared->modulus(), modulus);
    EXPECT_EQ(shared->shape(), value.shape());
  }
  ASSERT_EQ(planes.helper.has_plane(), form == SharedForm::kMasked);
  if (form != SharedForm::kMasked) return;
  RingTensor zero = planes.helper.plane().clone();
  add_in_place(zero, planes.dealer.plane());
  dispatch(value.ring(), [&](auto word) {
    for (auto element : zero.as<decltype(word)>()) ASSERT_EQ(element, 0u);
  });
}

class LocalOperations : public ::testing::TestWithParam<Ring> {
 protected:
  Ring ring() const { return GetParam(); }
  RingTensor tensor(const Shape& shape) { return random_tensor(ring(), shape, random_); }
  Planes masked(const RingTensor& value) { return share(value, SharedForm::kMasked, bits_of(ring()), random_); }
  Planes additive(const RingTensor& value, Bits modulus) {
    return share(value, SharedForm::kAdditive, modulus, random_);
  }
  // each applies f to the planes of every party.
  template <class F>
  static Planes each(const Planes& x, const F& f) {
    return {f(x.dealer), f(x.evaluator), f(x.helper)};
  }
  template <class F>
  static Planes each(const Planes& x, const Planes& y, const F& f) {
    return {f(x.dealer, y.dealer), f(x.evaluator, y.evaluator), f(x.helper, y.helper)};
  }
  std::mt19937_64 random_{7};
};

TEST_P(LocalOperations, AddShiftsAndKeepsTheSmallerModulus) {
  const Shape shape{2, 3, 5};
  const RingTensor a = tensor(shape), b = tensor(shape);
  for (bool subtract : {false, true}) {
    RingTensor expected = a.clone();
    shift_left_in_place(expected, Bits(3));
    RingTensor other = b.clone();
    shift_left_in_place(other, Bits(1));
    if (subtract) {
      subtract_in_place(expected, other);
    } else {
      add_in_place(expected, other);
    }
    const auto sum = [&](const Shared& x, const Shared& y) { return add(x.clone(), y, Bits(3), Bits(1), subtract); };
    expect_value(each(masked(a), masked(b), sum), expected, SharedForm::kMasked, bits_of(ring()));
    expect_value(each(masked(a), additive(b, Bits(20)), sum), expected, SharedForm::kAdditive, Bits(21));
    expect_value(each(additive(a, Bits(19)), masked(b), sum), expected, SharedForm::kAdditive, Bits(22));
    expect_value(each(additive(a, Bits(17)), additive(b, Bits(25)), sum), expected, SharedForm::kAdditive, Bits(20));
  }
}

TEST_P(LocalOperations, ScaleMultiplies) {
  const RingTensor a = tensor({4, 5});
  for (int64_t factor : {int64_t{0}, int64_t{1}, int64_t{-7}, int64_t{1} << 20}) {
    RingTensor expected = a.clone();
    multiply_scalar(expected, static_cast<uint64_t>(factor));
    const auto f = [&](const Shared& x) { return scale(x.clone(), factor); };
    expect_value(each(masked(a), f), expected, SharedForm::kMasked, bits_of(ring()));
    expect_value(each(additive(a, Bits(18)), f), expected, SharedForm::kAdditive, Bits(18));
  }
}

TEST_P(LocalOperations, AverageCountsLeavesPaddingOut) {
  const PoolGeometry pool{1, 4, 5, 2, 4, 5, 3, 3, 1, 1, 1, 1, 1, 1};
  const RingTensor x = tensor({1, 4, 5, 2});
  RingTensor expected = sum_pool(pool, x);
  dispatch(ring(), [&](auto word) {
    auto values = expected.as<decltype(word)>();
    size_t i = 0;
    for (int64_t row = 0; row < 4; ++row) {
      for (int64_t column = 0; column < 5; ++column) {
        const int64_t count = (3 - (row == 0) - (row == 3)) * (3 - (column == 0) - (column == 4));
        const auto factor = static_cast<decltype(word)>(std::llround(std::ldexp(1.0, 10) / static_cast<double>(count)));
        for (int c = 0; c < 2; ++c) values[i++] *= factor;
      }
    }
  });
  const auto f = [&](const Shared& s) { return average_counts(sum_pool(s, pool), pool, Bits(10)); };
  expect_value(each(masked(x), f), expected, SharedForm::kMasked, bits_of(ring()));
  expect_value(each(additive(x, Bits(30)), f), expected, SharedForm::kAdditive, Bits(30));
}

TEST_P(LocalOperations, MovesActOnEveryPlaneAlike) {
  const Shape shape{2, 3, 4};
  const RingTensor x = tensor(shape);
  const auto check = [&](const auto& on_shared, const RingTensor& expected) {
    expect_value(each(masked(x), on_shared), expected, SharedForm::kMasked, bits_of(ring()));
    expect_value(each(additive(x, Bits(15)), on_shared), expected, SharedForm::kAdditive, Bits(15));
  };
  check([](const Shared& s) { return reshape(s.clone(), {6, 4}); }, x.clone().reshaped({6, 4}));
  check([](const Shared& s) { return transpose(s, {2, 0, 1}); }, transpose(x, {2, 0, 1}));
  check([](const Shared& s) { return pad(s, {0, 1, 0}, {2, 0, 1}); }, pad(x, {0, 1, 0}, {2, 0, 1}));
  check(
      [](const Shared& s) {
        return slice(s, {0, 2, 0}, {1, -1, 2}, {2, 3, 2});
      },
      slice(x, {0, 2, 0}, {1, -1, 2}, {2, 3, 2}));
  check([](const Shared& s) { return sum_axes(s, {0, 2}); }, sum_axes(x, {0, 2}));
  check([](const Shared& s) { return sum_axes(s, {}); }, x);
}

TEST_P(LocalOperations, ConcatJoinsShiftedParts) {
  const RingTensor a = tensor({2, 3}), b = tensor({2, 1});
  RingTensor shifted = b.clone();
  shift_left_in_place(shifted, Bits(4));
  const RingTensor expected = concat({&a, &shifted}, 1);
  const auto f = [](const Shared& x, const Shared& y) { return concat({&x, &y}, {Bits(0), Bits(4)}, 1); };
  expect_value(each(masked(a), masked(b), f), expected, SharedForm::kMasked, bits_of(ring()));
  expect_value(each(masked(a), additive(b, Bits(20)), f), expected, SharedForm::kAdditive, Bits(24));
  expect_value(each(additive(a, Bits(22)), masked(b), f), expected, SharedForm::kAdditive, Bits(22));
}

TEST_P(LocalOperations, DryPlanesStayDry) {
  const Shared x(SharedForm::kMasked, ring(), bits_of(ring()), {1, 4, 4, 2}, RingTensor::dry(ring(), {1, 4, 4, 2}));
  const PoolGeometry pool{1, 4, 4, 2, 4, 4, 3, 3, 1, 1, 1, 1, 1, 1};
  EXPECT_TRUE(add(x.clone(), x, Bits(1), Bits(2), true).plane().is_dry());
  EXPECT_TRUE(average_counts(sum_pool(x, pool), pool, Bits(8)).plane().is_dry());
  EXPECT_TRUE(concat({&x, &x}, {Bits(0), Bits(3)}, 3).plane().is_dry());
  EXPECT_TRUE(reshape(x.clone(), {32}).plane().is_dry());
}

TEST(LocalOperationsErrors, MissingPlanesAreBugs) {
  const Shared with(SharedForm::kAdditive, Ring::k32, Bits(32), {1}, RingTensor::zeros(Ring::k32, {1}));
  const Shared without(SharedForm::kAdditive, Ring::k32, Bits(32), {1}, std::nullopt);
  EXPECT_THROW(add(with.clone(), without, Bits(0), Bits(0), false), BugError);
  EXPECT_THROW(reshape(with.clone(), {2}), BugError);
  const Shared masked(SharedForm::kMasked, Ring::k32, Bits(32), {1}, std::nullopt);
  EXPECT_THROW(add(with.clone(), masked, Bits(0), Bits(0), false), BugError);
}

INSTANTIATE_TEST_SUITE_P(Rings, LocalOperations, ::testing::Values(Ring::k32, Ring::k64),
                         [](const auto& test) { return fmt::format("Ring{}", bits_of(test.param)); });

}  // namespace
}  // namespace treville
