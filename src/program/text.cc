#include "program/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <span>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "program/rules.h"
#include "program/step_fields.h"

namespace treville {
namespace {

constexpr size_t kMaxLineBytes = size_t{64} << 10;
constexpr size_t kMaxLines = size_t{1} << 18;
constexpr size_t kMaxListLength = 4096;
constexpr std::string_view kMagic = "treville program 1";

// The words of enumerations, in the order of their values.
constexpr std::array<std::string_view, 3> kParties = {"dealer", "evaluator", "helper"};
constexpr std::array<std::string_view, 2> kForms = {"masked", "additive"};
constexpr std::array<std::string_view, 2> kPolicies = {"reveal", "shares"};
constexpr std::array<std::string_view, 8> kPosts = {"none",        "softmax",      "top_values",    "top_indices",
                                                    "log_softmax", "least_values", "least_indices", "index_from_last"};
constexpr std::array<std::string_view, 3> kMaps = {"conv", "matmul", "channel"};
constexpr std::array<std::string_view, 2> kProducts = {"elementwise", "matmul"};
constexpr std::array<std::string_view, 4> kVerdicts = {"none", "proved", "calibrated", "unsafe"};

// The entries of a table stand as hexadecimal digits without separators, as many each as its width needs: the low bits
// of the integer.
size_t digits_of(const LookUpTable& table) { return static_cast<size_t>(table.bits.value() + 3) / 4; }

template <class E>
constexpr auto words_of() {
  if constexpr (std::is_same_v<E, PartyId>) {
    return kParties;
  } else if constexpr (std::is_same_v<E, Form>) {
    return kForms;
  } else if constexpr (std::is_same_v<E, OutputPolicy>) {
    return kPolicies;
  } else if constexpr (std::is_same_v<E, RangeVerdict>) {
    return kVerdicts;
  } else {
    static_assert(std::is_same_v<E, PostProcess>);
    return kPosts;
  }
}

// quoted escapes what would end the string or the line.
std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + "\"";
}

// Printer appends fields to a line.
class Printer {
 public:
  explicit Printer(const Program& program) : program_(program) {}

  std::string print() {
    line("{}", kMagic);
    line("model {}", quoted(program_.model));
    line("scheme {}", quoted(program_.scheme));
    line("ring {}", bits_of(program_.ring));
    line("slots {}", program_.slots);
    line("preprocess {}", quoted(program_.preprocess));
    line("parameters {}", program_.parameters);
    for (const ConstantDecl& constant : program_.constants) {
      line("const {} {} ring={} scale={}", constant.name, to_string(constant.shape), bits_of(constant.ring),
           constant.scale);
    }
    for (const TableDecl& table : program_.tables) {
      line("table {} scale={} bits={} {} entries={}", table.name, table.scale, table.table.bits,
           table.table.is_signed ? "signed" : "unsigned", text_of(table.table));
    }
    for (const Step& step : program_.steps) {
      text_ += fmt::format("%{} = {}", index_of(step.result), name_of(step.body));
      std::visit(Fields<Printer>{*this}, step.body);
      text_ += " ->";
      type_fields(*this, step.type);
      key("layer", step.layer);
      verdict(step.verdict);
      text_ += '\n';
    }
    return std::move(text_);
  }

  void bare(const Shape& shape) { text_ += " " + to_string(shape); }
  template <class E>
  void word(E value) {
    text_ += fmt::format(" {}", words_of<E>()[static_cast<size_t>(value)]);
  }
  template <class T>
  void key(std::string_view name, const T& value) {
    text_ += fmt::format(" {}={}", name, text_of(value));
  }
  void keys(std::string_view name, std::initializer_list<const int64_t*> values) {
    std::vector<int64_t> list;
    for (const int64_t* value : values) list.push_back(*value);
    key(name, list);
  }
  void key_unless(std::string_view name, int64_t value, int64_t usual) {
    if (value != usual) key(name, value);
  }
  void verdict(const StepVerdict& verdict) {
    if (verdict.kind == RangeVerdict::kNone) return;
    key("verdict", verdict.kind);
    if (verdict.kind == RangeVerdict::kCalibrated) key("margin", verdict.margin);
  }
  void flag(std::string_view name, bool value) {
    if (value) text_ += fmt::format(" {}", name);
  }
  void slot(SlotId slot) { text_ += fmt::format(" %{}", index_of(slot)); }
  void slots(const std::vector<SlotId>& all) {
    for (SlotId one : all) slot(one);
  }
  void constant(ConstantId id) { text_ += " " + constant_name(id); }
  void optional_constant(std::string_view name, const std::optional<ConstantId>& id) {
    if (id) text_ += fmt::format(" {}={}", name, constant_name(*id));
  }
  void tables(const std::vector<TableId>& all) {
    for (const TableId id : all) {
      CHECK(index_of(id) < program_.tables.size(), "table {}", index_of(id));
      text_ += " " + program_.tables[index_of(id)].name;
    }
  }
  void product(const ProductGeometry& geometry) {
    text_ += fmt::format(" {}", kProducts[geometry.index()]);
    std::visit([this](const auto& g) { product_fields(*this, g); }, geometry);
  }
  void terms(const std::vector<LinearTerm>& all) {
    for (const LinearTerm& term : all) {
      if (&term != &all[0]) text_ += " +";
      text_ += fmt::format(" {}", kMaps[term.map.index()]);
      slot(term.x);
      constant(term.weight);
      std::visit([this](const auto& map) { map_fields(*this, map); }, term.map);
    }
  }

 private:
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    text_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  const std::string& constant_name(ConstantId id) const {
    CHECK(index_of(id) < program_.constants.size(), "constant {}", index_of(id));
    return program_.constants[index_of(id)].name;
  }
  static std::string text_of(Bits value) { return fmt::format("{}", value); }
  static std::string text_of(Ring value) { return fmt::format("{}", bits_of(value)); }
  static std::string text_of(int64_t value) { return fmt::format("{}", value); }
  static std::string text_of(double value) { return fmt::format("{}", value); }  // the shortest that reads back equal
  static std::string text_of(const std::string& value) { return quoted(value); }
  static std::string text_of(const Shape& value) { return to_string(value); }
  static std::string text_of(const std::vector<int64_t>& values) { return fmt::format("[{}]", fmt::join(values, ",")); }
  static std::string text_of(const LookUpTable& table) {
    const uint64_t mask = (uint64_t{1} << table.bits.value()) - 1;
    std::string text;
    for (const int64_t entry : table.entries)
      text += fmt::format("{:0{}x}", static_cast<uint64_t>(entry) & mask, digits_of(table));
    return text;
  }
  template <class E>
  requires std::is_enum_v<E>
  static std::string text_of(E value) { return std::string(words_of<E>()[static_cast<size_t>(value)]); }

  const Program& program_;
  std::string text_;
};

// body_of gives an empty step by its word, or nothing.
template <size_t I = 0>
std::optional<StepBody> body_of(std::string_view word) {
  if constexpr (I < std::variant_size_v<StepBody>) {
    StepBody body{std::in_place_index<I>};
    if (word == name_of(body)) return body;
    return body_of<I + 1>(word);
  } else {
    if (word == "subtract") return AddStep{{}, {}, {}, {}, true};
    return std::nullopt;
  }
}

// Parser reads the text line by line; rest_ is what is left of the line.
class Parser {
 public:
  Parser(std::string_view text, const std::string& source) : text_(text), source_(source) {}

  Program parse() {
    header();
    while (!text_.empty()) {
      next_line();
      if (take("const ")) {
        constant_line();
      } else if (take("table ")) {
        table_line();
      } else {
        step_line();
      }
      need_end();
    }
    return std::move(program_);
  }

  void bare(Shape& shape) {
    need(" ");
    read(shape);
  }
  template <class E>
  void word(E& value) {
    need(" ");
    read(value);
  }
  template <class T>
  void key(std::string_view name, T& value) {
    need_key(name);
    read(value);
  }
  void keys(std::string_view name, std::initializer_list<int64_t*> values) {
    std::vector<int64_t> list;
    key(name, list);
    if (list.size() != values.size())
      fail(fmt::format("{} has {} numbers, expected {}", name, list.size(), values.size()));
    auto from = list.begin();
    for (int64_t* value : values) *value = *from++;
  }
  void key_unless(std::string_view name, int64_t& value, int64_t usual) {
    value = usual;
    if (take(fmt::format(" {}=", name))) read(value);
  }
  void flag(std::string_view name, bool& value) { value = take(fmt::format(" {}", name)); }
  void slot(SlotId& slot) {
    need(" %");
    read_slot(slot);
  }
  void slots(std::vector<SlotId>& all) {
    while (take(" %")) {
      read_slot(all.emplace_back());
      if (all.size() > kMaxListLength) fail("too many operands");
    }
  }
  void constant(ConstantId& id) {
    need(" ");
    read(id);
  }
  void optional_constant(std::string_view name, std::optional<ConstantId>& id) {
    if (take(fmt::format(" {}=", name))) read(id.emplace());
  }
  void tables(std::vector<TableId>& all) {
    while (!rest_.starts_with(" ->")) {
      if (all.size() >= kMaxListLength) fail("too many tables");
      need(" ");
      const std::string_view name = read_word();
      const auto found = tables_.find(name);
      if (found == tables_.end()) fail(fmt::format("table {} is not declared", shown(name)));
      all.push_back(found->second);
    }
  }
  void product(ProductGeometry& geometry) {
    need(" ");
    const std::string_view kind = read_word();
    if (kind == kProducts[0]) {
      geometry = Elementwise{};
    } else if (kind == kProducts[1]) {
      geometry = BatchMatmul{};
    } else {
      fail(fmt::format("unknown product {}", shown(kind)));
    }
    std::visit([this](auto& g) { product_fields(*this, g); }, geometry);
  }
  void terms(std::vector<LinearTerm>& all) {
    do {
      LinearTerm& term = all.emplace_back();
      if (all.size() > kMaxListLength) fail("too many terms");
      need(" ");
      const std::string_view kind = read_word();
      if (kind == kMaps[0]) {
        term.map = ConvGeometry{};
      } else if (kind == kMaps[1]) {
        term.map = MatmulGeometry{};
      } else if (kind == kMaps[2]) {
        term.map = ChannelGeometry{};
      } else {
        fail(fmt::format("unknown linear map {}", shown(kind)));
      }
      slot(term.x);
      constant(term.weight);
      std::visit([this](auto& map) { map_fields(*this, map); }, term.map);
    } while (take(" +"));
  }

 private:
  void header() {
    next_line();
    if (rest_ != kMagic)
      fail(fmt::format("expected \"{}\", found {}: not a program, or of another version", kMagic, shown(rest_)));
    header_line("model", program_.model);
    header_line("scheme", program_.scheme);
    header_line("ring", program_.ring);
    int64_t slots = 0;
    header_line("slots", slots);
    if (slots < 0 || slots > UINT32_MAX) fail("the number of slots is out of range");
    program_.slots = static_cast<uint32_t>(slots);
    header_line("preprocess", program_.preprocess);
    header_line("parameters", program_.parameters);
  }
  template <class T>
  void header_line(std::string_view name, T& value) {
    next_line();
    need(fmt::format("{} ", name));
    read(value);
    need_end();
  }
  void constant_line() {
    if (!program_.steps.empty()) fail("a constant is declared after a step");
    ConstantDecl& constant = program_.constants.emplace_back();
    constant.name = read_word();
    const auto id = static_cast<ConstantId>(program_.constants.size() - 1);
    if (!constants_.emplace(constant.name, id).second)
      fail(fmt::format("constant {} is declared twice", shown(constant.name)));
    bare(constant.shape);
    key("ring", constant.ring);
    key("scale", constant.scale);
  }
  void table_line() {
    if (!program_.steps.empty()) fail("a table is declared after a step");
    TableDecl& declared = program_.tables.emplace_back();
    declared.name = read_word();
    const auto id = static_cast<TableId>(program_.tables.size() - 1);
    if (!tables_.emplace(declared.name, id).second)
      fail(fmt::format("table {} is declared twice", shown(declared.name)));
    key("scale", declared.scale);
    key("bits", declared.table.bits);
    check_table_width(declared.table.bits);
    declared.table.is_signed = take(" signed");
    if (!declared.table.is_signed) need(" unsigned");
    need_key("entries");
    read(declared.table);
  }
  void check_table_width(Bits bits) const {
    if (bits < Bits(1) || bits > Bits(kMaxTableBits))
      fail(fmt::format("entries of {} bits, expected 1 to {}", bits, kMaxTableBits));
  }
  void step_line() {
    Step& step = program_.steps.emplace_back();
    if (!take("%")) fail(fmt::format("expected \"const\" or a step (%slot = ...), found {}", shown(rest_)));
    read_slot(step.result);
    need(" = ");
    const std::string_view word = read_word();
    std::optional<StepBody> body = body_of(word);
    if (!body) fail(fmt::format("unknown step {}", shown(word)));
    step.body = std::move(*body);
    std::visit(Fields<Parser>{*this}, step.body);
    need(" ->");
    type_fields(*this, step.type);
    key("layer", step.layer);
    verdict(step.verdict);
  }
  void verdict(StepVerdict& verdict) {
    if (!take(" verdict=")) return;
    read(verdict.kind);
    if (verdict.kind == RangeVerdict::kCalibrated) key("margin", verdict.margin);
  }

  void next_line() {
    if (text_.empty()) fail("the text ends too early");
    if (++line_ > kMaxLines) fail("too many lines");
    const size_t end = text_.find('\n');
    if (end == std::string_view::npos) fail("the last line has no end");
    if (end > kMaxLineBytes) fail("a line is too long");
    rest_ = text_.substr(0, end);
    text_.remove_prefix(end + 1);
  }
  bool take(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  void need(std::string_view expected) {
    if (!take(expected)) fail(fmt::format("expected {}, found {}", shown(expected), shown(rest_)));
  }
  void need_key(std::string_view name) { need(fmt::format(" {}=", name)); }
  void need_end() {
    if (!rest_.empty()) fail(fmt::format("unexpected {} at the end of the line", shown(rest_)));
  }
  std::string_view read_word() {
    const std::string_view word = rest_.substr(0, rest_.find(' '));
    if (word.empty()) fail(fmt::format("expected a word, found {}", shown(rest_)));
    rest_.remove_prefix(word.size());
    return word;
  }
  template <class Number>
  void read_number(Number& value, const char* kind) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) fail(fmt::format("expected {}, found {}", kind, shown(rest_)));
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
  }
  void read(int64_t& value) { read_number(value, "a whole number"); }
  void read(double& value) { read_number(value, "a number"); }
  void read(Bits& value) {
    int bits = 0;
    read_number(bits, "a number of bits");
    value = Bits(bits);
  }
  void read(Ring& ring) {
    int bits = 0;
    read_number(bits, "32 or 64");
    if (bits != 32 && bits != 64) fail(fmt::format("a ring has 32 or 64 bits, not {}", bits));
    ring = bits == 32 ? Ring::k32 : Ring::k64;
  }
  void read_slot(SlotId& slot) {
    uint32_t number = 0;
    read_number(number, "a slot");
    slot = SlotId{number};
  }
  void read(std::vector<int64_t>& values) {
    need("[");
    if (take("]")) return;
    do {
      if (values.size() >= kMaxListLength) fail("a list is too long");
      read(values.emplace_back());
    } while (take(","));
    need("]");
  }
  void read(Shape& shape) {
    std::vector<int64_t> dims;
    read(dims);
    shape = Shape(std::move(dims));
  }
  // read for the entries: bits and sign are known.
  void read(LookUpTable& table) {
    const std::string_view text = read_word();
    const size_t digits = digits_of(table);
    const int unused = 64 - table.bits.value();
    if (text.size() % digits != 0) fail(fmt::format("{} digits are not entries of {}", text.size(), digits));
    for (size_t at = 0; at < text.size(); at += digits) {
      uint64_t entry = 0;
      const char* end = text.data() + at + digits;
      const auto [stop, error] = std::from_chars(text.data() + at, end, entry, 16);
      if (error != std::errc() || stop != end)
        fail(fmt::format("expected hexadecimal digits, found {}", shown(text.substr(at, digits))));
      table.entries.push_back(table.is_signed ? static_cast<int64_t>(entry << unused) >> unused
                                              : static_cast<int64_t>(entry));
    }
  }
  void read(ConstantId& id) {
    const std::string_view name = read_word();
    const auto found = constants_.find(name);
    if (found == constants_.end()) fail(fmt::format("constant {} is not declared", shown(name)));
    id = found->second;
  }
  template <class E>
  requires std::is_enum_v<E>
  void read(E& value) {
    const std::string_view word = read_word();
    constexpr auto words = words_of<E>();
    for (size_t i = 0; i < words.size(); ++i) {
      if (word == words[i]) {
        value = static_cast<E>(i);
        return;
      }
    }
    fail(fmt::format("expected one of {}, found {}", fmt::join(words, ", "), shown(word)));
  }
  void read(std::string& value) {
    need("\"");
    while (!take("\"")) {
      if (rest_.empty()) fail("a string has no end");
      if (take("\\x")) {
        unsigned byte = 0;
        const auto [end, error] =
            std::from_chars(rest_.data(), rest_.data() + std::min<size_t>(2, rest_.size()), byte, 16);
        if (error != std::errc() || end != rest_.data() + 2) fail("expected two hexadecimal digits after \\x");
        value += static_cast<char>(byte);
        rest_.remove_prefix(2);
      } else {
        if (take("\\") && rest_.empty()) fail("a string has no end");
        value += rest_[0];
        rest_.remove_prefix(1);
      }
    }
  }

  static std::string shown(std::string_view text) {
    constexpr size_t kShown = 40;
    return quoted(text.substr(0, kShown)) + (text.size() > kShown ? "..." : "");
  }
  [[noreturn]] void fail(const std::string& message) const { throw UserError("{}:{}: {}", source_, line_, message); }

  std::string_view text_, rest_;
  const std::string& source_;
  size_t line_ = 0;
  Program program_;
  std::map<std::string, ConstantId, std::less<>> constants_;
  std::map<std::string, TableId, std::less<>> tables_;
};

// check_canonical: what was read prints as what was given, so that one program has one digest.
void check_canonical(std::string_view text, const std::string& printed, const std::string& source) {
  if (text == printed) return;
  const auto [at, unused] = std::mismatch(text.begin(), text.end(), printed.begin(), printed.end());
  throw UserError("{}:{}: not the canonical way to write this line (print the program again)", source,
                  1 + std::count(text.begin(), at, '\n'));
}

}  // namespace

std::string to_text(const Program& program) { return Printer(program).print(); }

Program parse_program(std::string_view text, const std::string& source) {
  if (text.size() > static_cast<size_t>(kMaxProgramBytes))
    throw UserError("{}: larger than the {} bytes a program may have", source, kMaxProgramBytes);
  Program program = Parser(text, source).parse();
  try {
    verify(program);
  } catch (const UserError& error) {
    throw UserError("{}: {}", source, error.what());
  }
  check_canonical(text, to_text(program), source);
  return program;
}

Program read_program(const std::string& path) { return parse_program(read_file(path, kMaxProgramBytes), path); }

void write_program(const std::string& path, const Program& program) {
  const std::string text = to_text(program);
  AtomicFile file(path, 0644);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace treville
