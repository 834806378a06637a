// Graph is the float model: named values, nodes in topological order; no scales, no secrets. Importers build it,
// passes rewrite it, the compiler lowers it. The operations and their attributes are listed in docs/graph.md; the
// semantics of each is in ops/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tensor/float_tensor.h"

namespace treville {

enum class ValueId : uint32_t {};
inline constexpr uint32_t index_of(ValueId id) { return static_cast<uint32_t>(id); }

enum class DType : uint8_t { kFloat, kInt };  // kInt also holds booleans and shapes; never secret

// Value: an edge of the graph. shape is absent until infer_shapes ran; a dimension of an input may be -1 (dynamic)
// until it is fixed by the user. constant holds weights and folded results.
struct Value {
  std::string name;
  DType dtype = DType::kFloat;
  std::optional<Shape> shape;
  std::optional<Constant> constant;
};

using Attribute = std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>>;

// Node: one operation. `op` is the canonical name ("Conv"), `name` the one in the user's model. `origin` is the
// operation as the model's format calls it ("Conv2D"), for messages.
struct Node {
  std::string name;
  std::string op;
  std::string origin;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::map<std::string, Attribute> attributes;

  bool has(const std::string& key) const { return attributes.count(key) > 0; }
  // The typed readers throw BugError on another type and return the default when the attribute is absent.
  int64_t get_int(const std::string& key, int64_t otherwise) const;
  double get_float(const std::string& key, double otherwise) const;
  std::string get_string(const std::string& key, const std::string& otherwise) const;
  std::vector<int64_t> get_ints(const std::string& key, const std::vector<int64_t>& otherwise = {}) const;
};

class Graph {
 public:
  std::string name;    // of the model
  std::string format;  // "onnx", "tensorflow-graphdef", "keras-h5", ..., for messages
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;  // secret inputs, in the model's order
  std::vector<ValueId> outputs;

  ValueId add_value(Value value);
  Value& value(ValueId id) { return values_[index_of(id)]; }
  const Value& value(ValueId id) const { return values_[index_of(id)]; }
  size_t value_count() const { return values_.size(); }
  ValueId add_constant(std::string value_name, Constant constant);
  // add_node appends a node with one fresh output value of the node's name and returns that value.
  ValueId add_node(std::string op, std::string node_name, std::vector<ValueId> node_inputs,
                   std::map<std::string, Attribute> attributes = {}, DType dtype = DType::kFloat);
  const Constant* constant(ValueId id) const {
    const auto& held = value(id).constant;
    return held ? &*held : nullptr;
  }
  // replace_uses makes every node and output that reads `from` read `to`.
  void replace_uses(ValueId from, ValueId to);
  // remove_dead drops nodes none of whose outputs is used. Values stay (ids are stable).
  void remove_dead();
  // parameters counts the elements of float constants that nodes read.
  int64_t parameters() const;

 private:
  std::vector<Value> values_;
};

// verify checks that every node reads only inputs, constants and outputs of earlier nodes, that each value has one
// producer, and that outputs exist; throws BugError naming the pass.
void verify(const Graph& graph, const std::string& after);
// print gives one line a node, the text of `treville inspect` and --dump-after.
std::string print(const Graph& graph);

}  // namespace treville
