// treville keys: certificates of parties, and a federation file that lists them.
#include "party/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/error.h"
#include "cli/command.h"
#include "net/tls_stream.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string directory;
  std::string name;
  std::vector<std::string> names = {"client", "model-owner", "helper"};
  std::vector<std::string> addresses = {"127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7002"};
  bool json = false;
};

std::string federation_text(const std::vector<PartyFiles>& files, const std::vector<std::string>& addresses) {
  std::string text =
      "# Who the three parties are. Every party needs this file, the certificates, and its own key alone.\n"
      "# The party with the lower id calls the others, so party 0 needs no open port.\n"
      "parties:\n";
  for (size_t i = 0; i < files.size(); ++i) {
    text +=
        fmt::format("  - id: {}\n    name: {}\n    address: {}\n    certificate: {}\n    key: {}\n", i, files[i].name,
                    addresses[i], files[i].certificate.filename().string(), files[i].key.filename().string());
  }
  return text;
}

Json files_json(const std::vector<PartyFiles>& files) {
  Json list = Json::array();
  for (const PartyFiles& party : files) {
    list.push_back({{"name", party.name},
                    {"certificate", party.certificate.string()},
                    {"key", party.key.string()},
                    {"storage_key", party.storage_key.string()},
                    {"fingerprint", hex(certificate_fingerprint(party.certificate.string()))}});
  }
  return list;
}

// check_address keeps what the federation file would refuse from being written: host:port, and nothing YAML would read
// as more.
void check_address(const std::string& address) {
  const size_t colon = address.rfind(':');
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  const bool has_host = colon != std::string::npos && colon > 0;
  const bool is_plain = std::all_of(address.begin(), address.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::strchr(".-_:[]", c) != nullptr;
  });
  const bool has_port = !port.empty() && port.size() <= 5 &&
                        port.find_first_not_of("0123456789") == std::string::npos && std::stoi(port) >= 1 &&
                        std::stoi(port) <= 65535;
  if (!has_host || !is_plain || !has_port) throw UserError("--addresses: '{}' is not host:port", address);
}

// check_federation looks at everything before the first key is written.
void check_federation(const Options& options, const fs::path& federation) {
  const std::set<std::string> distinct(options.names.begin(), options.names.end());
  if (distinct.size() != options.names.size()) throw UserError("--names: the three parties need three different names");
  for (const std::string& address : options.addresses) check_address(address);
  if (fs::exists(federation)) {
    throw UserError("{} is there already. Remove it first, or make a single key with --name", federation.string());
  }
}

int keys(const Options& options) {
  const bool is_one = !options.name.empty();
  if (!is_one) check_federation(options, fs::path(options.directory) / "federation.yaml");
  const std::vector<PartyFiles> files =
      make_keys(options.directory, is_one ? std::vector{options.name} : options.names);
  const fs::path federation = fs::path(options.directory) / "federation.yaml";
  if (!is_one) {
    std::ofstream file(federation);
    file << federation_text(files, options.addresses);
    if (!file.flush()) throw UserError("{}: cannot write it", federation.string());
  }
  if (options.json) {
    Json object = {{"parties", files_json(files)}};
    if (!is_one) object["federation"] = federation.string();
    print_json(object);
    return kSuccess;
  }
  for (const PartyFiles& party : files) {
    fmt::print(
        "  {}\n    certificate  {}   public: give it to the other parties\n    key          {}   private: stays here\n"
        "    storage key  {}   private: seals what this party keeps on disk\n    fingerprint  {}\n",
        party.name, party.certificate.string(), party.key.string(), party.storage_key.string(),
        hex(certificate_fingerprint(party.certificate.string())));
  }
  if (is_one) {
    fmt::print(
        "\nNext: exchange certificates with the other two parties and list all three in a federation file\n"
        "(docs/deployment.md shows one). Compare the fingerprints over another channel, for instance by phone.\n");
  } else {
    fmt::print("\n  federation   {}\n\nNext: treville party --id 0|1|2 --federation {} --program DIR\n",
               federation.string(), federation.string());
  }
  return kSuccess;
}

}  // namespace

Command add_keys(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app =
      new_command(root, "keys", "Certificates for the parties of a federation",
                  "Examples:\n"
                  "  treville keys federation                        # three parties on this machine, to try out\n"
                  "  treville keys mine --name hospital              # one organisation: its own key\n\n"
                  "Each party has an EC P-256 key and a self-signed certificate; parties pin each other's\n"
                  "certificates, there is no authority to trust. Existing files are never overwritten.",
                  options->json);
  app->add_option("DIR", options->directory, "Where to write (made with mode 0700)")->required();
  app->add_option("--name", options->name, "Make the key of one party of this name only");
  app->add_option("--names", options->names, "Names of parties 0, 1 and 2")->expected(3)->delimiter(',');
  app->add_option("--addresses", options->addresses, "host:port of parties 0, 1 and 2")->expected(3)->delimiter(',');
  return {app, [options] { return keys(*options); }};
}

}  // namespace treville::cli
