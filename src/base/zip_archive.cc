#include "base/zip_archive.h"

#include <zip.h>

#include <algorithm>

#include "base/error.h"

namespace treville {
namespace {

// Deflate cannot do better than 1032 to 1: an entry that claims more is a bomb or damaged.
constexpr uint64_t kBestRatio = 1100;

}  // namespace

struct ZipArchive::Handle {
  zip_t* archive = nullptr;
  ~Handle() {
    if (archive != nullptr) zip_discard(archive);
  }
};

ZipArchive::ZipArchive(std::string bytes, std::string file)
    : bytes_(std::move(bytes)), file_(std::move(file)), handle_(std::make_unique<Handle>()) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes_.data(), bytes_.size(), 0, &error);
  if (source != nullptr) handle_->archive = zip_open_from_source(source, ZIP_RDONLY, &error);
  if (handle_->archive == nullptr && source != nullptr) zip_source_free(source);
  zip_error_fini(&error);
  if (handle_->archive == nullptr) {
    throw UserError("{}: the archive is damaged or cut short. Copy or save it again.", file_);
  }
}

ZipArchive::~ZipArchive() = default;

std::vector<std::string> ZipArchive::names(uint64_t most) const {
  const auto count = static_cast<uint64_t>(std::max<zip_int64_t>(zip_get_num_entries(handle_->archive, 0), 0));
  if (count > most) throw UserError("{}: the archive has {} entries, more than are read ({}).", file_, count, most);
  std::vector<std::string> result;
  for (uint64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(handle_->archive, i, 0);
    if (name == nullptr) throw UserError("{}: the archive is damaged. Copy or save it again.", file_);
    result.emplace_back(name);
  }
  return result;
}

std::optional<std::string> ZipArchive::entry(const std::string& name, uint64_t most) const {
  const zip_int64_t index = zip_name_locate(handle_->archive, name.c_str(), 0);
  if (index < 0) return {};
  zip_stat_t status;
  zip_stat_init(&status);
  const bool known = zip_stat_index(handle_->archive, static_cast<zip_uint64_t>(index), 0, &status) == 0 &&
                     (status.valid & ZIP_STAT_SIZE) != 0;
  if (!known) throw UserError("{}: \"{}\" in the archive is damaged. Copy or save it again.", file_, name);
  if (status.size > std::min(most, kBestRatio * bytes_.size())) {
    throw UserError("{}: \"{}\" in the archive unpacks to {} bytes, more than is read ({}).", file_, name, status.size,
                    std::min(most, kBestRatio * bytes_.size()));
  }
  std::string result(status.size, '\0');
  zip_file_t* stream = zip_fopen_index(handle_->archive, static_cast<zip_uint64_t>(index), 0);
  zip_int64_t got = -1;
  char more = 0;
  if (stream != nullptr) {
    got = zip_fread(stream, result.data(), result.size());
    // The checksum is compared when the end is reached.
    if (zip_fread(stream, &more, 1) != 0) got = -1;
    zip_fclose(stream);
  }
  if (got != static_cast<zip_int64_t>(result.size())) {
    throw UserError("{}: \"{}\" in the archive is damaged. Copy or save it again.", file_, name);
  }
  return result;
}

std::string zip_of(const std::vector<std::pair<std::string, std::string>>& entries) {
  constexpr zip_uint16_t kFirstDay = (1 << 5) + 1;  // 1980-01-01, where the times of ZIP begin
  zip_source_t* memory = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  CHECK(memory != nullptr, "no memory for an archive");
  zip_source_keep(memory);
  zip_t* archive = zip_open_from_source(memory, ZIP_TRUNCATE, nullptr);
  CHECK(archive != nullptr, "cannot begin an archive");
  for (const auto& [name, bytes] : entries) {
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    CHECK(source != nullptr && index >= 0, "cannot add \"{}\" to an archive: {}", name, zip_strerror(archive));
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
    zip_file_set_dostime(archive, static_cast<zip_uint64_t>(index), 0, kFirstDay, 0);
  }
  CHECK(zip_close(archive) == 0, "cannot end an archive: {}", zip_strerror(archive));
  zip_stat_t status;
  zip_stat_init(&status);
  CHECK(zip_source_open(memory) == 0 && zip_source_stat(memory, &status) == 0, "cannot read an archive back");
  std::string result(status.size, '\0');
  CHECK(zip_source_read(memory, result.data(), result.size()) == static_cast<zip_int64_t>(result.size()),
        "cannot read an archive back");
  zip_source_close(memory);
  zip_source_free(memory);
  return result;
}

}  // namespace treville
