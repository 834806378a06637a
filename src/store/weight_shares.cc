#include "store/weight_shares.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "store/folder.h"

namespace treville {
namespace {

constexpr std::string_view kMagic = "TREVSHRE";
constexpr uint32_t kVersion = 1;
constexpr size_t kSubjectAt = 16, kSaltAt = 48, kSaltBytes = 32, kHeaderBytes = 80;
using HeaderBytes = std::array<std::byte, kHeaderBytes>;

HeaderBytes make_header(PartyId self, const Digest& subject) {
  HeaderBytes header{};
  std::ranges::copy(std::as_bytes(std::span(kMagic)), header.begin());
  std::memcpy(&header[8], &kVersion, sizeof(kVersion));
  header[12] = static_cast<std::byte>(index_of(self));
  std::ranges::copy(subject, &header[kSubjectAt]);
  random_bytes(std::span(header).subspan(kSaltAt, kSaltBytes));
  return header;
}

// share_key is new for every file, because its salt is.
SealKey share_key(const SealKey& storage, const HeaderBytes& header) {
  return derive(storage, "treville weight share", std::span(header).subspan(kSaltAt, kSaltBytes));
}

// share_subject binds a kept part to the model and to the shapes of its weights.
Digest share_subject(const StoreId& model, std::span<const WeightShape> shapes) {
  Hash hash;
  hash.update("treville weights 1\n");
  hash.update(model);
  for (const WeightShape& weight : shapes)
    hash.update(fmt::format("{} {}\n", bits_of(weight.ring), to_string(weight.shape)));
  return hash.digest();
}

// ShareFile is one sealed file on its way to its place.
class ShareFile {
 public:
  ShareFile(const std::string& path, PartyId self, const Digest& subject, const SealKey& storage, const FileHook& hook)
      : file_(path, 0600, hook),
        header_(make_header(self, subject)),
        stream_(share_key(storage, header_), header_,
                [this](std::span<const std::byte> bytes) { file_.write(bytes); }) {}
  void write(std::span<const std::byte> bytes) { stream_.write(bytes); }
  void commit() {
    stream_.finish();
    file_.commit();
  }

 private:
  AtomicFile file_;
  const HeaderBytes header_;
  SealedWriter stream_;
};

class HelperShareFile final : public WeightShares::HelperShare {
 public:
  HelperShareFile(const std::string& path, PartyId self, const Digest& subject, const SealKey& storage,
                  const FileHook& hook, const StoreId& set_up)
      : file_(path, self, subject, storage, hook) {
    file_.write(set_up);
  }
  void add(const RingTensor& part) override { file_.write(part.storage().as<std::byte>()); }
  void commit() override { file_.commit(); }

 private:
  ShareFile file_;
};

}  // namespace

WeightShares::WeightShares(std::string folder, const SealKey& storage, PartyId self, FileHook hook)
    : folder_(std::move(folder)), storage_(storage), self_(self), hook_(std::move(hook)) {
  if (keeps()) make_private_folder(folder_);
}

std::string WeightShares::path_of(std::span<const std::byte> name) const {
  return folder_ + "/" + hex(name.first(sizeof(StoreId))) + ".share";
}

std::unique_ptr<SealedReader> WeightShares::open(const std::string& path, const Digest& subject) {
  if (!keeps()) return nullptr;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0 && errno == ENOENT) return nullptr;
  if (file < 0) throw UserError("{}: {}", path, std::strerror(errno));
  HeaderBytes found{};
  struct stat status {};
  const bool has_header = ::read(file, found.data(), found.size()) == kHeaderBytes && ::fstat(file, &status) == 0;
  HeaderBytes expected = make_header(self_, subject);
  std::copy_n(&found[kSaltAt], kSaltBytes, &expected[kSaltAt]);
  if (!has_header || found != expected) {
    ::close(file);
    throw UserError("{}: is damaged, or holds the share of other weights", path);
  }
  return std::make_unique<SealedReader>(share_key(storage_, found), found, file,
                                        static_cast<int64_t>(status.st_size) - static_cast<int64_t>(kHeaderBytes),
                                        path);
}

Digest WeightShares::subject_of(std::span<const RingTensor* const> weights) {
  Hash hash;
  for (const RingTensor* weight : weights) {
    hash.update(fmt::format("{} {}\n", bits_of(weight->ring()), to_string(weight->shape())));
    hash.update(weight->storage().as<std::byte>());
  }
  // Keyed, so that what is on disk lets nobody confirm a guess of the weights.
  return hmac(storage_.bytes(), "treville weights digest", hash.digest());
}

WeightShares::Model WeightShares::identify(std::span<const RingTensor* const> weights, const StoreId& proposed) {
  if (!keeps()) return {proposed, std::nullopt, {}};
  const Digest subject = subject_of(weights);
  try {
    if (const auto reader = open(path_of(subject), subject)) {
      StoreId model, set_up;
      reader->read(model);
      reader->read(set_up);
      reader->finish();
      return {model, set_up == StoreId{} ? std::nullopt : std::optional(set_up), subject};
    }
  } catch (const UserError& error) {
    note(error.what());
  }
  // Other weights may stand under the proposed id: a new id where that is not ruled out.
  const std::string used = folder_ + "/" + hex(proposed) + ".used";
  Model model{proposed, std::nullopt, subject};
  if (std::filesystem::exists(used)) random_bytes(model.id);
  try {
    AtomicFile(folder_ + "/" + hex(model.id) + ".used", 0600, hook_).commit();
    keep_model(model);
  } catch (const UserError& error) {
    note(error.what());
  }
  return model;
}

void WeightShares::keep_model(const Model& model) {
  ShareFile file(path_of(model.weights), self_, model.weights, storage_, hook_);
  file.write(model.id);
  file.write(model.set_up.value_or(StoreId{}));
  file.commit();
}

std::optional<Key> WeightShares::dealer_key(const StoreId& model, std::span<const WeightShape> shapes,
                                            const StoreId& set_up) {
  try {
    const auto reader = open(path_of(model), share_subject(model, shapes));
    if (!reader) return std::nullopt;
    StoreId found;
    std::array<std::byte, Key::kBytes> bytes;
    reader->read(found);
    reader->read(bytes);
    reader->finish();
    const Key key{std::span<const std::byte, Key::kBytes>(bytes)};
    wipe(bytes);
    if (found == set_up) return key;
  } catch (const UserError& error) {
    note(error.what());
  }
  return std::nullopt;
}

void WeightShares::keep_dealer_key(const StoreId& model, std::span<const WeightShape> shapes, const StoreId& set_up,
                                   const Key& key) {
  ShareFile file(path_of(model), self_, share_subject(model, shapes), storage_, hook_);
  file.write(set_up);
  file.write(key.bytes());
  file.commit();
}

std::optional<std::vector<RingTensor>> WeightShares::helper_share(const StoreId& model,
                                                                  std::span<const WeightShape> shapes,
                                                                  const StoreId& set_up) {
  try {
    const auto reader = open(path_of(model), share_subject(model, shapes));
    if (!reader) return std::nullopt;
    StoreId found;
    reader->read(found);
    if (found != set_up) return std::nullopt;
    std::vector<RingTensor> parts;
    for (const WeightShape& weight : shapes) {
      RingTensor& part = parts.emplace_back(RingTensor::stored(weight.ring, weight.shape));
      reader->read(part.storage().as<std::byte>());
    }
    reader->finish();
    return parts;
  } catch (const UserError& error) {
    note(error.what());
  }
  return std::nullopt;
}

std::unique_ptr<WeightShares::HelperShare> WeightShares::keep_helper_share(const StoreId& model,
                                                                           std::span<const WeightShape> shapes,
                                                                           const StoreId& set_up) {
  return std::make_unique<HelperShareFile>(path_of(model), self_, share_subject(model, shapes), storage_, hook_,
                                           set_up);
}

}  // namespace treville
