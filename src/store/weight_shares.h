// WeightShares keeps a party's part of the weight set-up between sessions (docs/protocols/porthos.md, section 3), so
// that a model's weights are shared once: D keeps k_W, H keeps W1, E keeps which weights it shared as which model. Each
// is a sealed stream under a key that is derived from the storage key for that file alone.
//
//   header: "TREVSHRE" | version (4) | party (4) | subject (32) | salt (32)
//   subject  D, H: SHA-256 of the model and of the shapes of its weights; E: HMAC of the weights under the storage key
//   content  D: set-up (16) | k_W (16)     H: set-up (16) | W1     E: model (16) | set-up (16), zero where there is
//   none
//
// A set-up is named by the random id of the session in which it happened. Parts of two set-ups never go together: all
// three parties compare the name before they use what they kept.
//
// A part that cannot be read, for whatever reason, is as good as none: the parties then share the weights anew.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/ids.h"
#include "crypto/seal.h"
#include "store/key_table.h"
#include "store/sealed_stream.h"
#include "tensor/ring_tensor.h"

namespace treville {

struct WeightShape {
  Ring ring = Ring::k32;
  Shape shape;
};

class WeightShares {
 public:
  // folder empty: nothing is kept.
  WeightShares(std::string folder, const SealKey& storage, PartyId self, FileHook hook);

  // E: what is known of these weights. The model's id is `proposed` (the weights file's) where they are new, so that
  // one id never stands for two sets of weights.
  struct Model {
    StoreId id{};
    std::optional<StoreId> set_up;
    Digest weights{};  // keyed
  };
  Model identify(std::span<const RingTensor* const> weights, const StoreId& proposed);
  void keep_model(const Model& model);

  // D: k_W of a set-up.
  std::optional<Key> dealer_key(const StoreId& model, std::span<const WeightShape> shapes, const StoreId& set_up);
  void keep_dealer_key(const StoreId& model, std::span<const WeightShape> shapes, const StoreId& set_up,
                       const Key& key);

  // H: W1 of a set-up.
  std::optional<std::vector<RingTensor>> helper_share(const StoreId& model, std::span<const WeightShape> shapes,
                                                      const StoreId& set_up);
  // HelperShare is written tensor by tensor while they arrive; without commit nothing is kept.
  class HelperShare {
   public:
    virtual ~HelperShare() = default;
    virtual void add(const RingTensor& part) = 0;
    virtual void commit() = 0;
  };
  std::unique_ptr<HelperShare> keep_helper_share(const StoreId& model, std::span<const WeightShape> shapes,
                                                 const StoreId& set_up);

  bool keeps() const { return !folder_.empty(); }
  // notes are what went wrong with what was kept, for people; nothing of it stops a run.
  const std::vector<std::string>& notes() const { return notes_; }
  void note(std::string text) { notes_.push_back(std::move(text)); }

 private:
  std::string path_of(std::span<const std::byte> name) const;
  std::unique_ptr<SealedReader> open(const std::string& path, const Digest& subject);
  Digest subject_of(std::span<const RingTensor* const> weights);

  const std::string folder_;
  const SealKey storage_;
  const PartyId self_;
  const FileHook hook_;
  std::vector<std::string> notes_;
};

}  // namespace treville
