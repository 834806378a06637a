#include "store/store.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "store/folder.h"

namespace treville {
namespace {

namespace fs = std::filesystem;

std::string made_private(std::string folder) {
  make_private_folder(folder);
  return folder;
}

// bytes_of_hex reads as many digits as `out` has room for; false where they are none.
bool bytes_of_hex(std::string_view text, std::span<std::byte> out) {
  if (text.size() != 2 * out.size()) return false;
  for (size_t i = 0; i < out.size(); ++i) {
    unsigned value = 0;
    for (const char c : text.substr(2 * i, 2)) {
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
      value = 16 * value + static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    out[i] = static_cast<std::byte>(value);
  }
  return true;
}

}  // namespace

Store::Store(std::string folder, const std::string& key_file, PartyId self, FileHook hook)
    : folder_(made_private(std::move(folder))),
      self_(self),
      storage_(storage_key(key_file)),
      hook_(std::move(hook)),
      weights_(folder_ + "/weights", storage_, self, hook_) {}

Store::Store(PartyId self) : self_(self), weights_({}, {}, self, {}) {}

std::string Store::records_folder(const Digest& program, const StoreId& model) const {
  return fmt::format("{}/records/{}-{}", folder_, hex(program), hex(model));
}

std::unique_ptr<Records> Store::records(const Digest& program, const StoreId& model) {
  if (!keeps()) {
    throw UserError(
        "preprocessed inferences need a store, and this party keeps none: give it 'store: FOLDER' in the federation "
        "file");
  }
  return std::make_unique<Records>(records_folder(program, model), storage_, RecordSubject{self_, program, model},
                                   hook_);
}

std::vector<Store::RecordFolder> Store::list() const {
  std::vector<RecordFolder> found;
  const std::string root = folder_ + "/records";
  if (!keeps() || !fs::is_directory(root)) return found;
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    RecordFolder row;
    const size_t dash = name.find('-');
    if (dash == std::string::npos || !bytes_of_hex(name.substr(0, dash), row.program) ||
        !bytes_of_hex(name.substr(dash + 1), row.model) || !fs::exists(entry.path() / "keys.table")) {
      continue;
    }
    const KeyTable table((entry.path() / "keys.table").string(), storage_, {self_, row.program, row.model}, {},
                         KeyTable::Use::kLook);
    row.left = static_cast<int64_t>(table.live().size());
    for (const auto& [number, record] : table.live()) row.bytes += record.bytes;
    found.push_back(row);
  }
  std::sort(found.begin(), found.end(),
            [](const RecordFolder& a, const RecordFolder& b) { return a.program < b.program; });
  return found;
}

}  // namespace treville
