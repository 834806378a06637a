#include "cost/net_model.h"

#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <utility>

#include "base/error.h"

namespace treville {
namespace {

using Unit = std::pair<std::string_view, double>;
constexpr std::array<Unit, 3> kTimes = {Unit{"us", 1e-6}, Unit{"ms", 1e-3}, Unit{"s", 1}};
constexpr std::array<Unit, 3> kRates = {Unit{"kbit", 1e3}, Unit{"Mbit", 1e6}, Unit{"Gbit", 1e9}};

[[noreturn]] void fail(std::string_view text) {
  throw UserError("network '{}': expected lan, wan, or for instance rtt=40ms,bw=350Mbit (us, ms, s; kbit, Mbit, Gbit)",
                  text);
}

// quantity reads "40ms"; the unit must be one of the given.
double quantity(std::string_view value, std::span<const Unit> units, std::string_view whole) {
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) fail(whole);
  const std::string_view unit = value.substr(static_cast<size_t>(end - value.data()));
  for (const auto& [name, factor] : units)
    if (unit == name) return number * factor;
  fail(whole);
}

}  // namespace

NetModel lan() { return {"lan", 1e-3, 3e9}; }
NetModel wan() { return {"wan", 40e-3, 350e6}; }

NetModel parse_net_model(std::string_view text) {
  if (text == "lan") return lan();
  if (text == "wan") return wan();
  constexpr std::string_view kRtt = "rtt=", kBandwidth = "bw=";
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos) fail(text);
  const std::string_view rtt = text.substr(0, comma), bandwidth = text.substr(comma + 1);
  if (!rtt.starts_with(kRtt) || !bandwidth.starts_with(kBandwidth)) fail(text);
  NetModel model{std::string(text), quantity(rtt.substr(kRtt.size()), kTimes, text),
                 quantity(bandwidth.substr(kBandwidth.size()), kRates, text)};
  if (model.bits_per_second == 0) fail(text);
  return model;
}

}  // namespace treville
