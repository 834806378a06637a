#include "cli/command.h"

#include <fmt/format.h>

namespace treville::cli {

CLI::App* new_command(CLI::App& root, const std::string& name, const std::string& summary, const std::string& help,
                      bool& json) {
  CLI::App* app = root.add_subcommand(name, summary);
  app->group("Commands");
  app->add_flag("--json", json, "Print one JSON object on stdout and nothing else; progress goes to stderr");
  // CLI11 prints the description before everything else: keep the short one for the list only.
  class Help : public CLI::Formatter {
   public:
    explicit Help(std::string text) : text_(std::move(text)) { column_width(34); }
    std::string make_description(const CLI::App*) const override { return text_ + "\n"; }

   private:
    std::string text_;
  };
  app->formatter(std::make_shared<Help>(help));
  return app;
}

void print_json(const Json& object) { fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace)); }

Json error_json(int code, const std::string& kind, const std::string& message) {
  return {{"error", {{"code", code}, {"kind", kind}, {"message", message}}}};
}

}  // namespace treville::cli
