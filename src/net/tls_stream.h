// TlsStream is one TLS 1.3 connection over a TCP socket, non-blocking, owned by one thread. Both sides show a
// certificate and accept exactly the certificates they were told of (by SHA-256 of the whole certificate); there is no
// session resumption, no early data and no older version.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "crypto/hash.h"
#include "crypto/prg.h"

namespace treville {

// TlsContext is this party's certificate and key, ready for handshakes.
class TlsContext {
 public:
  // Reads PEM files. Throws UserError when a file is missing or broken, when key and certificate do not belong
  // together, or when everybody may read the key.
  TlsContext(const std::string& certificate_file, const std::string& key_file);
  ~TlsContext();
  TlsContext(TlsContext&&) noexcept;
  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// certificate_fingerprint is the SHA-256 of the (first) certificate of a PEM file; throws UserError.
Digest certificate_fingerprint(const std::string& certificate_file);

class TlsStream {
 public:
  enum class Status : uint8_t {
    kDone,       // bytes were moved, or the handshake or flush is complete
    kWantRead,   // call again when the socket is readable
    kWantWrite,  // call again when the socket is writable
    kEnd,        // the peer said goodbye (close_notify)
    kLost,       // the connection broke: closed without goodbye, reset
    kRefused,    // TLS failed: wrong certificate, an alert of the peer, not TLS at all
  };
  struct Result {
    Status status = Status::kDone;
    size_t bytes = 0;
  };
  enum class Side : uint8_t { kClient, kServer };

  TlsStream();
  // Takes the connected socket over and makes it non-blocking. `accepted` are the fingerprints of which the peer must
  // show one.
  TlsStream(const TlsContext& context, int socket, Side side, std::vector<Digest> accepted);
  ~TlsStream();
  TlsStream(TlsStream&&) noexcept;
  TlsStream& operator=(TlsStream&&) noexcept;
  explicit operator bool() const { return impl_ != nullptr; }

  Result handshake();
  Result read(std::span<std::byte> out);
  // write encrypts; records are gathered and go to the socket by the 128 KiB, or on flush.
  Result write(std::span<const std::byte> bytes);
  Result flush();
  // rekey changes the sending key before the next write; write does so itself long before the limit of AES-GCM.
  void rekey();
  // say_goodbye sends close_notify and closes the sending half.
  Result say_goodbye();

  int socket() const;
  // unsent is what the kernel still holds and the peer has not acknowledged.
  size_t unsent() const;
  // problem explains the last kLost or kRefused.
  const std::string& problem() const;
  // After the handshake: the peer's certificate and what was negotiated.
  Digest peer_fingerprint() const;
  std::string peer_name() const;
  std::string version() const;
  std::string cipher() const;
  std::string peer_address() const;
  // export_key derives a key that both ends of this connection share and nobody else (RFC 8446, section 7.5).
  Key export_key(const std::string& exporter_label, std::span<const std::byte> context) const;
  // Bytes on the socket, TLS records and handshake included.
  int64_t raw_sent() const;
  int64_t raw_received() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// set_socket_buffers asks for kernel buffers of this many bytes each way (0: leave the system's choice).
void set_socket_buffers(int socket, int bytes);

}  // namespace treville
