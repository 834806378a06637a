// The graph and each call of a function is a scope: names that its nodes read each other by. Scopes are unfolded one
// after the other. What a call gives has names of its own in the flat graph from the beginning, so that the nodes
// around a call can be written before its body is; the body's scope then adds nodes of these names.
#include "import/functions.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "import/tf_reference.h"

namespace treville::import {
namespace {

using tf_format::AttrValue;
using tf_format::FunctionDef;
using tf_format::GraphDef;
using tf_format::NodeDef;

constexpr int kMaxDepth = 100;
constexpr size_t kMaxNodes = size_t{1} << 20;
constexpr size_t kMaxBytes = size_t{1} << 30;  // copied from bodies, and names

// Operations with more than one named output: a body says which it reads by name. All others have one, maybe a list.
struct OutputNames {
  std::string_view op;
  std::vector<std::string_view> outputs;
};

const std::vector<OutputNames>& output_names() {
  static const std::vector<std::string_view> batch_norm = {
      "y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2", "reserve_space_3"};
  static const std::vector<std::string_view> lstm = {"i", "cs", "f", "o", "ci", "co", "h"};
  static const std::vector<std::string_view> cudnn = {"output", "output_h", "output_c", "reserve_space",
                                                      "host_reserved"};
  static const std::vector<OutputNames> names = {
      {"BlockLSTM", lstm},
      {"BlockLSTMV2", lstm},
      {"CudnnRNN", cudnn},
      {"CudnnRNNV2", cudnn},
      {"CudnnRNNV3", cudnn},
      {"FusedBatchNorm", batch_norm},
      {"FusedBatchNormV2", batch_norm},
      {"FusedBatchNormV3", batch_norm},
      {"GRUBlockCell", {"r", "u", "c", "h"}},
      {"LSTMBlockCell", lstm},
      {"ListDiff", {"out", "idx"}},
      {"MaxPoolWithArgmax", {"output", "argmax"}},
      {"Merge", {"output", "value_index"}},
      {"NonMaxSuppressionV4", {"selected_indices", "valid_outputs"}},
      {"NonMaxSuppressionV5", {"selected_indices", "selected_scores", "valid_outputs"}},
      {"Qr", {"q", "r"}},
      {"SelfAdjointEigV2", {"e", "v"}},
      {"SoftmaxCrossEntropyWithLogits", {"loss", "backprop"}},
      {"SparseSoftmaxCrossEntropyWithLogits", {"loss", "backprop"}},
      {"Svd", {"s", "u", "v"}},
      {"Switch", {"output_false", "output_true"}},
      {"TensorArrayV3", {"handle", "flow"}},
      {"TopK", {"values", "indices"}},
      {"TopKV2", {"values", "indices"}},
      {"Unique", {"y", "idx"}},
      {"UniqueV2", {"y", "idx"}},
      {"UniqueWithCounts", {"y", "idx", "count"}},
      {"UniqueWithCountsV2", {"y", "idx", "count"}},
  };
  return names;
}

bool is_condition(const NodeDef& node) { return node.op() == "If" || node.op() == "StatelessIf"; }

// number_after reads the digits that follow the colon at `at` to the end of the text.
std::optional<int> number_after(const std::string& text, size_t at) {
  if (at + 1 >= text.size() || text.size() - at > 8) return {};
  int number = 0;
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') return {};
    number = 10 * number + (text[i] - '0');
  }
  return number;
}

class Inliner {
 public:
  Inliner(GraphDef& graph, std::string file) : graph_(graph), file_(std::move(file)) {
    for (FunctionDef& function : *graph.mutable_library()->mutable_function()) {
      functions_[function.signature().name()] = &function;
    }
    flat_.graph.mutable_versions()->CopyFrom(graph.versions());
  }

  FlatGraph run(const std::vector<std::string>& roots) {
    scopes_.push_back(std::make_unique<Scope>());
    Scope& top = *scopes_.back();
    for (int i = 0; i < graph_.node_size(); ++i) add_node(top, *graph_.mutable_node(i));
    for (const std::string& root : roots) flat_.roots.push_back(flat_reference(top, root, "the model's output"));
    write_nodes(top, roots);
    while (!calls_.empty() || choose_branch()) {
      const size_t next = calls_.front();
      calls_.pop_front();
      unfold(*scopes_[next]);
    }
    write_conditions();
    return std::move(flat_);
  }

 private:
  // Results are the names of what a call gives. They are read by value, or only waited for, or not at all.
  struct Results {
    std::vector<std::string> names;
    std::vector<bool> are_read;
    bool is_awaited = false;
  };

  struct Entry {
    NodeDef* node = nullptr;
    std::string flat_name;
    std::shared_ptr<Results> results;  // of a call or a condition
  };

  // Scope is the graph itself (function is null), or one call.
  struct Scope {
    FunctionDef* function = nullptr;
    std::string prefix;
    int depth = 0;
    std::vector<std::string> arguments;                        // flat references
    std::vector<std::string> awaited;                          // flat references of what the call waits for
    google::protobuf::Map<std::string, AttrValue> attributes;  // of the call, for placeholders in the body
    std::shared_ptr<Results> results;
    std::vector<std::string> order;  // the nodes' names, as they stand in the file
    std::unordered_map<std::string, Entry> nodes;
    std::unordered_map<std::string, size_t> argument_index;
  };

  struct Condition {
    NodeDef node;  // with flat references
    std::shared_ptr<Results> results;
    int depth = 0;
  };

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw UserError("{}: {}", file_, fmt::format(format, std::forward<Args>(args)...));
  }

  std::string unique_name(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; !names_.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
    count_bytes(name.size());
    return name;
  }

  void count_nodes(size_t more) {
    nodes_ += more;
    if (nodes_ > kMaxNodes) {
      fail("its functions unfold to more than {} nodes. Give the model as a frozen graph.", kMaxNodes);
    }
  }

  void count_bytes(size_t more) {
    bytes_ += more;
    if (bytes_ > kMaxBytes) {
      fail("its functions unfold to more than {} bytes. Give the model as a frozen graph.", kMaxBytes);
    }
  }

  // --- Scopes --------------------------------------------------------------------------------------------------------

  // called gives the function that a node calls, or null.
  FunctionDef* called(const NodeDef& node) const {
    const bool by_attribute = node.op() == "PartitionedCall" || node.op() == "StatefulPartitionedCall";
    if (!by_attribute) {
      const auto found = functions_.find(node.op());
      return found == functions_.end() ? nullptr : found->second;
    }
    return function_of(node, "f");
  }

  FunctionDef* function_of(const NodeDef& node, const std::string& attribute) const {
    const auto name = node.attr().find(attribute);
    const std::string wanted = name == node.attr().end() ? "" : name->second.func().name();
    const auto found = functions_.find(wanted);
    if (found == functions_.end()) {
      fail("node \"{}\" ({}) calls the function \"{}\", which the file does not have. The file is damaged.",
           node.name(), node.op(), wanted);
    }
    return found->second;
  }

  void add_node(Scope& scope, NodeDef& node) {
    count_nodes(1);
    if (node.name().empty()) fail("a node has no name. The file is damaged.");
    const auto [place, is_new] = scope.nodes.emplace(node.name(), Entry{&node, {}, {}});
    if (!is_new) fail("two nodes are named \"{}\". The file is damaged.", scope.prefix + node.name());
    Entry& added = place->second;
    added.flat_name = unique_name(scope.prefix + node.name());
    scope.order.push_back(node.name());
    int outputs = -1;
    if (is_condition(node)) {
      const auto types = node.attr().find("Tout");
      outputs = types == node.attr().end() ? 0 : types->second.list().type_size();
    } else if (const FunctionDef* function = called(node)) {
      outputs = function->signature().output_arg_size();
    }
    if (outputs >= 0) added.results = make_results(added.flat_name, outputs);
  }

  std::shared_ptr<Results> make_results(const std::string& call, int count) {
    count_nodes(static_cast<size_t>(count));
    auto results = std::make_shared<Results>();
    results->names.push_back(call);
    for (int k = 1; k < count; ++k) results->names.push_back(unique_name(fmt::format("{}/output_{}", call, k)));
    results->are_read.assign(static_cast<size_t>(count), false);
    return results;
  }

  // --- References ----------------------------------------------------------------------------------------------------

  const Entry& find(const Scope& scope, const std::string& name, const std::string& reader) const {
    const auto found = scope.nodes.find(name);
    if (found == scope.nodes.end()) {
      fail("{} reads \"{}\", which the graph does not have. The file is damaged.", reader, scope.prefix + name);
    }
    return found->second;
  }

  // Parsed is a reference of a scope: an argument, or an output of a node.
  struct Parsed {
    const Entry* entry = nullptr;  // null: the argument
    size_t argument = 0;
    int output = 0;
    bool is_control = false;
  };

  Parsed parse(const Scope& scope, const std::string& text, const std::string& reader) const {
    if (scope.function == nullptr) {
      const TfReference reference = parse_reference(text);
      return {&find(scope, reference.name, reader), 0, reference.output, reference.is_control};
    }
    const bool is_control = !text.empty() && text[0] == '^';
    const std::string path = is_control ? text.substr(1) : text;
    const size_t first = path.find(':');
    const std::string name = path.substr(0, first);
    const auto argument = scope.argument_index.find(name);
    if (argument != scope.argument_index.end()) return {nullptr, argument->second, 0, is_control};
    const Entry& entry = find(scope, name, reader);
    if (is_control) return {&entry, 0, 0, true};
    const size_t second = first == std::string::npos ? first : path.find(':', first + 1);
    const auto index = second == std::string::npos ? std::optional<int>(0) : number_after(path, second);
    if (first == std::string::npos || !index) {
      fail("{} reads \"{}\", which is no output of a node. The file is damaged.", reader, text);
    }
    return {&entry, 0, first_output(*entry.node, path.substr(first + 1, second - first - 1)) + *index, false};
  }

  // first_output numbers an operation's named output.
  int first_output(const NodeDef& node, const std::string& name) const {
    const auto position = [&](const auto& names, const auto& name_of) {
      for (size_t i = 0; i < static_cast<size_t>(names.size()); ++i) {
        if (name_of(names, i) == name) return static_cast<int>(i);
      }
      fail("output \"{}\" of node \"{}\" ({}) is read, which it does not have. The file is damaged.", name, node.name(),
           node.op());
    };
    const auto function = functions_.find(node.op());
    if (function != functions_.end()) {
      return position(function->second->signature().output_arg(),
                      [](const auto& args, size_t i) { return args.Get(static_cast<int>(i)).name(); });
    }
    for (const OutputNames& each : output_names()) {
      if (each.op == node.op()) return position(each.outputs, [](const auto& list, size_t i) { return list[i]; });
    }
    return 0;
  }

  // flat_reference writes a reference of a scope as one of the flat graph, and notes that results of calls are read.
  std::string flat_reference(Scope& scope, const std::string& text, const std::string& reader) {
    const Parsed parsed = parse(scope, text, reader);
    const std::string mark = parsed.is_control ? "^" : "";
    if (parsed.entry == nullptr) {
      const std::string& argument = scope.arguments[parsed.argument];
      return parsed.is_control ? mark + parse_reference(argument).name : argument;
    }
    const Entry& entry = *parsed.entry;
    if (entry.results == nullptr) {
      return mark + entry.flat_name + (parsed.output > 0 ? fmt::format(":{}", parsed.output) : "");
    }
    if (parsed.is_control) {
      entry.results->is_awaited = true;
      return mark + entry.flat_name;
    }
    const auto output = static_cast<size_t>(parsed.output);
    if (output >= entry.results->are_read.size()) {
      fail("{} reads output {} of node \"{}\", which has {}. The file is damaged.", reader, output, entry.flat_name,
           entry.results->are_read.size());
    }
    entry.results->are_read[output] = true;
    return entry.results->names[output];
  }

  // --- Nodes ---------------------------------------------------------------------------------------------------------

  // write_nodes adds to the flat graph what the roots depend on, and queues the calls among it.
  void write_nodes(Scope& scope, const std::vector<std::string>& roots) {
    std::unordered_set<const Entry*> needed;
    std::vector<const Entry*> stack;
    const auto need = [&](const std::string& text, const std::string& reader) {
      const Entry* entry = parse(scope, text, reader).entry;
      if (entry != nullptr && needed.insert(entry).second) stack.push_back(entry);
    };
    for (const std::string& root : roots) need(root, "the result of a function");
    while (!stack.empty()) {
      const NodeDef& node = *stack.back()->node;
      stack.pop_back();
      for (const std::string& input : node.input())
        need(input, fmt::format("node \"{}\" ({})", node.name(), node.op()));
    }
    for (const std::string& name : scope.order) {
      const Entry& entry = scope.nodes.at(name);
      if (needed.count(&entry) > 0) write_node(scope, entry);
    }
  }

  void write_node(Scope& scope, const Entry& entry) {
    const std::string reader = fmt::format("node \"{}\" ({})", entry.node->name(), entry.node->op());
    std::vector<std::string> inputs;
    for (const std::string& input : entry.node->input()) inputs.push_back(flat_reference(scope, input, reader));
    NodeDef node;
    if (scope.function == nullptr) {
      node.Swap(entry.node);
      entry.node->set_name(node.name());  // names are still looked up
      entry.node->set_op(node.op());
    } else {
      count_bytes(entry.node->ByteSizeLong());
      node.CopyFrom(*entry.node);
      substitute(scope, node);
    }
    node.set_name(entry.flat_name);
    node.clear_input();
    for (const std::string& input : inputs) node.add_input(input);
    if (is_condition(node)) {
      conditions_.push_back({std::move(node), entry.results, scope.depth});
    } else if (entry.results != nullptr) {
      queue_call(node, *called(node), inputs, entry.results, scope.depth);
    } else {
      flat_.graph.add_node()->Swap(&node);
    }
  }

  // substitute replaces attributes that stand for the call's.
  void substitute(const Scope& scope, NodeDef& node) const {
    for (auto& [key, value] : *node.mutable_attr()) {
      if (value.value_case() != AttrValue::kPlaceholder) continue;
      const auto given = scope.attributes.find(value.placeholder());
      if (given == scope.attributes.end()) {
        fail("node \"{}\": attribute \"{}\" stands for \"{}\", which the call does not give. The file is damaged.",
             scope.prefix + node.name(), key, value.placeholder());
      }
      const AttrValue chosen = given->second;
      value.CopyFrom(chosen);
    }
  }

  // --- Calls ---------------------------------------------------------------------------------------------------------

  void queue_call(const NodeDef& node, FunctionDef& function, const std::vector<std::string>& inputs,
                  std::shared_ptr<Results> results, int depth) {
    if (depth >= kMaxDepth) {
      fail("node \"{}\": functions call each other more than {} deep. Recursive functions are not supported.",
           node.name().substr(0, 200), kMaxDepth);
    }
    auto scope = std::make_unique<Scope>();
    scope->function = &function;
    scope->prefix = node.name() + "/";
    scope->depth = depth + 1;
    scope->results = std::move(results);
    const bool by_attribute = functions_.count(node.op()) == 0 && node.attr().count("f") > 0;
    scope->attributes = by_attribute ? node.attr().at("f").func().attr() : node.attr();
    for (const std::string& input : inputs) (input[0] == '^' ? scope->awaited : scope->arguments).push_back(input);
    const auto& wanted = function.signature().input_arg();
    if (static_cast<size_t>(wanted.size()) != scope->arguments.size()) {
      fail("node \"{}\" gives {} arguments to the function \"{}\", which takes {}. The file is damaged.", node.name(),
           scope->arguments.size(), function.signature().name(), wanted.size());
    }
    for (int i = 0; i < wanted.size(); ++i) {
      if (!wanted[i].number_attr().empty() || !wanted[i].type_list_attr().empty()) {
        fail("function \"{}\" takes lists of tensors, which is not supported. Freeze the model.",
             function.signature().name());
      }
      scope->argument_index[wanted[i].name()] = static_cast<size_t>(i);
    }
    calls_.push_back(scopes_.size());
    scopes_.push_back(std::move(scope));
  }

  void unfold(Scope& scope) {
    for (NodeDef& node : *scope.function->mutable_node_def()) add_node(scope, node);
    const auto& outputs = scope.function->signature().output_arg();
    if (static_cast<size_t>(outputs.size()) != scope.results->are_read.size()) {
      fail("function \"{}\" gives {} results, its call has {}. The file is damaged.",
           scope.function->signature().name(), outputs.size(), scope.results->are_read.size());
    }
    std::vector<std::string> roots, waits = scope.awaited;
    const std::string reader = fmt::format("the result of function \"{}\"", scope.function->signature().name());
    for (const auto& [name, node] : sorted(scope.function->control_ret())) {
      roots.push_back("^" + node);
      waits.push_back(flat_reference(scope, "^" + node, reader));
    }
    for (int k = 0; k < outputs.size(); ++k) {
      if (!scope.results->are_read[static_cast<size_t>(k)]) continue;
      const auto result = scope.function->ret().find(outputs[k].name());
      if (result == scope.function->ret().end()) fail("{} is missing. The file is damaged.", reader);
      roots.push_back(result->second);
      write_alias(scope.results->names[static_cast<size_t>(k)], flat_reference(scope, result->second, reader), waits);
    }
    const bool first_is_read = !scope.results->are_read.empty() && scope.results->are_read[0];
    if (scope.results->is_awaited && !first_is_read) write_alias(scope.results->names[0], "", waits);
    write_nodes(scope, roots);
    scope.nodes.clear();
    scope.order.clear();
  }

  static std::vector<std::pair<std::string, std::string>> sorted(
      const google::protobuf::Map<std::string, std::string>& map) {
    std::vector<std::pair<std::string, std::string>> pairs(map.begin(), map.end());
    std::sort(pairs.begin(), pairs.end());
    return pairs;
  }

  // write_alias adds the node that stands for a result of a call; without a value it only waits.
  void write_alias(const std::string& name, const std::string& value, const std::vector<std::string>& waits) {
    NodeDef* node = flat_.graph.add_node();
    node->set_name(name);
    node->set_op(value.empty() ? "NoOp" : "Identity");
    if (!value.empty()) node->add_input(value);
    for (const std::string& wait : waits) node->add_input(wait);
  }

  // --- Conditions ----------------------------------------------------------------------------------------------------

  // choose_branch queues the branch of every condition whose value is known; false when there is none.
  bool choose_branch() {
    if (conditions_.empty() || ++rounds_ > kMaxDepth) return false;
    const FlatNodes nodes(flat_.graph);
    std::vector<Condition> open;
    for (Condition& condition : conditions_) {
      const auto value = condition.node.input_size() > 0 ? truth(nodes, condition.node.input(0), 0) : std::nullopt;
      if (!value) {
        open.push_back(std::move(condition));
        continue;
      }
      const std::vector<std::string> inputs(condition.node.input().begin() + 1, condition.node.input().end());
      const char* branch = *value ? "then_branch" : "else_branch";
      queue_call(condition.node, *function_of(condition.node, branch), inputs, condition.results, condition.depth);
      scopes_.back()->attributes = condition.node.attr().at(branch).func().attr();
    }
    conditions_ = std::move(open);
    return !calls_.empty();
  }

  static std::optional<bool> truth(const FlatNodes& nodes, const std::string& reference, int depth) {
    const NodeDef* node = nodes.source(reference).node;
    if (node == nullptr || depth > kMaxDepth) return {};
    if (node->op() == "LogicalNot" && node->input_size() > 0) {
      const auto inner = truth(nodes, node->input(0), depth + 1);
      return inner ? std::optional<bool>(!*inner) : std::nullopt;
    }
    if (node->op() == "PlaceholderWithDefault" && node->input_size() > 0) {
      return truth(nodes, node->input(0), depth + 1);
    }
    const auto value = node->attr().find("value");
    if (node->op() != "Const" || value == node->attr().end()) return {};
    const auto& tensor = value->second.tensor();
    if (tensor.dtype() != tf_format::DT_BOOL || tensor.tensor_shape().dim_size() > 0) return {};
    if (tensor.bool_val_size() > 0) return tensor.bool_val(0);
    return !tensor.tensor_content().empty() && tensor.tensor_content()[0] != 0;
  }

  // Conditions on computed values stay; the importer says that they are not supported.
  void write_conditions() {
    for (Condition& condition : conditions_) {
      const Results& results = *condition.results;
      for (size_t k = 1; k < results.names.size(); ++k) {
        if (results.are_read[k]) write_alias(results.names[k], fmt::format("{}:{}", results.names[0], k), {});
      }
      flat_.graph.add_node()->Swap(&condition.node);
    }
  }

  GraphDef& graph_;
  const std::string file_;
  std::unordered_map<std::string, FunctionDef*> functions_;
  std::unordered_set<std::string> names_;  // of the flat graph
  std::vector<std::unique_ptr<Scope>> scopes_;
  std::deque<size_t> calls_;  // scopes that are not unfolded yet
  std::vector<Condition> conditions_;
  size_t nodes_ = 0, bytes_ = 0;
  int rounds_ = 0;
  FlatGraph flat_;
};

}  // namespace

FlatGraph inline_functions(GraphDef& graph, const std::vector<std::string>& roots, const std::string& file) {
  return Inliner(graph, file).run(roots);
}

std::vector<std::string> unread_nodes(const GraphDef& graph) {
  std::unordered_set<std::string> by_data, by_any;
  for (const NodeDef& node : graph.node()) {
    for (const std::string& input : node.input()) {
      const TfReference reference = parse_reference(input);
      by_any.insert(reference.name);
      if (!reference.is_control) by_data.insert(reference.name);
    }
  }
  std::vector<std::string> unread;
  for (const auto& read : {by_any, by_data}) {
    for (const NodeDef& node : graph.node()) {
      if (read.count(node.name()) == 0) unread.push_back(node.name());
    }
    if (!unread.empty()) break;
  }
  return unread;
}

FlatNodes::FlatNodes(const GraphDef& graph) {
  for (const NodeDef& node : graph.node()) nodes_.emplace(node.name(), &node);
}

FlatNodes::Source FlatNodes::source(const std::string& reference) const {
  TfReference at = parse_reference(reference);
  for (size_t step = 0; step <= nodes_.size(); ++step) {  // a cycle of aliases ends too
    const auto found = nodes_.find(at.name);
    if (found == nodes_.end()) return {};
    const NodeDef* node = found->second;
    if (node->op() != "Identity" || node->input_size() == 0) return {node, at.output};
    at = parse_reference(node->input(0));
  }
  return {};
}

}  // namespace treville::import
