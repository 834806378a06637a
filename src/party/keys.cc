#include "party/keys.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "store/folder.h"

namespace treville {
namespace {

constexpr long kSecondsValid = 10L * 365 * 24 * 3600;  // peers pin the certificate, so its end is a formality

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using KeyPointer = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CertificatePointer = std::unique_ptr<X509, Freer<X509_free>>;
using BioPointer = std::unique_ptr<BIO, Freer<BIO_free_all>>;

void check_name(const std::string& name) {
  constexpr std::string_view kOther = "-_.";
  const bool usable = !name.empty() && name.size() <= 64 && name[0] != '.' && std::ranges::all_of(name, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kOther.find(c) != kOther.npos;
  });
  if (!usable) {
    throw UserError("'{}' cannot name a party: use 1 to 64 letters, digits, '-', '_' or '.', not '.' first", name);
  }
}

void require(bool ok, const char* what) { CHECK(ok, "OpenSSL could not {}", what); }

// self_sign makes the certificate of `key` with CN=name, usable at both ends of a connection.
CertificatePointer self_sign(EVP_PKEY* key, const std::string& name) {
  CertificatePointer certificate(X509_new());
  X509* x = certificate.get();
  require(x != nullptr, "make a certificate");
  unsigned char serial[16];
  BIGNUM* number = nullptr;
  require(RAND_bytes(serial, sizeof(serial)) == 1, "draw a serial number");
  serial[0] &= 0x7f;
  number = BN_bin2bn(serial, sizeof(serial), nullptr);
  const bool numbered = number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) != nullptr;
  BN_free(number);
  X509_NAME* subject = X509_get_subject_name(x);
  const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
  require(numbered && X509_set_version(x, X509_VERSION_3) == 1 && X509_gmtime_adj(X509_getm_notBefore(x), 0) &&
              X509_gmtime_adj(X509_getm_notAfter(x), kSecondsValid) && X509_set_pubkey(x, key) == 1 &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, text, -1, -1, 0) == 1 &&
              X509_set_issuer_name(x, subject) == 1,
          "fill in a certificate");
  for (const auto& [extension, value] :
       {std::pair{NID_basic_constraints, "critical,CA:FALSE"}, std::pair{NID_key_usage, "critical,digitalSignature"},
        std::pair{NID_ext_key_usage, "serverAuth,clientAuth"}}) {
    X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, nullptr, extension, value);
    require(made != nullptr && X509_add_ext(x, made, -1) == 1, "extend a certificate");
    X509_EXTENSION_free(made);
  }
  require(X509_sign(x, key, EVP_sha256()) > 0, "sign a certificate");
  return certificate;
}

// create opens a file that must not exist yet, so that no key is ever overwritten.
BioPointer create(const std::filesystem::path& path, mode_t mode) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (file < 0 && errno == EEXIST) {
    throw UserError("{}: is there already. Remove it first if this party is to get a new key.", path.string());
  }
  if (file < 0) throw UserError("{}: {}", path.string(), std::strerror(errno));
  FILE* stream = ::fdopen(file, "w");
  require(stream != nullptr, "open a file");
  return BioPointer(BIO_new_fp(stream, BIO_CLOSE));
}

void finish(const BioPointer& file, bool written, const std::filesystem::path& path) {
  if (!written || BIO_flush(file.get()) != 1) throw UserError("{}: writing failed", path.string());
}

}  // namespace

std::vector<PartyFiles> make_keys(const std::filesystem::path& directory, const std::vector<std::string>& names) {
  std::ranges::for_each(names, check_name);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    throw UserError("{}: {}", directory.string(), std::strerror(errno));
  }
  if (::chmod(directory.c_str(), 0700) != 0) throw UserError("{}: {}", directory.string(), std::strerror(errno));
  std::vector<PartyFiles> files;
  for (const std::string& name : names) {
    PartyFiles party{name, directory / (name + ".crt"), directory / (name + ".key"), directory / (name + ".storage")};
    const KeyPointer key(EVP_EC_gen("P-256"));
    require(key != nullptr, "make a key");
    const CertificatePointer certificate = self_sign(key.get(), name);
    const BioPointer key_file = create(party.key, 0600);
    finish(key_file,
           PEM_write_bio_PKCS8PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
           party.key);
    if (!std::filesystem::exists(party.storage_key)) make_storage_key(party.storage_key);
    const BioPointer certificate_file = create(party.certificate, 0600);
    finish(certificate_file, PEM_write_bio_X509(certificate_file.get(), certificate.get()) == 1, party.certificate);
    files.push_back(std::move(party));
  }
  return files;
}

}  // namespace treville
