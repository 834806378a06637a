// Federation says who the three parties are: names, addresses and pinned certificates. It is read from a YAML file that
// may be the same at all parties; a party needs only its own private key.
//
//   parties:
//     - id: 0
//       name: client
//       address: client.example:7000       # who has the lower id calls, so party 0 needs no open port
//       certificate: keys/client.crt       # or fingerprint: 64 hexadecimal digits of its SHA-256
//       key: keys/client.key               # at this party only
//       store: keys/client.store           # optional: where this party keeps things between sessions, or `none`;
//       storage-key: keys/client.storage   # optional: what seals them. Both stand beside the key unless given
//     - id: 1
//       ...
//       listen: 0.0.0.0:7000               # optional: where to listen if not at `address`
//   deadlines:                             # optional, in seconds
//     start: 60                            # for all parties to appear
//     silence: 4                           # without a sign of life from a party
//
// Paths are relative to the file.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/ids.h"
#include "crypto/hash.h"

namespace treville {

struct Address {
  std::string host;
  uint16_t port = 0;
};
// to_string prints host:port, with brackets around an IPv6 host.
std::string to_string(const Address& address);

struct Member {
  PartyId id = PartyId::kDealer;
  std::string name;
  Address address;
  Address listen;           // = address where the file has none
  Digest fingerprint{};     // SHA-256 of the certificate
  std::string certificate;  // file, empty when only the fingerprint is known
  std::string key;          // file, empty at other parties
  std::string store;        // folder of what the party keeps; empty: it keeps nothing
  std::string storage_key;  // file of the key that seals it
};

struct Federation {
  std::array<Member, 3> members;  // by id
  std::chrono::milliseconds start_deadline = std::chrono::seconds(60);
  std::chrono::milliseconds silence_deadline = std::chrono::seconds(4);

  const Member& member(PartyId id) const { return members[static_cast<size_t>(index_of(id))]; }
};

// load_federation reads and checks a file of at most 64 KiB. Throws UserError that names the line and, for an unknown
// key, the nearest known one.
Federation load_federation(const std::string& file);
// parse_federation is load_federation on text; `directory` is what relative paths are relative to, `origin` is for
// messages. The certificate files are read.
Federation parse_federation(const std::string& text, const std::string& directory, const std::string& origin);
// find_member returns the party of this id ("1") or name. Throws UserError.
PartyId find_member(const Federation& federation, const std::string& id_or_name);

}  // namespace treville
