// ReplayNetwork lets an online walk run from a record: what it would receive offline comes from the record, everything
// else goes to the network it wraps.
#pragma once

#include <array>
#include <memory>

#include "net/network.h"
#include "store/records.h"

namespace treville {

class ReplayNetwork final : public Network {
 public:
  explicit ReplayNetwork(std::unique_ptr<Network> inner);
  ~ReplayNetwork() override;

  // use sets the record that offline messages come from, null for none: then receiving one is a BugError.
  void use(RecordReader* record) { record_ = record; }
  // release gives the wrapped network back.
  std::unique_ptr<Network> release() { return std::move(inner_); }

  PartyId self() const override { return inner_->self(); }
  Channel& channel(PartyId peer, Phase phase) override;
  void set_step_name(Phase phase, std::string name) override { inner_->set_step_name(phase, std::move(name)); }
  Digest transcript(PartyId peer, Phase phase) const override { return inner_->transcript(peer, phase); }
  void check() const override { inner_->check(); }
  void abort(const std::string& reason) override { inner_->abort(reason); }

 private:
  class OfflineChannel;
  std::unique_ptr<Network> inner_;
  RecordReader* record_ = nullptr;
  std::array<std::unique_ptr<OfflineChannel>, 3> offline_;
};

}  // namespace treville
