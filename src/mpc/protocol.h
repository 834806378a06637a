// Protocol is the seam between the executor and the cryptography: tensor-level operations on shared values for one
// pass of one session. A protocol with correlated randomness has an offline pass and an online pass; each party walks
// the program once per pass, on its own thread, and every operation does that pass's half.
// Contracts hold for all protocols; costs are in docs/protocols/.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpc/value.h"
#include "party/session.h"
#include "tensor/look_up_table.h"
#include "tensor/product_geometry.h"

namespace treville {

// WeightSpec: one owned weight of a model: its geometry and ring are public, its values the model owner's.
struct WeightSpec {
  LinearMap map;
  Ring ring = Ring::k32;
};

struct SharedTerm {
  const Shared* x;
  const Owned* weight;
};

class Protocol {
 public:
  virtual ~Protocol() = default;

  virtual Phase phase() const = 0;
  // begin_inference and begin_step tell where the walk is: they enter every message tag and every PRG position, so no
  // (inference, step) may be walked twice in a session.
  virtual void begin_inference(uint32_t inference) = 0;
  virtual void begin_step(StepId step, std::string_view name) = 0;

  // weight returns the i-th weight of the set-up.
  virtual const Owned& weight(size_t i) const = 0;

  // input shares a value of `owner`; `value` is given at the owner in the online pass (and dry in a dry run), null
  // elsewhere. Result masked, modulus l.
  virtual Shared input(PartyId owner, const RingTensor* value, Ring ring, Shape shape) = 0;

  // linear returns sum of W_i * x_i + bias modulo 2^modulus, additive. x_i masked with modulus l. bias is given at the
  // model owner only (shape [channels] or the result's), null elsewhere or when there is none.
  virtual Shared linear(std::span<const SharedTerm> terms, const RingTensor* bias, Shape result, Bits modulus) = 0;

  // add_constant adds an owned constant (given at the owner, null elsewhere); shape [channels] or x's shape.
  virtual Shared add_constant(Shared x, const RingTensor* constant) = 0;

  // The non-linear operations truncate by `truncate` bits first (within one unit, either way) and need
  // |truncated| < 2^(k-1), truncate + k <= x.modulus. Results are masked with modulus l, but for max_pool and arg_max.
  virtual Shared relu(Shared x, Bits truncate, Bits k) = 0;
  // clip: min(max(y, 0), upper) with 0 < upper and |y - upper| < 2^(k-1) too.
  virtual Shared clip(Shared x, Bits truncate, Bits k, uint64_t upper) = 0;
  // leaky_relu: y >= 0 ? y << slope_bits : slope * y.
  virtual Shared leaky_relu(Shared x, Bits truncate, Bits k, int64_t slope, Bits slope_bits) = 0;
  // max_pool: additive, modulus k + 1; needs truncate + k + 1 <= x.modulus.
  virtual Shared max_pool(Shared x, const PoolGeometry& pool, Bits truncate, Bits k) = 0;
  // arg_max over the last axis of [rows, columns]: indices [rows], additive, modulus = bits for columns - 1 (at least
  // 1). Needs truncate + k + 1 <= x.modulus. Ties give the lower index.
  virtual Shared arg_max(Shared x, Bits truncate, Bits k) = 0;
  // rescale: the truncated value itself; needs |truncated| < 2^(k-2).
  virtual Shared rescale(Shared x, Bits truncate, Bits k) = 0;
  // non_negative: y >= 0 ? 1 : 0.
  virtual Shared non_negative(Shared x, Bits truncate, Bits k) = 0;
  // look_up: the entry of every table at the truncated value; |truncated| < 2^(n-1), truncate + n <= x.modulus. The
  // result has shape [tables, shape of x...] and is masked with modulus l.
  virtual Shared look_up(Shared x, Bits truncate, Bits n, std::span<const LookUpTable* const> tables) = 0;

  // product: a * b modulo 2^l, masked; both masked with modulus l. An elementwise product of one object with itself
  // (&a == &b) is a square.
  virtual Shared product(const Shared& a, const Shared& b, const ProductGeometry& geometry) = 0;

  // reveal opens x to one party, re-randomised; the result is there in the online pass, nothing elsewhere.
  virtual std::optional<Public> reveal(const Shared& x, PartyId recipient) = 0;
  // shares gives this party's re-randomised half of x (D offline pass, E online pass; others nothing).
  virtual std::optional<Public> shares(const Shared& x) = 0;

  // Preprocessing: an inference whose offline passes run in one session and whose online passes run in another has keys
  // of its own. use_keys makes this pass draw from them. take_handover gives what this party's offline pass left for its
  // online pass, in the order of the program, and give_handover puts it there (flat tensors will do). A protocol without
  // offline passes has nothing to do.
  virtual void use_keys(const SessionKeys&) {}
  virtual std::vector<RingTensor> take_handover() { return {}; }
  virtual void give_handover(std::vector<RingTensor>) {}
};

// A party's passes over a program, in the order of their threads. set_up runs the model set-up (weights are shared
// once, or kept from an earlier session: Session::store) and makes the passes; `weights` is given at the model owner, null elsewhere (in a dry run: everywhere null).
// The protocols by name: "clear" (cleartext fixed point; needs weights at the only party) and "porthos".
struct ProtocolPasses {
  std::vector<std::unique_ptr<Protocol>> passes;
};
ProtocolPasses set_up_protocol(std::string_view name, Session& session, std::span<const WeightSpec> specs,
                               const std::vector<const RingTensor*>* weights);
std::vector<std::string_view> protocol_names();

}  // namespace treville
