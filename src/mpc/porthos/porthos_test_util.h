// Runs the three parties of Porthos as threads with real masks and keeps the planes they hold, so that tests can put
// values together again and check every share.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "mpc/porthos/porthos.h"
#include "party/local_parties.h"

namespace treville::porthos {

// Cell is one pass of one party inside a test body.
struct Cell {
  PartyId party;
  Phase phase;
  Protocol& protocol;
};

// Held collects what the parties hold under a name, widened to 64 bits.
class Held {
 public:
  struct Value {
    SharedForm form = SharedForm::kMasked;
    Ring ring = Ring::k32;
    int modulus = 0;
    Shape shape;
    std::vector<uint64_t> dealer, evaluator, helper;
    bool has_helper = false;
  };

  void keep(const Cell& cell, const std::string& name, const Shared& x) {
    const std::lock_guard lock(mutex_);
    Value& value = values_[name];
    value.form = x.form();
    value.ring = x.ring();
    value.modulus = x.modulus().value();
    value.shape = x.shape();
    if (cell.party == PartyId::kEvaluator) {
      value.evaluator = widened(x.plane());
    } else if (cell.phase == Phase::kOnline) {
      EXPECT_FALSE(x.has_plane()) << name;
    } else if (cell.party == PartyId::kDealer) {
      value.dealer = widened(x.plane());
    } else {
      value.has_helper = x.has_plane();
      if (x.has_plane()) value.helper = widened(x.plane());
    }
  }
  void keep_public(const std::string& name, const Public& value) {
    const std::lock_guard lock(mutex_);
    public_[name] = widened(value.value);
  }

  const Value& at(const std::string& name) const { return values_.at(name); }
  const std::vector<uint64_t>& revealed(const std::string& name) const { return public_.at(name); }
  bool is_revealed(const std::string& name) const { return public_.contains(name); }

  // value puts D's and E's planes together modulo 2^modulus; signed_value reads it as a signed number.
  std::vector<uint64_t> value(const std::string& name) const {
    const Value& held = at(name);
    std::vector<uint64_t> result;
    for (size_t i = 0; i < held.dealer.size(); ++i) {
      result.push_back(reduced(held.dealer[i] + held.evaluator.at(i), held.modulus));
    }
    return result;
  }
  std::vector<int64_t> signed_value(const std::string& name) const {
    std::vector<int64_t> result;
    for (const uint64_t v : value(name)) result.push_back(extended(v, at(name).modulus));
    return result;
  }
  // truncated is what sections 5 says of the shares, bit-exactly: the signed truncated value.
  std::vector<int64_t> truncated(const std::string& name, int f) const {
    const Value& held = at(name);
    std::vector<int64_t> result;
    for (size_t i = 0; i < held.dealer.size(); ++i) {
      const uint64_t d = reduced(held.dealer[i], held.modulus) >> f;
      const uint64_t e = reduced(held.evaluator[i] + (uint64_t{1} << f) - 1, held.modulus) >> f;
      result.push_back(extended(reduced(d + e, held.modulus - f), held.modulus - f));
    }
    return result;
  }
  // expect_masked: H holds lambda and D its negative.
  void expect_masked(const std::string& name) const {
    const Value& held = at(name);
    EXPECT_EQ(held.form, SharedForm::kMasked);
    ASSERT_TRUE(held.has_helper);
    ASSERT_EQ(held.helper.size(), held.dealer.size());
    const int bits = bits_of(held.ring).value();
    for (size_t i = 0; i < held.dealer.size(); ++i) {
      ASSERT_EQ(reduced(held.helper[i] + held.dealer[i], bits), 0u) << name << " element " << i;
    }
  }

  static uint64_t reduced(uint64_t value, int bits) { return bits == 64 ? value : value & ((uint64_t{1} << bits) - 1); }
  static int64_t extended(uint64_t value, int bits) {
    return static_cast<int64_t>(value << (64 - bits)) >> (64 - bits);
  }
  static std::vector<uint64_t> widened(const RingTensor& tensor) {
    return dispatch(tensor.ring(), [&](auto zero) {
      using Word = decltype(zero);
      const auto words = tensor.as<Word>();
      return std::vector<uint64_t>(words.begin(), words.end());
    });
  }

 private:
  std::mutex mutex_;
  std::map<std::string, Value> values_;
  std::map<std::string, std::vector<uint64_t>> public_;
};

inline RingTensor tensor_of(Ring ring, Shape shape, const std::vector<int64_t>& values) {
  RingTensor tensor = RingTensor::stored(ring, std::move(shape));
  dispatch(ring, [&](auto zero) {
    using Word = decltype(zero);
    const auto words = tensor.as<Word>();
    EXPECT_EQ(words.size(), values.size());
    for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<Word>(values[i]);
  });
  return tensor;
}

// run_passes sets the three parties up and calls `body` in a thread for each pass.
inline void run_passes(std::array<Session, 3>& sessions, const std::vector<WeightSpec>& specs,
                       const std::vector<const RingTensor*>& weights, const std::function<void(const Cell&)>& body) {
  std::array<ProtocolPasses, 3> parties;
  std::mutex mutex;
  std::string failure;
  auto guarded = [&](Session& session, const std::function<void()>& work) {
    try {
      work();
    } catch (const std::exception& error) {
      const std::lock_guard lock(mutex);
      if (failure.empty()) failure = error.what();
      session.network->abort(error.what());
    }
  };
  {
    std::vector<std::jthread> threads;
    for (size_t party = 0; party < 3; ++party) {
      threads.emplace_back([&, party] {
        guarded(sessions[party],
                [&] { parties[party] = set_up_porthos(sessions[party], specs, party == 1 ? &weights : nullptr); });
      });
    }
  }
  {
    std::vector<std::jthread> threads;
    for (size_t party = 0; party < 3; ++party) {
      for (const auto& pass : parties[party].passes) {
        threads.emplace_back([&, party] {
          guarded(sessions[party], [&] { body({static_cast<PartyId>(party), pass->phase(), *pass}); });
        });
      }
    }
  }
  ASSERT_EQ(failure, "");
}

inline void run_passes(const std::function<void(const Cell&)>& body, std::optional<uint64_t> seed = {}) {
  auto sessions = make_local_sessions({.seed = seed});
  run_passes(sessions, {}, {}, body);
}

}  // namespace treville::porthos
