#include "mpc/porthos/linear_layer.h"

#include "kernels/elementwise.h"

namespace treville::porthos {
namespace {

// apply_terms: the sum of this party's weights applied to its planes.
RingTensor apply_terms(std::span<const SharedTerm> terms, const Shape& result) {
  RingTensor sum = terms.front().weight->kernel->apply(terms.front().x->plane());
  for (const SharedTerm& term : terms.subspan(1)) term.weight->kernel->accumulate(term.x->plane(), sum);
  return std::move(sum).reshaped(result);
}

// owned_part: what this party holds of one weight in the clear or as a share; E sends W1 on the way.
RingTensor owned_part(Pass& pass, const WeightSpec& spec, const RingTensor* weight) {
  const Shape shape = weight_shape(spec.map);
  if (pass.self() == kE && !pass.is_dry()) {
    CHECK(weight != nullptr && weight->shape() == shape && weight->ring() == spec.ring,
          "the model owner gives a weight of {}, {} bits", to_string(shape), bits_of(spec.ring));
  }
  RingTensor part = RingTensor::make(spec.ring, shape, pass.is_dry());
  if (pass.self() == kE && !pass.is_dry()) set_block(part, {0, 0, shape.elements()}, *weight);
  for (const Block& block : blocks_of(shape.elements())) {
    switch (pass.self()) {
      case kD:
        pass.fill_block(Purpose::kWeight, 0, block, part);
        break;
      case kE: {
        RingTensor rest = words_of(part, block);
        subtract_in_place(rest, pass.words(Purpose::kWeight, 0, block, spec.ring).reshaped({block.count}));
        pass.send(kH, Phase::kSetup, Message::kWeight, 0, block.index, std::move(rest.storage()));
        break;
      }
      case kH:
        set_block(part, block,
                  pass.receive_residues(kE, Phase::kSetup, Message::kWeight, 0, block, spec.ring, bits_of(spec.ring)));
        break;
    }
  }
  return part;
}

}  // namespace

std::vector<Owned> set_up_weights(Session& session, std::span<const WeightSpec> specs,
                                  const std::vector<const RingTensor*>* weights,
                                  const std::function<void(const RingTensor&)>& on_part) {
  CHECK(weights == nullptr || weights->size() == specs.size(), "{} weights for {} specifications", weights->size(),
        specs.size());
  Pass pass(session, Phase::kSetup);
  std::vector<Owned> owned;
  for (size_t i = 0; i < specs.size(); ++i) {
    pass.begin_inference(static_cast<uint32_t>(i));
    const RingTensor part = owned_part(pass, specs[i], weights == nullptr ? nullptr : (*weights)[i]);
    if (on_part) on_part(part);
    owned.push_back({specs[i].map, specs[i].ring, std::make_shared<const LinearKernel>(specs[i].map, part)});
  }
  return owned;
}

void add_constant_in_place(RingTensor& y, const RingTensor& constant) {
  if (constant.shape() == y.shape()) {
    add_in_place(y, constant);
  } else {
    add_channel(y, constant);
  }
}

// D: yD = W0 * (-lambda) + t.   H: u = -(W1 * lambda) - t  -> E.
std::optional<RingTensor> linear_offline(Pass& pass, std::span<const SharedTerm> terms, Ring ring, const Shape& result,
                                         Bits modulus) {
  if (pass.self() == kE) return std::nullopt;
  RingTensor sum = apply_terms(terms, result);
  for (const Block& block : blocks_of(result.elements())) {
    RingTensor mask = pass.words(Purpose::kLinearMask, 0, block, ring).reshaped({block.count});
    if (pass.self() == kD) {
      add_block(sum, block, mask);
      continue;
    }
    add_in_place(mask, words_of(sum, block));
    negate_in_place(mask);
    pass.send_residues(kE, Phase::kOffline, Message::kLinear, 0, block, std::move(mask), modulus);
  }
  if (pass.self() == kH) return std::nullopt;
  return sum;
}

// E: yE = W * m + u + bias.
std::optional<RingTensor> linear_online(Pass& pass, std::span<const SharedTerm> terms, const RingTensor* bias,
                                        Ring ring, const Shape& result, Bits modulus) {
  if (pass.self() != kE) return std::nullopt;
  RingTensor sum = apply_terms(terms, result);
  for (const Block& block : blocks_of(result.elements())) {
    add_block(sum, block, pass.receive_residues(kH, Phase::kOffline, Message::kLinear, 0, block, ring, modulus));
  }
  if (bias != nullptr) add_constant_in_place(sum, *bias);
  return sum;
}

}  // namespace treville::porthos
