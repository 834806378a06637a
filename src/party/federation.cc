#include "party/federation.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"
#include "net/tls_stream.h"

namespace treville {
namespace {

constexpr size_t kMaxFileBytes = 64 * 1024;
constexpr size_t kMaxValueBytes = 1024;

// Reader turns YAML into values, with messages that name file and line.
class Reader {
 public:
  Reader(std::string directory, std::string origin) : directory_(std::move(directory)), origin_(std::move(origin)) {}

  template <class... Args>
  [[noreturn]] void fail(const YAML::Node& node, fmt::format_string<Args...> format, Args&&... args) const {
    const YAML::Mark mark = node.Mark();
    const std::string text = fmt::format(format, std::forward<Args>(args)...);
    if (mark.is_null()) throw UserError("{}: {}", origin_, text);
    throw UserError("{}:{}: {}", origin_, mark.line + 1, text);
  }

  // check_map says which keys a map may have; each once.
  void check_map(const YAML::Node& node, const char* what, const std::vector<std::string_view>& known) const {
    if (!node.IsMap()) fail(node, "{} is not a list of 'key: value' lines", what);
    std::vector<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) fail(entry.first, "a key of {} is not a word", what);
      const std::string& key = entry.first.Scalar();
      if (std::ranges::find(known, key) == known.end()) {
        fail(entry.first, "{} has no key '{}'{}", what, key, did_you_mean(key, known));
      }
      if (std::ranges::find(seen, key) != seen.end()) fail(entry.first, "'{}' appears twice", key);
      seen.push_back(key);
    }
  }

  std::optional<std::string> text(const YAML::Node& map, const char* key) const {
    const YAML::Node node = map[key];
    if (!node) return std::nullopt;
    if (!node.IsScalar() || node.Scalar().empty() || node.Scalar().size() > kMaxValueBytes) {
      fail(node.IsDefined() ? node : map, "'{}' is not a short text", key);
    }
    return node.Scalar();
  }

  std::string required(const YAML::Node& map, const char* key) const {
    std::optional<std::string> value = text(map, key);
    if (!value) fail(map, "'{}' is missing", key);
    return *value;
  }

  int64_t integer(const YAML::Node& map, const char* key, int64_t low, int64_t high) const {
    const std::string value = required(map, key);
    int64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number < low || number > high) {
      fail(map[key], "'{}' is '{}', expected a number from {} to {}", key, value, low, high);
    }
    return number;
  }

  void seconds(const YAML::Node& map, const char* key, std::chrono::milliseconds& out) const {
    const std::optional<std::string> value = text(map, key);
    if (!value) return;
    double number = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
    if (error != std::errc() || end != value->data() + value->size() || !(number >= 0.1 && number <= 86400)) {
      fail(map[key], "'{}' is '{}', expected seconds from 0.1 to 86400", key, *value);
    }
    out = std::chrono::milliseconds(std::llround(number * 1000));
  }

  Address address(const YAML::Node& map, const char* key) const {
    const std::string value = required(map, key);
    const size_t colon = value.rfind(':');
    Address result;
    int port = 0;
    const char* end = value.data() + value.size();
    if (colon != std::string::npos && colon > 0) {
      const auto [stop, error] = std::from_chars(value.data() + colon + 1, end, port);
      if (error != std::errc() || stop != end) port = 0;
      result.host = value.substr(0, colon);
    }
    const bool bracketed = result.host.size() > 2 && result.host.front() == '[' && result.host.back() == ']';
    if (bracketed) result.host = result.host.substr(1, result.host.size() - 2);
    if (port < 1 || port > 65535 || (!bracketed && result.host.find(':') != std::string::npos)) {
      fail(map[key], "'{}' is '{}', expected host:port, for instance evaluator.example:7000", key, value);
    }
    result.port = static_cast<uint16_t>(port);
    return result;
  }

  std::string path(const std::string& value) const {
    const std::filesystem::path given(value);
    return given.is_absolute() ? value : (std::filesystem::path(directory_) / given).string();
  }

 private:
  const std::string directory_;
  const std::string origin_;
};

Digest parse_fingerprint(const Reader& reader, const YAML::Node& map, const std::string& value) {
  Digest digest;
  std::string digits;
  std::ranges::copy_if(value, std::back_inserter(digits), [](char c) { return c != ':'; });
  bool good = digits.size() == 2 * digest.size();
  for (size_t i = 0; good && i < digest.size(); ++i) {
    unsigned byte = 0;
    const char* begin = digits.data() + 2 * i;
    const auto [end, error] = std::from_chars(begin, begin + 2, byte, 16);
    good = error == std::errc() && end == begin + 2;
    digest[i] = static_cast<std::byte>(byte);
  }
  if (!good) reader.fail(map["fingerprint"], "'fingerprint' is not the 64 hexadecimal digits of a SHA-256");
  return digest;
}

// parse_store: what a party keeps stands beside its key, unless the file says otherwise.
void parse_store(const Reader& reader, const YAML::Node& map, Member& member) {
  const std::filesystem::path key(member.key);
  const auto beside = [&](const char* extension) {
    return member.key.empty() ? std::string() : std::filesystem::path(key).replace_extension(extension).string();
  };
  const auto store = reader.text(map, "store"), storage_key = reader.text(map, "storage-key");
  if (!store) {
    member.store = beside(".store");
  } else if (*store != "none") {
    member.store = reader.path(*store);
  }
  member.storage_key = storage_key ? reader.path(*storage_key) : beside(".storage");
}

Member parse_member(const Reader& reader, const YAML::Node& map) {
  reader.check_map(map, "a party",
                   {"id", "name", "address", "listen", "certificate", "fingerprint", "key", "store", "storage-key"});
  Member member;
  member.id = static_cast<PartyId>(reader.integer(map, "id", 0, 2));
  member.name = reader.required(map, "name");
  member.address = reader.address(map, "address");
  member.listen = map["listen"] ? reader.address(map, "listen") : member.address;
  if (const auto key = reader.text(map, "key")) member.key = reader.path(*key);
  parse_store(reader, map, member);
  const auto certificate = reader.text(map, "certificate"), pin = reader.text(map, "fingerprint");
  if (!certificate && !pin) reader.fail(map, "party {} has neither 'certificate' nor 'fingerprint'", member.id);
  if (certificate) {
    member.certificate = reader.path(*certificate);
    member.fingerprint = certificate_fingerprint(member.certificate);
  }
  if (pin) {
    const Digest pinned = parse_fingerprint(reader, map, *pin);
    if (certificate && pinned != member.fingerprint) {
      reader.fail(map["fingerprint"], "'fingerprint' is not that of {}, which is {}", member.certificate,
                  hex(member.fingerprint));
    }
    member.fingerprint = pinned;
  }
  return member;
}

void parse_members(const Reader& reader, const YAML::Node& list, Federation& federation) {
  if (!list.IsSequence() || list.size() != 3) reader.fail(list, "'parties' must list the three parties");
  bool seen[3] = {};
  for (const YAML::Node& node : list) {
    Member member = parse_member(reader, node);
    const auto index = static_cast<size_t>(index_of(member.id));
    if (seen[index]) reader.fail(node, "party {} is listed twice", member.id);
    seen[index] = true;
    for (PartyId other : kAllParties) {
      const auto o = static_cast<size_t>(index_of(other));
      if (o == index || !seen[o]) continue;
      if (federation.members[o].name == member.name) reader.fail(node, "two parties are named '{}'", member.name);
      if (federation.members[o].fingerprint == member.fingerprint) {
        reader.fail(node, "parties {} and {} have the same certificate; every party needs a key of its own", other,
                    member.id);
      }
    }
    federation.members[index] = std::move(member);
  }
}

}  // namespace

std::string to_string(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", address.host, address.port) : fmt::format("{}:{}", address.host, address.port);
}

Federation parse_federation(const std::string& text, const std::string& directory, const std::string& origin) {
  if (text.size() > kMaxFileBytes) {
    throw UserError("{}: {} bytes; a federation file has at most {}", origin, text.size(), kMaxFileBytes);
  }
  const Reader reader(directory, origin);
  Federation federation;
  try {
    const YAML::Node root = YAML::Load(text);
    reader.check_map(root, "a federation file", {"parties", "deadlines"});
    if (!root["parties"]) reader.fail(root, "'parties' is missing");
    parse_members(reader, root["parties"], federation);
    if (const YAML::Node deadlines = root["deadlines"]) {
      reader.check_map(deadlines, "'deadlines'", {"start", "silence"});
      reader.seconds(deadlines, "start", federation.start_deadline);
      reader.seconds(deadlines, "silence", federation.silence_deadline);
    }
  } catch (const YAML::Exception& error) {
    throw UserError("{}:{}: not valid YAML: {}", origin, error.mark.line + 1, error.msg);
  }
  return federation;
}

Federation load_federation(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw UserError("{}: cannot be opened. 'treville keys' writes a federation file to start from.", file);
  std::string text(kMaxFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) throw UserError("{}: cannot be read", file);
  text.resize(static_cast<size_t>(stream.gcount()));
  const std::string directory = std::filesystem::path(file).parent_path().string();
  return parse_federation(text, directory, file);
}

PartyId find_member(const Federation& federation, const std::string& id_or_name) {
  std::vector<std::string_view> names;
  for (const Member& member : federation.members) {
    if (member.name == id_or_name || fmt::format("{}", member.id) == id_or_name) return member.id;
    names.push_back(member.name);
  }
  throw UserError("no party '{}' in the federation{}", id_or_name, did_you_mean(id_or_name, names));
}

}  // namespace treville
