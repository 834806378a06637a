// Errors by who must act. An error ends the session: RAII closes channels and wipes keys on the way out.
// Messages say what was expected, what was found, where, and what to do; they name shapes and steps, never values.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace treville {

// Error is the base of everything this project throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// UserError: the model, a file, a flag or a configuration must change.
class UserError : public Error {
 public:
  using Error::Error;
  template <class... Args>
  explicit UserError(fmt::format_string<Args...> format, Args&&... args) requires(sizeof...(Args) > 0)
      : Error(fmt::format(format, std::forward<Args>(args)...)) {}
};

// PeerError: the network or another party failed: a deadline, a closed connection, a desynchronised peer.
class PeerError : public Error {
 public:
  using Error::Error;
  template <class... Args>
  explicit PeerError(fmt::format_string<Args...> format, Args&&... args) requires(sizeof...(Args) > 0)
      : Error(fmt::format(format, std::forward<Args>(args)...)) {}
};

// AttestationError: a claim of a peer's evidence does not meet the policy.
class AttestationError : public Error {
 public:
  using Error::Error;
};

// BugError: a CHECK of our own failed. Please report it.
class BugError : public Error {
 public:
  using Error::Error;
};

[[noreturn]] void fail_check(const char* file, int line, const char* condition, const std::string& message);

}  // namespace treville

// CHECK(condition, "format", args...) guards our own invariants in every build; it throws BugError.
#define CHECK(condition, ...)                                                              \
  do {                                                                                     \
    if (!(condition)) [[unlikely]]                                                         \
      ::treville::fail_check(__FILE__, __LINE__, #condition, fmt::format("" __VA_ARGS__)); \
  } while (false)
