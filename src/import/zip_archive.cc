#include "import/zip_archive.h"

#include <zip.h>

#include <algorithm>

#include "base/error.h"

namespace treville::import {
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
    throw UserError("{}: the archive is damaged or cut short. Copy or save the model again.", file_);
  }
}

ZipArchive::~ZipArchive() = default;

std::optional<std::string> ZipArchive::entry(const std::string& name, uint64_t most) const {
  const zip_int64_t index = zip_name_locate(handle_->archive, name.c_str(), 0);
  if (index < 0) return {};
  zip_stat_t status;
  zip_stat_init(&status);
  const bool known = zip_stat_index(handle_->archive, static_cast<zip_uint64_t>(index), 0, &status) == 0 &&
                     (status.valid & ZIP_STAT_SIZE) != 0;
  if (!known) throw UserError("{}: \"{}\" in the archive is damaged. Copy or save the model again.", file_, name);
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
    throw UserError("{}: \"{}\" in the archive is damaged. Copy or save the model again.", file_, name);
  }
  return result;
}

}  // namespace treville::import
