#include "net/tls_stream.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace treville {
namespace {

constexpr size_t kGatherBytes = 128 * 1024;
constexpr size_t kReadAheadBytes = 128 * 1024;
// RFC 8446, section 5.5: at most 2^24.5 full records of 16 KiB under one AES-GCM key; this is a sixth of that.
constexpr int64_t kRekeyBytes = int64_t{1} << 36;

// tls_error takes OpenSSL's oldest error of this thread as text.
std::string tls_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("TLS error {:#x}", code);
}

// Wire is the socket below TLS: it gathers the records that are written, reads ahead, counts bytes, and never raises
// SIGPIPE. (OpenSSL's own read-ahead moves all that is left for every record.)
struct Wire {
  int socket = -1;
  std::vector<char> out;
  size_t out_begin = 0;
  std::vector<char> in;
  size_t in_begin = 0, in_end = 0;
  int64_t sent = 0;
  int64_t received = 0;

  size_t pending() const { return out.size() - out_begin; }
  // push sends what was gathered; returns 1 when all went, 0 when the socket is full, -1 on an error (errno).
  int push() {
    while (pending() > 0) {
      const ssize_t n = ::send(socket, out.data() + out_begin, pending(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
      out_begin += static_cast<size_t>(n);
      sent += n;
    }
    out.clear();
    out_begin = 0;
    return 1;
  }
  // pull reads what the socket has; returns as recv does.
  ssize_t pull() {
    in.resize(kReadAheadBytes);
    ssize_t n;
    do {
      n = ::recv(socket, in.data(), in.size(), 0);
    } while (n < 0 && errno == EINTR);
    in_begin = 0;
    in_end = n > 0 ? static_cast<size_t>(n) : 0;
    if (n > 0) received += n;
    return n;
  }
};

Wire& wire_of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

int report_push(BIO* bio, int pushed) {
  if (pushed == 0) BIO_set_retry_write(bio);
  return pushed == 1 ? 1 : -1;
}

int wire_write(BIO* bio, const char* data, size_t bytes, size_t* written) {
  Wire& wire = wire_of(bio);
  BIO_clear_retry_flags(bio);
  *written = 0;
  if (wire.pending() + bytes > kGatherBytes && wire.pending() > 0) {
    const int pushed = wire.push();
    if (pushed != 1) return report_push(bio, pushed);
  }
  if (wire.out_begin >= kGatherBytes) {
    wire.out.erase(wire.out.begin(), wire.out.begin() + static_cast<ptrdiff_t>(wire.out_begin));
    wire.out_begin = 0;
  }
  wire.out.insert(wire.out.end(), data, data + bytes);
  *written = bytes;
  return 1;
}

int wire_read(BIO* bio, char* out, size_t bytes, size_t* got) {
  Wire& wire = wire_of(bio);
  BIO_clear_retry_flags(bio);
  *got = 0;
  if (wire.in_begin == wire.in_end) {
    const ssize_t n = wire.pull();
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
    if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    if (n <= 0) return static_cast<int>(n);
  }
  *got = std::min(bytes, wire.in_end - wire.in_begin);
  std::memcpy(out, wire.in.data() + wire.in_begin, *got);
  wire.in_begin += *got;
  return 1;
}

long wire_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) {
    BIO_clear_retry_flags(bio);
    return report_push(bio, wire_of(bio).push());
  }
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
  return 0;
}

const BIO_METHOD* wire_method() {
  static const BIO_METHOD* method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "treville socket");
    CHECK(made != nullptr, "out of memory");
    BIO_meth_set_write_ex(made, wire_write);
    BIO_meth_set_read_ex(made, wire_read);
    BIO_meth_set_ctrl(made, wire_control);
    return made;
  }();
  return method;
}

Digest fingerprint(const X509* certificate) {
  Digest digest;
  unsigned length = 0;
  CHECK(X509_digest(certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()), &length) == 1 &&
            length == digest.size(),
        "SHA-256 of a certificate failed");
  return digest;
}

int accepted_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// verify_pin replaces the check of certificate chains: the peer's certificate is one we were told of, or it is refused.
int verify_pin(X509_STORE_CTX* store, void*) {
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* accepted = static_cast<const std::vector<Digest>*>(SSL_get_ex_data(ssl, accepted_index()));
  const X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (certificate != nullptr && std::ranges::find(*accepted, fingerprint(certificate)) != accepted->end()) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

void check_key_mode(const std::string& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) throw UserError("{}: {}", file, std::strerror(errno));
  if ((info.st_mode & 07) != 0) {
    throw UserError("{}: everybody on this machine may read this private key (mode {:o}). Run chmod 600 on it.", file,
                    info.st_mode & 0777);
  }
}

}  // namespace

struct TlsContext::Impl {
  Impl() : context(SSL_CTX_new(TLS_method())) { CHECK(context != nullptr, "OpenSSL: {}", tls_error()); }
  ~Impl() { SSL_CTX_free(context); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  SSL_CTX* context;
};

TlsContext::TlsContext(const std::string& certificate_file, const std::string& key_file)
    : impl_(std::make_unique<Impl>()) {
  SSL_CTX* context = impl_->context;
  ERR_clear_error();
  CHECK(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
            SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
            SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384") == 1 &&
            SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 && SSL_CTX_set_num_tickets(context, 0) == 1,
        "OpenSSL: {}", tls_error());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify_pin, nullptr);
  check_key_mode(key_file);
  if (SSL_CTX_use_certificate_file(context, certificate_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw UserError("{}: not a PEM certificate ({})", certificate_file, tls_error());
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw UserError("{}: not the PEM private key of {} ({})", key_file, certificate_file, tls_error());
  }
}
TlsContext::~TlsContext() = default;
TlsContext::TlsContext(TlsContext&&) noexcept = default;

Digest certificate_fingerprint(const std::string& certificate_file) {
  ERR_clear_error();
  BIO* file = BIO_new_file(certificate_file.c_str(), "r");
  if (file == nullptr) {
    ERR_clear_error();
    throw UserError("{}: {}", certificate_file, std::strerror(errno));
  }
  X509* certificate = PEM_read_bio_X509(file, nullptr, nullptr, nullptr);
  BIO_free(file);
  if (certificate == nullptr) throw UserError("{}: not a PEM certificate ({})", certificate_file, tls_error());
  const Digest digest = fingerprint(certificate);
  X509_free(certificate);
  return digest;
}

struct TlsStream::Impl {
  ~Impl() {
    SSL_free(ssl);
    if (wire.socket >= 0) ::close(wire.socket);
  }
  Result result_of(int ok, size_t bytes);

  Wire wire;
  SSL* ssl = nullptr;
  std::vector<Digest> accepted;
  std::string problem;
  int64_t under_this_key = 0;
};

// result_of turns the outcome of an SSL call into a Status.
TlsStream::Result TlsStream::Impl::result_of(int ok, size_t bytes) {
  if (ok > 0) return {Status::kDone, bytes};
  const int system_error = errno;
  switch (SSL_get_error(ssl, ok)) {
    case SSL_ERROR_WANT_READ:
      return {Status::kWantRead, 0};
    case SSL_ERROR_WANT_WRITE:
      return {Status::kWantWrite, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {Status::kEnd, 0};
    case SSL_ERROR_SYSCALL:
      ERR_clear_error();
      problem = std::strerror(system_error);
      return {Status::kLost, 0};
    default:
      break;
  }
  if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    ERR_clear_error();
    problem = "the connection was closed";
    return {Status::kLost, 0};
  }
  problem = tls_error();
  return {Status::kRefused, 0};
}

TlsStream::TlsStream(const TlsContext& context, int socket, Side side, std::vector<Digest> accepted)
    : impl_(std::make_unique<Impl>()) {
  impl_->wire.socket = socket;
  impl_->accepted = std::move(accepted);
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  impl_->ssl = SSL_new(context.impl().context);
  BIO* bio = BIO_new(wire_method());
  CHECK(impl_->ssl != nullptr && bio != nullptr, "out of memory");
  BIO_set_data(bio, &impl_->wire);
  BIO_set_init(bio, 1);
  SSL_set_bio(impl_->ssl, bio, bio);
  SSL_set_ex_data(impl_->ssl, accepted_index(), &impl_->accepted);
  if (side == Side::kClient) {
    SSL_set_connect_state(impl_->ssl);
  } else {
    SSL_set_accept_state(impl_->ssl);
  }
}

TlsStream::TlsStream() = default;
TlsStream::~TlsStream() = default;
TlsStream::TlsStream(TlsStream&&) noexcept = default;
TlsStream& TlsStream::operator=(TlsStream&&) noexcept = default;

TlsStream::Result TlsStream::handshake() {
  ERR_clear_error();
  errno = 0;
  return impl_->result_of(SSL_do_handshake(impl_->ssl), 0);
}

TlsStream::Result TlsStream::read(std::span<std::byte> out) {
  ERR_clear_error();
  errno = 0;
  size_t bytes = 0;
  const int ok = SSL_read_ex(impl_->ssl, out.data(), out.size(), &bytes);
  return impl_->result_of(ok, bytes);
}

TlsStream::Result TlsStream::write(std::span<const std::byte> bytes) {
  ERR_clear_error();
  errno = 0;
  size_t written = 0;
  const int ok = SSL_write_ex(impl_->ssl, bytes.data(), bytes.size(), &written);
  impl_->under_this_key += static_cast<int64_t>(written);
  if (impl_->under_this_key >= kRekeyBytes) rekey();
  return impl_->result_of(ok, written);
}

void TlsStream::rekey() {
  CHECK(SSL_key_update(impl_->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1, "OpenSSL: {}", tls_error());
  impl_->under_this_key = 0;
}

TlsStream::Result TlsStream::flush() {
  const int pushed = impl_->wire.push();
  if (pushed == 1) return {};
  if (pushed == 0) return {Status::kWantWrite, 0};
  impl_->problem = std::strerror(errno);
  return {Status::kLost, 0};
}

TlsStream::Result TlsStream::say_goodbye() {
  ERR_clear_error();
  errno = 0;
  const int ok = SSL_shutdown(impl_->ssl);
  if (ok < 0) {
    const Result result = impl_->result_of(ok, 0);
    if (result.status != Status::kWantRead) return result;
  }
  const Result flushed = flush();
  if (flushed.status == Status::kDone) ::shutdown(impl_->wire.socket, SHUT_WR);
  return flushed;
}

int TlsStream::socket() const { return impl_->wire.socket; }

size_t TlsStream::unsent() const {
  int bytes = 0;
  if (::ioctl(impl_->wire.socket, SIOCOUTQ, &bytes) != 0) bytes = 0;
  return impl_->wire.pending() + static_cast<size_t>(bytes);
}

const std::string& TlsStream::problem() const { return impl_->problem; }

Digest TlsStream::peer_fingerprint() const {
  const X509* certificate = SSL_get0_peer_certificate(impl_->ssl);
  CHECK(certificate != nullptr, "no certificate before the handshake");
  return fingerprint(certificate);
}

std::string TlsStream::peer_name() const {
  const X509* certificate = SSL_get0_peer_certificate(impl_->ssl);
  char name[256] = {};
  if (certificate != nullptr) {
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
  }
  return name;
}

std::string TlsStream::version() const { return SSL_get_version(impl_->ssl); }
std::string TlsStream::cipher() const { return SSL_get_cipher_name(impl_->ssl); }

std::string TlsStream::peer_address() const {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  char text[INET6_ADDRSTRLEN] = {};
  if (::getpeername(impl_->wire.socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "unknown";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return fmt::format("{}:{}", text, ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
  return fmt::format("[{}]:{}", text, ntohs(v6.sin6_port));
}

Key TlsStream::export_key(const std::string& exporter_label, std::span<const std::byte> context) const {
  std::array<std::byte, Key::kBytes> bytes;
  CHECK(SSL_export_keying_material(impl_->ssl, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(),
                                   exporter_label.data(), exporter_label.size(),
                                   reinterpret_cast<const unsigned char*>(context.data()), context.size(), 1) == 1,
        "the TLS exporter failed: {}", tls_error());
  const Key key{std::span<const std::byte, Key::kBytes>(bytes)};
  wipe(bytes);
  return key;
}

int64_t TlsStream::raw_sent() const { return impl_->wire.sent; }
int64_t TlsStream::raw_received() const { return impl_->wire.received; }

void set_socket_buffers(int socket, int bytes) {
  if (bytes <= 0) return;
  ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

}  // namespace treville
