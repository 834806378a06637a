#include "mpc/porthos/weight_set_up.h"

#include <algorithm>

#include "mpc/porthos/linear_layer.h"
#include "store/store.h"

namespace treville::porthos {
namespace {

constexpr size_t kIdBytes = sizeof(StoreId);

Buffer message_of(std::initializer_list<StoreId> ids) {
  Buffer buffer = Buffer::stored(ids.size() * kIdBytes);
  std::byte* at = buffer.data();
  for (const StoreId& id : ids) at = std::ranges::copy(id, at).out;
  return buffer;
}

StoreId id_at(const Buffer& buffer, size_t index) {
  StoreId id;
  std::copy_n(buffer.data() + index * kIdBytes, kIdBytes, id.begin());
  return id;
}

Owned without_part(const WeightSpec& spec) { return {spec.map, spec.ring, nullptr}; }

}  // namespace

WeightSetUp::WeightSetUp(Session& session, std::span<const WeightSpec> specs,
                         const std::vector<const RingTensor*>* weights)
    : session_(session),
      specs_(specs),
      weights_(weights),
      shares_(session.store ? &session.store->weights() : nullptr) {}

std::vector<Owned> WeightSetUp::run() {
  if (shares_ == nullptr) return set_up_weights(session_, specs_, weights_);
  agree();
  return session_.weights_kept || session_.online_only ? kept_weights() : new_weights();
}

// agree: E says which model it has and from which set-up it has shared it; D and H say whether they hold their parts of
// that very set-up. All see all answers, so all come to the same end. A set-up of zeros is none.
void WeightSetUp::agree() {
  Pass pass(session_, Phase::kSetup);
  const PartyId self = session_.self;
  StoreId offered{};
  if (self == kE) {
    model_ = shares_->identify(*weights_, session_.model);
    session_.model = model_.id;
    offered = model_.set_up.value_or(StoreId{});
    for (const PartyId peer : {kD, kH}) {
      pass.send(peer, Phase::kSetup, Message::kModel, 0, 0, message_of({session_.model, offered}));
    }
  } else {
    const Buffer message = pass.receive(kE, Phase::kSetup, Message::kModel, 0, 0, 2 * kIdBytes);
    session_.model = id_at(message, 0);
    offered = id_at(message, 1);
    const StoreId held = held_set_up(offered);
    for (const PartyId peer : kAllParties) {
      if (peer != self) pass.send(peer, Phase::kSetup, Message::kHolds, 0, 0, message_of({held}));
    }
    session_.weights_kept = offered != StoreId{} && held == offered;
  }
  if (self == kE) session_.weights_kept = offered != StoreId{};
  for (const PartyId peer : {kD, kH}) {
    if (peer == self) continue;
    const Buffer message = pass.receive(peer, Phase::kSetup, Message::kHolds, 0, 0, kIdBytes);
    session_.weights_kept = session_.weights_kept && id_at(message, 0) == offered;
  }
}

// held_set_up reads this party's part, so that nobody claims what it cannot use.
StoreId WeightSetUp::held_set_up(const StoreId& offered) {
  if (offered == StoreId{} || session_.online_only) return {};
  if (session_.self == kD) {
    held_key_ = shares_->dealer_key(session_.model, shapes(), offered);
    return held_key_ ? offered : StoreId{};
  }
  held_ = shares_->helper_share(session_.model, shapes(), offered);
  return held_ ? offered : StoreId{};
}

std::vector<Owned> WeightSetUp::kept_weights() {
  std::vector<Owned> owned;
  if (session_.self == kD && !session_.online_only) {
    session_.keys.weights = held_key_;
    return set_up_weights(session_, specs_, nullptr);  // D only draws
  }
  for (size_t i = 0; i < specs_.size(); ++i) {
    const WeightSpec& spec = specs_[i];
    const RingTensor* part = session_.self == kE ? (*weights_)[i] : held_ ? &(*held_)[i] : nullptr;
    if (part == nullptr) {
      owned.push_back(without_part(spec));
      continue;
    }
    owned.push_back({spec.map, spec.ring, std::make_shared<const LinearKernel>(spec.map, *part)});
    if (held_) (*held_)[i] = RingTensor();
  }
  return owned;
}

std::vector<Owned> WeightSetUp::new_weights() {
  held_.reset();
  if (session_.self != kH || !shares_->keeps()) return set_up_weights(session_, specs_, weights_);
  noting([&] { file_ = shares_->keep_helper_share(session_.model, shapes(), session_.id); });
  return set_up_weights(session_, specs_, weights_, [&](const RingTensor& part) {
    noting([&] {
      if (file_) file_->add(part);
    });
  });
}

void WeightSetUp::keep() {
  if (shares_ == nullptr || !shares_->keeps() || session_.weights_kept || session_.online_only) return;
  noting([&] {
    switch (session_.self) {
      case kD:
        shares_->keep_dealer_key(session_.model, shapes(), session_.id, *session_.keys.weights);
        break;
      case kE:
        model_.set_up = session_.id;
        shares_->keep_model(model_);
        break;
      case kH:
        if (file_) file_->commit();
        break;
    }
  });
  file_.reset();
}

std::vector<WeightShape> WeightSetUp::shapes() const {
  std::vector<WeightShape> shapes;
  for (const WeightSpec& spec : specs_) shapes.push_back({spec.ring, weight_shape(spec.map)});
  return shapes;
}

// noting makes a failure of the disk a note: the session goes on, and the next one shares the weights again.
void WeightSetUp::noting(const std::function<void()>& step) {
  try {
    step();
  } catch (const UserError& error) {
    shares_->note(error.what());
    file_.reset();
  }
}

}  // namespace treville::porthos
