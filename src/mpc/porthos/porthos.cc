#include "mpc/porthos/porthos.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "mpc/porthos/activation.h"
#include "mpc/porthos/boundary.h"
#include "mpc/porthos/linear_layer.h"
#include "mpc/porthos/look_up.h"
#include "mpc/porthos/maximum.h"
#include "mpc/porthos/product.h"
#include "mpc/porthos/rescale.h"
#include "mpc/porthos/weight_set_up.h"

namespace treville {
namespace porthos {
namespace {

using Plane = std::optional<RingTensor>;

const RingTensor* plane_of(const Shared& x) { return x.has_plane() ? &x.plane() : nullptr; }

// truncated: the floor or the ceiling of x / 2^f in Z_2^(q-f), on each share alone (section 5): D shifts its share, E
// adds 2^f - 1 first.
Shared truncated(const Pass& pass, Shared x, Bits f) {
  CHECK(f < x.modulus(), "cannot truncate {} of {} bits", f, x.modulus());
  const Bits modulus = x.modulus() - f;
  const Ring ring = x.ring();
  Shape shape = x.shape();
  Plane plane;
  if (pass.holds_plane()) {
    const Bits before = x.modulus();
    plane = std::move(x).take_plane();
    CHECK(plane.has_value(), "a value to truncate has no plane");
    const uint64_t offset = pass.self() == kE ? (uint64_t{1} << f.value()) - 1 : 0;
    truncate_share(*plane, offset, f, before);
  }
  return Shared(SharedForm::kAdditive, ring, modulus, std::move(shape), std::move(plane));
}

class PorthosPass final : public Protocol {
 public:
  PorthosPass(Session& session, Phase phase, std::vector<Owned> weights, std::shared_ptr<Handover> handover)
      : pass_(session, phase), weights_(std::move(weights)), handover_(std::move(handover)) {}

  Phase phase() const override { return pass_.phase(); }
  void begin_inference(uint32_t inference) override { pass_.begin_inference(inference); }
  void begin_step(StepId step, std::string_view name) override { pass_.begin_step(step, name); }
  const Owned& weight(size_t i) const override {
    CHECK(i < weights_.size(), "weight {} of {}", i, weights_.size());
    return weights_[i];
  }

  Shared input(PartyId owner, const RingTensor* value, Ring ring, Shape shape) override {
    if (owner == kH)
      throw UserError("party 2, the helper, cannot give an input; use owner 0 (dealer) or 1 (evaluator)");
    Plane plane = offline() ? input_offline(pass_, owner, ring, shape) : input_online(pass_, owner, value, ring, shape);
    return Shared(SharedForm::kMasked, ring, bits_of(ring), std::move(shape), std::move(plane));
  }

  Shared linear(std::span<const SharedTerm> terms, const RingTensor* bias, Shape result, Bits modulus) override {
    CHECK(!terms.empty(), "a linear layer without terms");
    const Ring ring = terms.front().x->ring();
    for (const SharedTerm& term : terms) {
      CHECK(term.x->form() == SharedForm::kMasked && term.x->modulus() == bits_of(ring) && term.x->ring() == ring,
            "a linear layer takes masked values over the whole ring");
    }
    CHECK(modulus.value() >= 1 && modulus <= bits_of(ring), "modulus {} of {} bits", modulus, bits_of(ring));
    Plane plane = offline() ? linear_offline(pass_, terms, ring, result, modulus)
                            : linear_online(pass_, terms, bias, ring, result, modulus);
    return Shared(SharedForm::kAdditive, ring, modulus, std::move(result), std::move(plane));
  }

  Shared add_constant(Shared x, const RingTensor* constant) override {
    if (constant != nullptr && pass_.plays(kE, Phase::kOnline)) add_constant_in_place(x.plane(), *constant);
    return x;
  }

  Shared relu(Shared x, Bits truncate, Bits k) override {
    return activate(std::move(x), truncate, {.kind = Activation::Kind::kRelu, .k = k});
  }
  Shared clip(Shared x, Bits truncate, Bits k, uint64_t upper) override {
    CHECK(upper > 0 && upper < uint64_t{1} << (k.value() - 1), "a clip needs 0 < upper < 2^({}-1)", k);
    return activate(std::move(x), truncate, {.kind = Activation::Kind::kClip, .k = k, .upper = upper});
  }
  Shared leaky_relu(Shared x, Bits truncate, Bits k, int64_t slope, Bits slope_bits) override {
    return activate(std::move(x), truncate,
                    {.kind = Activation::Kind::kLeaky, .k = k, .slope = slope, .slope_bits = slope_bits});
  }

  Shared max_pool(Shared x, const PoolGeometry& pool, Bits truncate, Bits k) override {
    const Bits residue = k + Bits(1);
    const Shared y = narrowed(std::move(x), truncate, residue);
    Plane plane = porthos::max_pool(pass_, pool, residue, y.ring(), plane_of(y));
    return Shared(SharedForm::kAdditive, y.ring(), residue, output_shape(pool), std::move(plane));
  }

  Shared arg_max(Shared x, Bits truncate, Bits k) override {
    CHECK(x.shape().rank() == 2, "arg_max takes [rows, columns], not {}", to_string(x.shape()));
    const Bits residue = k + Bits(1);
    const Shared y = narrowed(std::move(x), truncate, residue);
    const int64_t rows = y.shape()[0], columns = y.shape()[1];
    Plane plane = porthos::arg_max(pass_, rows, columns, residue, y.ring(), plane_of(y));
    return Shared(SharedForm::kAdditive, y.ring(), index_bits(columns), {rows}, std::move(plane));
  }

  Shared rescale(Shared x, Bits truncate, Bits k) override {
    const Shared y = narrowed(std::move(x), truncate, k);
    Plane plane = offline() ? rescale_offline(pass_, k, plane_of(y), y.ring(), y.shape())
                            : rescale_online(pass_, k, plane_of(y), y.ring(), y.shape());
    return Shared(SharedForm::kMasked, y.ring(), bits_of(y.ring()), y.shape(), std::move(plane));
  }

  Shared non_negative(Shared x, Bits truncate, Bits k) override {
    return activate(std::move(x), truncate, {.kind = Activation::Kind::kNonNegative, .k = k});
  }

  Shared look_up(Shared x, Bits truncate, Bits n, std::span<const LookUpTable* const> tables) override {
    CHECK(!tables.empty(), "a look-up without tables");
    const Shared y = narrowed(std::move(x), truncate, n);
    Plane plane = offline() ? look_up_offline(pass_, n, tables, plane_of(y), y.ring(), y.shape())
                            : look_up_online(pass_, n, tables, plane_of(y), y.ring(), y.shape());
    return Shared(SharedForm::kMasked, y.ring(), bits_of(y.ring()), look_up_shape(tables.size(), y.shape()),
                  std::move(plane));
  }

  Shared product(const Shared& a, const Shared& b, const ProductGeometry& geometry) override {
    for (const Shared* x : {&a, &b}) {
      CHECK(x->form() == SharedForm::kMasked && x->modulus() == bits_of(x->ring()) && x->ring() == a.ring(),
            "a product takes masked values over the whole ring");
    }
    const Factors factors{geometry, a.ring(), plane_of(a), plane_of(b),
                          &a == &b && std::holds_alternative<Elementwise>(geometry)};
    Plane plane = offline() ? product_offline(pass_, factors, *handover_) : product_online(pass_, factors, *handover_);
    return Shared(SharedForm::kMasked, a.ring(), bits_of(a.ring()), output_shape(geometry), std::move(plane));
  }

  std::optional<Public> reveal(const Shared& x, PartyId recipient) override {
    if (!offline()) return reveal_online(pass_, x, recipient, *handover_);
    reveal_offline(pass_, x, recipient, *handover_);
    return std::nullopt;
  }
  std::optional<Public> shares(const Shared& x) override { return porthos::shares(pass_, x); }

  void use_keys(const SessionKeys& keys) override { pass_.use_keys(keys); }
  std::vector<RingTensor> take_handover() override { return handover_->take_all(); }
  void give_handover(std::vector<RingTensor> tensors) override {
    for (RingTensor& tensor : tensors) handover_->put(std::move(tensor));
  }

 private:
  bool offline() const { return pass_.phase() == Phase::kOffline; }

  // narrowed truncates and checks that k bits of the result are known.
  Shared narrowed(Shared x, Bits truncate, Bits k) const {
    Shared y = truncated(pass_, std::move(x), truncate);
    CHECK(k.value() >= 2 && k <= y.modulus() && k.value() <= 63, "{} bits are compared where {} are known", k,
          y.modulus());
    return y;
  }

  Shared activate(Shared x, Bits truncate, const Activation& activation) {
    const Shared y = narrowed(std::move(x), truncate, activation.k);
    Plane plane = offline() ? activation_offline(pass_, activation, plane_of(y), y.ring(), y.shape())
                            : activation_online(pass_, activation, plane_of(y), y.ring(), y.shape());
    return Shared(SharedForm::kMasked, y.ring(), bits_of(y.ring()), y.shape(), std::move(plane));
  }

  Pass pass_;
  std::vector<Owned> weights_;
  std::shared_ptr<Handover> handover_;
};

// meet returns when all three parties are set up, so that no walk and no clock starts before.
void meet(Session& session) {
  const MessageTag tag{.part = with_round(static_cast<uint8_t>(Message::kReady), 0)};
  for (const PartyId peer : kAllParties)
    if (peer != session.self) session.network->channel(peer, Phase::kSetup).send(tag, Buffer());
  for (const PartyId peer : kAllParties)
    if (peer != session.self) session.network->channel(peer, Phase::kSetup).receive(tag, 0);
}

}  // namespace
}  // namespace porthos

ProtocolPasses set_up_porthos(Session& session, std::span<const WeightSpec> specs,
                              const std::vector<const RingTensor*>* weights) {
  using porthos::PorthosPass;
  porthos::WeightSetUp set_up(session, specs, weights);
  const std::vector<Owned> owned = set_up.run();
  porthos::meet(session);
  set_up.keep();
  auto handover = std::make_shared<porthos::Handover>();
  ProtocolPasses result;
  if (session.self != PartyId::kEvaluator) {
    result.passes.push_back(std::make_unique<PorthosPass>(session, Phase::kOffline, owned, handover));
  }
  result.passes.push_back(std::make_unique<PorthosPass>(session, Phase::kOnline, owned, handover));
  return result;
}

}  // namespace treville
