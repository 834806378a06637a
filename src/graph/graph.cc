#include "graph/graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace treville {
namespace {

template <class T>
T read_attribute(const Node& node, const std::string& key, const T& otherwise, const char* type) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return otherwise;
  const T* held = std::get_if<T>(&found->second);
  CHECK(held != nullptr, "attribute \"{}\" of node \"{}\" ({}) is not {}", key, node.name, node.op, type);
  return *held;
}

std::string text_of(const Attribute& attribute) {
  struct Printer {
    std::string operator()(int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(double value) const { return fmt::format("{:g}", value); }
    std::string operator()(const std::string& value) const { return value; }
    std::string operator()(const std::vector<int64_t>& values) const {
      return fmt::format("[{}]", fmt::join(values, ","));
    }
    std::string operator()(const std::vector<double>& values) const {
      std::vector<std::string> texts;
      texts.reserve(values.size());
      for (double value : values) texts.push_back(fmt::format("{:g}", value));
      return fmt::format("[{}]", fmt::join(texts, ","));
    }
  };
  return std::visit(Printer{}, attribute);
}

std::string names_of(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> names;
  names.reserve(ids.size());
  for (ValueId id : ids) names.push_back(graph.value(id).name);
  return fmt::format("{}", fmt::join(names, ", "));
}

// shapes_of is "" when no shape is known.
std::string shapes_of(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> texts;
  bool any = false;
  for (ValueId id : ids) {
    const Value& value = graph.value(id);
    any = any || value.shape.has_value();
    texts.push_back((value.shape ? to_string(*value.shape) : "?") + (value.dtype == DType::kInt ? " int" : ""));
  }
  return any ? fmt::format("{}", fmt::join(texts, ", ")) : "";
}

// Line is one line of print: `name = text -> shape`.
struct Line {
  std::string name, text, shape;
};

std::string layout(const std::vector<Line>& lines) {
  // A few very long lines must not push every arrow off the screen.
  constexpr size_t kWidestName = 40, kWidestText = 80;
  size_t name_width = 0, text_width = 0;
  for (const Line& line : lines) {
    if (line.name.size() <= kWidestName) name_width = std::max(name_width, line.name.size());
    if (line.text.size() <= kWidestText) text_width = std::max(text_width, line.text.size());
  }
  std::string result;
  for (const Line& line : lines) {
    if (line.shape.empty()) {
      result += fmt::format("{:<{}} = {}\n", line.name, name_width, line.text);
    } else {
      result += fmt::format("{:<{}} = {:<{}} -> {}\n", line.name, name_width, line.text, text_width, line.shape);
    }
  }
  return result;
}

}  // namespace

int64_t Node::get_int(const std::string& key, int64_t otherwise) const {
  return read_attribute<int64_t>(*this, key, otherwise, "an integer");
}

double Node::get_float(const std::string& key, double otherwise) const {
  return read_attribute<double>(*this, key, otherwise, "a float");
}

std::string Node::get_string(const std::string& key, const std::string& otherwise) const {
  return read_attribute<std::string>(*this, key, otherwise, "a string");
}

std::vector<int64_t> Node::get_ints(const std::string& key, const std::vector<int64_t>& otherwise) const {
  return read_attribute<std::vector<int64_t>>(*this, key, otherwise, "a list of integers");
}

ValueId Graph::add_value(Value value) {
  CHECK(values_.size() < UINT32_MAX, "a graph has too many values");
  values_.push_back(std::move(value));
  return ValueId(static_cast<uint32_t>(values_.size() - 1));
}

ValueId Graph::add_constant(std::string value_name, Constant constant) {
  const DType dtype = std::holds_alternative<FloatTensor>(constant) ? DType::kFloat : DType::kInt;
  Shape shape = shape_of(constant);
  return add_value({std::move(value_name), dtype, std::move(shape), std::move(constant)});
}

ValueId Graph::add_node(std::string op, std::string node_name, std::vector<ValueId> node_inputs,
                        std::map<std::string, Attribute> attributes, DType dtype) {
  const ValueId output = add_value({node_name, dtype, std::nullopt, std::nullopt});
  Node node;
  node.name = std::move(node_name);
  node.op = std::move(op);
  node.inputs = std::move(node_inputs);
  node.outputs = {output};
  node.attributes = std::move(attributes);
  nodes.push_back(std::move(node));
  return output;
}

void Graph::replace_uses(ValueId from, ValueId to) {
  for (Node& node : nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  std::replace(outputs.begin(), outputs.end(), from, to);
}

void Graph::remove_dead() {
  std::vector<bool> used(values_.size(), false);
  for (ValueId id : outputs) used[index_of(id)] = true;
  std::vector<bool> keep(nodes.size(), false);
  for (size_t i = nodes.size(); i-- > 0;) {
    const Node& node = nodes[i];
    keep[i] = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return used[index_of(id)]; });
    if (!keep[i]) continue;
    for (ValueId id : node.inputs) used[index_of(id)] = true;
  }
  std::vector<Node> live;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (keep[i]) live.push_back(std::move(nodes[i]));
  }
  nodes = std::move(live);
}

int64_t Graph::parameters() const {
  std::vector<bool> counted(values_.size(), false);
  int64_t total = 0;
  for (const Node& node : nodes) {
    for (ValueId id : node.inputs) {
      const Constant* held = constant(id);
      if (held == nullptr || counted[index_of(id)] || !std::holds_alternative<FloatTensor>(*held)) continue;
      counted[index_of(id)] = true;
      total += shape_of(*held).elements();
    }
  }
  return total;
}

void verify(const Graph& graph, const std::string& after) {
  std::vector<bool> known(graph.value_count(), false);
  const auto in_range = [&](ValueId id) { return index_of(id) < graph.value_count(); };
  for (uint32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value(ValueId(i));
    if (!value.constant) continue;
    known[i] = true;
    const bool is_float = std::holds_alternative<FloatTensor>(*value.constant);
    CHECK(is_float == (value.dtype == DType::kFloat), "after {}: constant \"{}\" and its dtype differ", after,
          value.name);
    CHECK(!value.shape || *value.shape == shape_of(*value.constant),
          "after {}: constant \"{}\" has shape {}, its value says {}", after, value.name,
          to_string(shape_of(*value.constant)), to_string(*value.shape));
  }
  const auto produce = [&](ValueId id, const std::string& by) {
    CHECK(in_range(id), "after {}: {} has value number {} of {}", after, by, index_of(id), graph.value_count());
    CHECK(!known[index_of(id)], "after {}: value \"{}\" of {} has another producer", after, graph.value(id).name, by);
    known[index_of(id)] = true;
  };
  for (ValueId id : graph.inputs) produce(id, "the model's input");
  for (const Node& node : graph.nodes) {
    for (ValueId id : node.inputs) {
      CHECK(in_range(id), "after {}: node \"{}\" reads value number {} of {}", after, node.name, index_of(id),
            graph.value_count());
      CHECK(known[index_of(id)], "after {}: node \"{}\" ({}) reads \"{}\" before it is computed", after, node.name,
            node.op, graph.value(id).name);
    }
    CHECK(!node.outputs.empty(), "after {}: node \"{}\" ({}) has no output", after, node.name, node.op);
    for (ValueId id : node.outputs) produce(id, fmt::format("node \"{}\" ({})", node.name, node.op));
  }
  CHECK(!graph.outputs.empty(), "after {}: the graph has no output", after);
  for (ValueId id : graph.outputs) {
    CHECK(in_range(id) && known[index_of(id)], "after {}: output number {} is computed by no node", after,
          index_of(id));
  }
}

std::string print(const Graph& graph) {
  std::vector<Line> lines;
  for (ValueId id : graph.inputs) lines.push_back({graph.value(id).name, "input", shapes_of(graph, {id})});
  for (const Node& node : graph.nodes) {
    std::string text = fmt::format("{}({})", node.op, names_of(graph, node.inputs));
    for (const auto& [key, attribute] : node.attributes) text += fmt::format(" {}={}", key, text_of(attribute));
    lines.push_back({names_of(graph, node.outputs), std::move(text), shapes_of(graph, node.outputs)});
  }
  return layout(lines) + fmt::format("output {}\n", names_of(graph, graph.outputs));
}

}  // namespace treville
