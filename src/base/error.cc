#include "base/error.h"

namespace treville {

void fail_check(const char* file, int line, const char* condition, const std::string& message) {
  std::string text = fmt::format("internal error at {}:{}: {} does not hold", file, line, condition);
  if (!message.empty()) text += ": " + message;
  throw BugError(text + ". This is a bug of treville; please report it.");
}

}  // namespace treville
