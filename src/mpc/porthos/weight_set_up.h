// The model set-up with what the parties kept of an earlier one: W1 is sent once for each model, not once for each
// session. From docs/protocols/porthos.md, section 3.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "mpc/porthos/pass.h"
#include "mpc/protocol.h"
#include "store/weight_shares.h"

namespace treville::porthos {

class WeightSetUp {
 public:
  // As set_up_porthos. Without a store in the session this is set_up_weights.
  WeightSetUp(Session& session, std::span<const WeightSpec> specs, const std::vector<const RingTensor*>* weights);

  // run returns this party's part of every weight. With a store the parties first compare which set-up they hold parts
  // of, and send W1 only where one of them lacks its part; in a session that is online only they send nothing else, and
  // D and H get no parts.
  //   cost  with a store: 2 messages of E of 32 bytes, 2 of D and 2 of H of 16 bytes
  std::vector<Owned> run();
  // keep stores this party's part of a set-up that all parties completed; a failure is a note.
  void keep();

 private:
  void agree();
  StoreId held_set_up(const StoreId& offered);
  std::vector<Owned> kept_weights();
  std::vector<Owned> new_weights();
  std::vector<WeightShape> shapes() const;
  void noting(const std::function<void()>& step);

  Session& session_;
  const std::span<const WeightSpec> specs_;
  const std::vector<const RingTensor*>* const weights_;
  WeightShares* shares_ = nullptr;                   // null without a store
  WeightShares::Model model_;                        // at E
  std::optional<std::vector<RingTensor>> held_;      // at H: W1 from an earlier session
  std::optional<Key> held_key_;                      // at D: its k_W
  std::unique_ptr<WeightShares::HelperShare> file_;  // at H: W1 on its way to the disk
};

}  // namespace treville::porthos
