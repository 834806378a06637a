// Store is what one party keeps on its disk between sessions: its part of the set-up of models' weights, and
// preprocessed inferences. Everything is sealed under the party's storage key, in a folder of mode 0700. The layout:
//
//   weights/ID.share                   weight_shares.h
//   records/PROGRAM-MODEL/keys.table   key_table.h
//   records/PROGRAM-MODEL/NUMBER.record, NUMBER.handover, lock
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/records.h"
#include "store/weight_shares.h"

namespace treville {

class Store {
 public:
  // folder and key file are made where there are none. hook is for tests. Throws UserError.
  Store(std::string folder, const std::string& key_file, PartyId self, FileHook hook = {});
  // A store that keeps nothing: for a party that wants none.
  explicit Store(PartyId self);

  bool keeps() const { return !folder_.empty(); }
  const std::string& folder() const { return folder_; }
  WeightShares& weights() { return weights_; }

  // records opens the records of a program and a model, which this process then holds alone. UserError where the store
  // keeps nothing.
  std::unique_ptr<Records> records(const Digest& program, const StoreId& model);

  // RecordFolder is one set of records, for lists. A set in use by another process is counted as it stands.
  struct RecordFolder {
    Digest program{};
    StoreId model{};
    int64_t left = 0;
    int64_t bytes = 0;
  };
  std::vector<RecordFolder> list() const;

 private:
  std::string records_folder(const Digest& program, const StoreId& model) const;

  const std::string folder_;
  const PartyId self_;
  const SealKey storage_;
  const FileHook hook_;
  WeightShares weights_;
};

}  // namespace treville
