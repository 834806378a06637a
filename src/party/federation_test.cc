#include "party/federation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "net/tls_stream.h"
#include "party/keys.h"

namespace treville {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Federations of three parties with real certificates in a directory of their own.
class FederationFile : public testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/treville_federation_XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    make_keys(directory_ / "keys", {"client", "owner", "aide"});
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static std::string member(int id, const std::string& name, const std::string& more = "") {
    return fmt::format(
        "  - id: {}\n    name: {}\n    address: {}.example:{}\n    certificate: keys/{}.crt\n    key: keys/{}.key\n{}",
        id, name, name, 7000 + id, name, name, more);
  }
  static std::string good() { return "parties:\n" + member(0, "client") + member(1, "owner") + member(2, "aide"); }

  Federation parse(const std::string& text) const { return parse_federation(text, directory_, "federation.yaml"); }
  std::string error_of(const std::string& text) const {
    try {
      parse(text);
    } catch (const UserError& error) {
      return error.what();
    }
    return "no UserError";
  }
  static std::string replace(std::string text, const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
    return text;
  }

  std::filesystem::path directory_;
};

TEST_F(FederationFile, IsReadWithPathsRelativeToItAndDefaults) {
  const std::filesystem::path file = directory_ / "federation.yaml";
  std::ofstream(file) << good();
  const Federation federation = load_federation(file);
  const Member& owner = federation.member(PartyId::kEvaluator);
  EXPECT_EQ(owner.name, "owner");
  EXPECT_EQ(to_string(owner.address), "owner.example:7001");
  EXPECT_EQ(to_string(owner.listen), "owner.example:7001");
  EXPECT_EQ(owner.key, directory_ / "keys/owner.key");
  EXPECT_EQ(owner.fingerprint, certificate_fingerprint(directory_ / "keys/owner.crt"));
  EXPECT_EQ(federation.start_deadline, std::chrono::seconds(60));
  EXPECT_EQ(federation.silence_deadline, std::chrono::seconds(4));
}

TEST_F(FederationFile, KeepsAStoreBesideTheKeyUnlessItSaysOtherwise) {
  const Federation federation =
      parse("parties:\n" + member(0, "client") + member(1, "owner", "    store: kept\n    storage-key: /etc/k\n") +
            member(2, "aide", "    store: none\n"));
  EXPECT_EQ(federation.members[0].store, directory_ / "keys/client.store");
  EXPECT_EQ(federation.members[0].storage_key, directory_ / "keys/client.storage");
  EXPECT_TRUE(std::filesystem::exists(directory_ / "keys/client.storage")) << "made with the key";
  EXPECT_EQ(federation.members[1].store, directory_ / "kept");
  EXPECT_EQ(federation.members[1].storage_key, "/etc/k");
  EXPECT_EQ(federation.members[2].store, "");
  const std::string elsewhere = replace(good(), "    key: keys/aide.key\n", "");
  EXPECT_EQ(parse(elsewhere).members[2].store, "") << "another party's";
}

TEST_F(FederationFile, TakesFingerprintsListenAddressesAndDeadlines) {
  const std::string pin = hex(certificate_fingerprint(directory_ / "keys/aide.crt"));
  std::string text = replace(good(), "certificate: keys/aide.crt", "fingerprint: " + pin);
  text = replace(text, "address: aide.example:7002", "address: '[::1]:7002'\n    listen: 0.0.0.0:9");
  const Federation federation = parse(text + "deadlines: {start: 5, silence: 0.5}\n");
  const Member& aide = federation.member(PartyId::kHelper);
  EXPECT_EQ(hex(aide.fingerprint), pin);
  EXPECT_EQ(aide.certificate, "");
  EXPECT_EQ(aide.address.host, "::1");
  EXPECT_EQ(to_string(aide.address), "[::1]:7002");
  EXPECT_EQ(to_string(aide.listen), "0.0.0.0:9");
  EXPECT_EQ(federation.start_deadline, std::chrono::seconds(5));
  EXPECT_EQ(federation.silence_deadline, std::chrono::milliseconds(500));
}

TEST_F(FederationFile, UnknownKeysAreErrorsWithASuggestionAndALine) {
  EXPECT_THAT(error_of(replace(good(), "    address: owner", "    adress: owner")),
              AllOf(HasSubstr("federation.yaml:9: a party has no key 'adress'"), HasSubstr("did you mean 'address'?")));
  EXPECT_THAT(error_of(good() + "deadline: {}\n"), HasSubstr("did you mean 'deadlines'?"));
}

TEST_F(FederationFile, EveryMistakeIsNamed) {
  EXPECT_THAT(error_of(replace(good(), "id: 2", "id: 1")), HasSubstr("party 1 is listed twice"));
  EXPECT_THAT(error_of(replace(good(), "id: 2", "id: 3")), HasSubstr("'id' is '3', expected a number from 0 to 2"));
  EXPECT_THAT(error_of(replace(good(), "name: aide", "name: owner")), HasSubstr("two parties are named 'owner'"));
  EXPECT_THAT(error_of(replace(good(), "keys/aide.crt", "keys/owner.crt")), HasSubstr("have the same certificate"));
  EXPECT_THAT(error_of(replace(good(), "keys/aide.crt", "keys/none.crt")), HasSubstr("keys/none.crt"));
  EXPECT_THAT(error_of(replace(good(), "keys/aide.crt", "keys/aide.key")), HasSubstr("not a PEM certificate"));
  EXPECT_THAT(error_of(replace(good(), "aide.example:7002", "aide.example")), HasSubstr("expected host:port"));
  EXPECT_THAT(error_of(replace(good(), "aide.example:7002", "aide.example:99999")), HasSubstr("expected host:port"));
  EXPECT_THAT(error_of(replace(good(), "certificate: keys/aide.crt", "fingerprint: abc")), HasSubstr("64 hexadecimal"));
  EXPECT_THAT(error_of(good() + "deadlines: {start: soon}\n"), HasSubstr("expected seconds"));
  EXPECT_THAT(error_of("parties: 3\n"), HasSubstr("must list the three parties"));
  EXPECT_THAT(error_of(""), HasSubstr("federation.yaml"));
  EXPECT_THAT(error_of("parties: [\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(error_of(std::string(70000, '#')), HasSubstr("at most 65536"));
  EXPECT_THAT(error_of(replace(good(), "    key: keys/aide.key", "    name: twice")),
              HasSubstr("'name' appears twice"));
}

TEST_F(FederationFile, FindsMembersByIdAndName) {
  const Federation federation = parse(good());
  EXPECT_EQ(find_member(federation, "aide"), PartyId::kHelper);
  EXPECT_EQ(find_member(federation, "0"), PartyId::kDealer);
  EXPECT_THROW(find_member(federation, "3"), UserError);
}

TEST_F(FederationFile, KeysAreOfTheirOwnerOnlyAndNeverOverwritten) {
  struct stat key {
  }, folder{};
  ASSERT_EQ(::stat((directory_ / "keys/owner.key").c_str(), &key), 0);
  ASSERT_EQ(::stat((directory_ / "keys").c_str(), &folder), 0);
  EXPECT_EQ(key.st_mode & 0777, 0600u);
  EXPECT_EQ(folder.st_mode & 0777, 0700u);
  EXPECT_THROW(make_keys(directory_ / "keys", {"owner"}), UserError);
  EXPECT_THROW(make_keys(directory_ / "keys", {"../evil"}), UserError);
  EXPECT_THROW(make_keys(directory_ / "keys", {""}), UserError);
}

TEST_F(FederationFile, AKeyThatEverybodyMayReadOrThatIsAnothersIsRefused) {
  const std::string certificate = directory_ / "keys/owner.crt", key = directory_ / "keys/owner.key";
  EXPECT_NO_THROW(TlsContext(certificate, key));
  EXPECT_THROW(TlsContext(certificate, directory_ / "keys/aide.key"), UserError);
  ASSERT_EQ(::chmod(key.c_str(), 0644), 0);
  EXPECT_THROW(TlsContext(certificate, key), UserError);
}

}  // namespace
}  // namespace treville
