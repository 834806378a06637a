// What E and H see is uniform whatever the input, and stops being so as soon as any single mask is missing or is used
// twice. A party knows its own keys, so its view is what remains uniform when all draws from them are zero: the test
// runs with those zeroed, on inputs that are all the same number, and looks at every bit of everything the party
// receives and of what it can compute from that. Compiled with breakable masks (mask_faults.h).
#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/bit_planes.h"
#include "mpc/porthos/mask_faults.h"
#include "mpc/porthos/pass.h"
#include "mpc/porthos/porthos_test_util.h"
#include "mpc/porthos/recording_network.h"

namespace treville::porthos {
namespace {

constexpr int64_t kElements = 4096;
constexpr size_t kPlaneBytes = kElements / 8;
constexpr double kSigmas = 7;  // a false alarm in 10^11 comparisons

using Bytes = std::vector<std::byte>;
// View: what a party sees in one inference, by name.
using View = std::map<std::string, Bytes>;

// Mask is a purpose and where its reader finds the leak when the mask is zero.
struct Mask {
  Purpose purpose;
  const char* name;
  std::string leak;
};
std::string part(Message message) { return fmt::format("part {}", static_cast<int>(message)); }

std::vector<Mask> masks() {
  return {{Purpose::kOpening, "Opening", part(Message::kShares)},
          {Purpose::kPayloadOpening, "PayloadOpening", "step 13 " + part(Message::kShares)},
          {Purpose::kDealtBits, "DealtBits", part(Message::kDealtBits)},
          {Purpose::kNodeMaskE, "NodeMaskE", "opened"},
          {Purpose::kBorrowMaskE, "BorrowMaskE", "opened"},
          {Purpose::kConstants, "Constants", part(Message::kDealtWords)},
          {Purpose::kRescaleSign, "RescaleSign", part(Message::kRescaleSign)},
          {Purpose::kRescaleProduct, "RescaleProduct", part(Message::kRescaleProduct)},
          {Purpose::kProductLeft, "ProductLeft", part(Message::kProductLeft)},
          {Purpose::kProductRight, "ProductRight", part(Message::kProductRight)},
          {Purpose::kProductShare, "ProductShare", part(Message::kProductShare)},
          {Purpose::kLookUpOpening, "LookUpOpening", part(Message::kLookUpOpened)},
          {Purpose::kIndicators, "Indicators", part(Message::kLookUpDealt)},
          {Purpose::kLookUpMaskE, "LookUpMaskE", "opened, step 15"},
          {Purpose::kLookUpNumbers, "LookUpNumbers", part(Message::kLookUpDealt)},
          {Purpose::kOutput, "Output", part(Message::kOutputDealer)},
          {Purpose::kInputMask, "InputMask", part(Message::kInput)},
          {Purpose::kLinearMask, "LinearMask", part(Message::kLinear)},
          {Purpose::kNodeMaskH, "NodeMaskH", "opened"},
          {Purpose::kBorrowMaskH, "BorrowMaskH", "opened"},
          {Purpose::kCloseMask, "CloseMask", "result of relu"},
          {Purpose::kPayloadMask, "PayloadMask", "result of arg max"},
          {Purpose::kRescaleMask, "RescaleMask", part(Message::kRescaleValue)},
          {Purpose::kRescaleCarry, "RescaleCarry", part(Message::kRescaleCarry)},
          {Purpose::kProductMask, "ProductMask", "result of product"},
          {Purpose::kLookUpMaskH, "LookUpMaskH", "opened, step 15"},
          {Purpose::kLookUpMask, "LookUpMask", "result of look up"},
          {Purpose::kWeight, "Weight", "setup"}};
}

// The keys a party does not know protect it from nothing else: E knows k_DE and k_W, H knows k_DH.
bool knows(PartyId party, Purpose purpose) { return (key_of(purpose) == KeyName::kDealerHelper) == (party == kH); }

bool is_balanced(uint64_t ones, uint64_t bits) {
  const double half = static_cast<double>(bits) / 2;
  return std::abs(static_cast<double>(ones) - half) <= kSigmas * std::sqrt(static_cast<double>(bits)) / 2;
}

// is_uniform looks at each plane of a message, at each bit of its words, and at the sum of every pair of planes.
bool is_uniform(const Bytes& bytes) {
  std::array<uint64_t, 32> ones{};
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    ones[i % 32] += static_cast<uint64_t>(bytes[i / 8] >> (i % 8)) & 1;
  }
  for (const uint64_t count : ones) {
    if (!is_balanced(count, bytes.size() * 8 / 32)) return false;
  }
  const size_t planes = bytes.size() / kPlaneBytes;
  std::vector<uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), words.size() * 8);
  constexpr size_t kWords = kPlaneBytes / 8;
  for (size_t a = 0; a < planes; ++a) {
    for (size_t b = a; b < planes; ++b) {
      uint64_t count = 0;
      for (size_t w = 0; w < kWords; ++w) {
        const uint64_t other = a == b ? 0 : words[b * kWords + w];
        count += static_cast<uint64_t>(std::popcount(words[a * kWords + w] ^ other));
      }
      if (!is_balanced(count, kPlaneBytes * 8)) return false;
    }
  }
  return true;
}

Bytes xored(const Bytes& a, const Bytes& b) {
  Bytes result(a);
  for (size_t i = 0; i < result.size(); ++i) result[i] ^= b[i];
  return result;
}

// planes_of writes the low bits of a plane of shares as bit planes: what there is of it modulo 2^modulus.
Bytes planes_of(const std::vector<uint64_t>& values, int modulus) {
  BitPlanes planes(static_cast<int64_t>(values.size()), modulus, false);
  to_planes<uint64_t>(values, 0, modulus, planes);
  const std::byte* data = planes.storage().data();
  return {data, data + planes.storage().bytes()};
}

// walk runs every operation on kElements comparisons, all of the same number. "results" are the planes that E computes
// from what it receives.
void walk(const Cell& cell, uint32_t inference, int64_t value, Held& results) {
  Protocol& p = cell.protocol;
  const Shape flat{1, kElements}, rows{1, 4, 1, kElements};
  const RingTensor x = tensor_of(Ring::k32, flat, std::vector<int64_t>(kElements, value));
  const RingTensor many = tensor_of(Ring::k32, rows, std::vector<int64_t>(4 * kElements, value));
  uint32_t step = 0;
  auto next = [&] { p.begin_step(StepId{step++}, "test"); };
  auto keep = [&](const char* name, const Shared& y) {
    next();  // of the operation that follows
    results.keep(cell, fmt::format("{} {}", inference, name), y);
  };
  auto linear = [&](const Shared& in, size_t weight) {
    next();
    const SharedTerm term{&in, &p.weight(weight)};
    return p.linear({&term, 1}, nullptr, flat, Bits(32));
  };
  p.begin_inference(inference);
  next();
  const Shared client = p.input(kD, &x, Ring::k32, flat);
  next();
  const Shared owner = p.input(kE, &x, Ring::k32, flat);
  const Shared bare = linear(owner, 0);  // without lambda, t alone hides the product
  const Shared sum = linear(client, 1);
  next();
  Shared candidates = p.input(kD, &many, Ring::k32, rows);
  next();
  keep("relu of an input", p.relu(owner.clone(), Bits(4), Bits(20)));
  keep("relu of a product", p.relu(bare.clone(), Bits(4), Bits(20)));
  keep("relu", p.relu(sum.clone(), Bits(4), Bits(20)));
  keep("relu of two levels", p.relu(sum.clone(), Bits(4), Bits(28)));
  keep("clip", p.clip(sum.clone(), Bits(4), Bits(21), 1000));
  keep("leaky relu", p.leaky_relu(sum.clone(), Bits(4), Bits(20), 3, Bits(2)));
  keep("rescale", p.rescale(owner.clone(), Bits(4), Bits(20)));
  const PoolGeometry pool{.batch = 1, .in_h = 4, .in_w = 1, .channels = kElements, .kernel_h = 4, .kernel_w = 1};
  keep("max pool", p.max_pool(candidates.clone(), pool, Bits(4), Bits(20)));
  const Shared table(
      candidates.form(), Ring::k32, Bits(32), {kElements, 4},
      candidates.has_plane() ? std::optional(candidates.plane().clone().reshaped({kElements, 4})) : std::nullopt);
  keep("arg max", p.arg_max(table.clone(), Bits(4), Bits(20)));
  keep("non negative", p.non_negative(sum.clone(), Bits(4), Bits(20)));
  const LookUpTable entries{Bits(6), true, {-32, -3, 5, 7, 11, 13, 17, 31}};
  const std::array<const LookUpTable*, 2> tables = {&entries, &entries};
  keep("look up", p.look_up(sum.clone(), Bits(4), Bits(3), tables));
  keep("product", p.product(client, owner, Elementwise{flat}));
  keep("square", p.product(client, client, Elementwise{flat}));
  keep("matrix product", p.product(owner, client, BatchMatmul{1, 64, 64, 64}));
  p.reveal(sum, kH);
  next();
  p.reveal(owner, kH);
}

// add_opened: what both parties of a comparison or of a look-up open: their shares of all stages or bits, added.
void add_opened(const std::vector<Recorded>& messages, std::array<View, 2>& views) {
  std::map<std::tuple<uint32_t, uint32_t, int>, std::array<Bytes, 2>> shares;  // by direction
  for (const Recorded& r : messages) {
    const Message message = message_of(r.tag);
    const bool is_share = (message >= Message::kShares && message <= Message::kSharesLast) ||
                          message == Message::kLookUpOpened || message == Message::kLookUpShares;
    if (!is_share || r.phase != Phase::kOnline) continue;
    Bytes& all = shares[{r.tag.inference, r.tag.step, r.tag.part >> 8}][r.is_sent ? 1 : 0];
    all.insert(all.end(), r.payload.begin(), r.payload.end());
  }
  for (auto& [where, directions] : shares) {
    auto& [a, b] = directions;
    if (a.size() > b.size()) std::swap(a, b);
    b.erase(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(b.size() - a.size()));  // x^ comes first
    const auto& [inference, step, round] = where;
    views[inference][fmt::format("opened, step {} round {}", step, round)] = xored(a, b);
  }
}

// watch runs two inferences and returns what `party` sees in each; its own keys give zeros.
std::array<View, 2> watch(PartyId party, int64_t value, const std::set<Purpose>& zeroed,
                          const std::set<Purpose>& repeated) {
  MaskFaults::zeroed = zeroed;
  MaskFaults::repeated = repeated;
  for (int i = 0; i < kPurposes; ++i) {
    if (knows(party, static_cast<Purpose>(i))) MaskFaults::zeroed.insert(static_cast<Purpose>(i));
  }
  auto sessions = make_local_sessions();
  Session& session = sessions[static_cast<size_t>(party)];
  auto network = std::make_unique<RecordingNetwork>(std::move(session.network));
  const RecordingNetwork& recording = *network;
  session.network = std::move(network);
  const ChannelGeometry map{.outer = 1, .channels = kElements};
  const RingTensor weight = tensor_of(Ring::k32, {kElements}, std::vector<int64_t>(kElements, 3));
  Held results;
  run_passes(sessions, {{map, Ring::k32}, {map, Ring::k32}}, {&weight, &weight}, [&](const Cell& cell) {
    for (const uint32_t inference : {0, 1}) walk(cell, inference, value, results);
  });
  MaskFaults::zeroed.clear();
  MaskFaults::repeated.clear();
  std::array<View, 2> views;
  for (const Recorded& r : recording.messages()) {
    if (r.is_sent || r.payload.empty()) continue;  // "ready" carries nothing
    views[r.tag.inference]
         [fmt::format("{} from {}, step {} part {}", name_of(r.phase), r.peer, r.tag.step, r.tag.part)] = r.payload;
  }
  add_opened(recording.messages(), views);
  for (const uint32_t inference : {0, 1}) {
    if (party != kE) continue;
    for (const char* name :
         {"relu of an input", "relu of a product", "relu", "relu of two levels", "clip", "leaky relu", "rescale",
          "max pool", "arg max", "non negative", "look up", "product", "square", "matrix product"}) {
      const Held::Value& held = results.at(fmt::format("{} {}", inference, name));
      views[inference][fmt::format("result of {}", name)] = planes_of(held.evaluator, held.modulus);
    }
  }
  return views;
}

// leaks names what is not uniform, or is not independent between the two inferences.
std::vector<std::string> leaks(const std::array<View, 2>& views) {
  std::vector<std::string> result;
  EXPECT_EQ(views[0].size(), views[1].size());
  EXPECT_GT(views[0].size(), 20u);
  for (const auto& [name, bytes] : views[0]) {
    const Bytes& other = views[1].at(name);
    if (!is_uniform(bytes) || !is_uniform(other)) result.push_back(name);
    if (!is_uniform(xored(bytes, other))) result.push_back(name + " (twice)");
  }
  return result;
}

TEST(PorthosView, IsUniformWhateverTheInput) {
  for (const PartyId party : {kE, kH}) {
    for (const int64_t value : {0, 1234567, -2000000}) {
      EXPECT_EQ(leaks(watch(party, value, {}, {})), std::vector<std::string>())
          << "party " << index_of(party) << " input " << value;
    }
  }
}

TEST(PorthosView, IsTestedForEveryMask) {
  std::set<Purpose> tested;
  for (const Mask& mask : masks()) tested.insert(mask.purpose);
  EXPECT_EQ(tested.size(), static_cast<size_t>(kPurposes));
}

class PorthosMask : public testing::TestWithParam<Mask> {
 protected:
  // expect_leak breaks the mask for the party it protects against.
  static void expect_leak(const std::set<Purpose>& zeroed, const std::set<Purpose>& repeated) {
    const Mask& mask = GetParam();
    const std::vector<std::string> found = leaks(watch(knows(kE, mask.purpose) ? kH : kE, 1234567, zeroed, repeated));
    EXPECT_THAT(found, testing::Contains(testing::HasSubstr(mask.leak)));
  }
};

TEST_P(PorthosMask, LeaksToItsReaderWhenItIsZero) { expect_leak({GetParam().purpose}, {}); }

TEST_P(PorthosMask, LeaksToItsReaderWhenItIsUsedTwice) { expect_leak({}, {GetParam().purpose}); }

INSTANTIATE_TEST_SUITE_P(Each, PorthosMask, testing::ValuesIn(masks()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace treville::porthos
