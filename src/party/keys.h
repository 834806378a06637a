// Keys of parties on disk: an EC P-256 key, a self-signed certificate and a storage key each. There is no authority: every party lists
// the certificates of the others in its federation file and accepts exactly those.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace treville {

struct PartyFiles {
  std::string name;
  std::filesystem::path certificate;  // NAME.crt, public, to be given to the other parties
  std::filesystem::path key;          // NAME.key, mode 0600, never leaves its owner
  std::filesystem::path storage_key;  // NAME.storage, mode 0600, the same: seals what the party keeps on disk
};

// make_keys writes the files of each name into `directory`, which it makes with mode 0700. Throws UserError when a name
// is not usable as a file name, when a file is there already, or when writing fails.
std::vector<PartyFiles> make_keys(const std::filesystem::path& directory, const std::vector<std::string>& names);

}  // namespace treville
