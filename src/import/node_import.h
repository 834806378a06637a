// NodeImport is what a row of an importer's table works with: the inputs of one node of the model, and ways to add
// operations to the graph under that node's name. What the project cannot express is refused with a reason; the
// importer collects refusals over the whole model.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "import/import.h"
#include "import/tensor_data.h"

namespace treville::import {

using Attributes = std::map<std::string, Attribute>;
using Ints = std::vector<int64_t>;

// Refusal leaves a row's function; the importer's loop turns it into an UnsupportedNode.
struct Refusal {
  std::string reason;
};

// ImportState is what one import carries from node to node.
struct ImportState {
  std::string file;              // the file's name, for messages
  std::filesystem::path folder;  // where files of weights beside it are; empty: none are read
  ImportResult result;
  FillBudget fills;
  std::set<ValueId> finite;                      // constants known to hold no NaN
  std::map<ValueId, ElementType> element_types;  // of constants, as the file stores them, where a row asks for it
  std::map<ValueId, ValueId> real_values;        // what integers stand for that a model quantised
};

// ResultName is an output of a node of the model. `kept` says that the model's user knows the name, so that an alias
// may not swallow it; `is_read` that something reads the output.
struct ResultName {
  std::string name;
  bool kept = false;
  bool is_read = true;
};

class NodeImport {
 public:
  // One entry an input, nothing where an optional input is left out; one entry an output, at least one.
  NodeImport(ImportState& state, std::string name, std::string origin, std::vector<ResultName> results,
             std::vector<std::optional<ValueId>> inputs);

  size_t input_count() const { return inputs_.size(); }
  bool has_input(size_t i) const { return i < inputs_.size() && inputs_[i].has_value(); }
  // input refuses a missing input and throws UserError for a constant with NaN or infinities.
  ValueId input(size_t i);
  std::vector<ValueId> inputs_from(size_t first);
  // constant is null when the input is computed (or missing); it may hold infinities.
  const Constant* constant(size_t i) const;
  // constant_ints reads a constant integer list or scalar; constant_number a constant of one element.
  std::optional<Ints> constant_ints(size_t i) const;
  std::optional<double> constant_number(size_t i) const;
  // constant_number_if_single is nothing for a constant of several elements, too.
  std::optional<double> constant_number_if_single(size_t i) const;
  // stored_type is how the file stores a constant, where its importer notes that.
  std::optional<ElementType> stored_type(size_t i) const;
  DType dtype(size_t i) { return graph().value(input(i)).dtype; }

  // step adds an inner operation named <node>/<suffix>; its type is the first input's unless given.
  ValueId step(const std::string& suffix, const std::string& op, std::vector<ValueId> inputs,
               Attributes attributes = {}, std::optional<DType> dtype = {});
  // step_all adds an operation with several results, one for each type.
  std::vector<ValueId> step_all(const std::string& suffix, const std::string& op, std::vector<ValueId> inputs,
                                Attributes attributes, const std::vector<DType>& dtypes);
  ValueId constant_step(const std::string& suffix, Constant constant);
  // finish adds the operation that computes the node's first result (or result i); alias makes it another value.
  void finish(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {},
              std::optional<DType> dtype = {});
  void finish(Constant constant);
  void finish_result(size_t i, const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {},
                     std::optional<DType> dtype = {});
  void alias(ValueId value) { alias_result(0, value); }
  void alias_result(size_t i, ValueId value);
  // finish_all adds one operation with several results, one for each type; they become the node's first results.
  void finish_all(const std::string& op, std::vector<ValueId> inputs, Attributes attributes,
                  const std::vector<DType>& dtypes);
  // finish_folded applies an operation of two operands to all inputs, from the left.
  void finish_folded(const std::string& op);

  size_t result_count() const { return names_.size(); }
  bool reads_result(size_t i) const { return i < names_.size() && names_[i].is_read; }
  // check_results refuses the node when a result that is read was not given.
  void check_results() const;
  ValueId result(size_t i = 0) const;

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    throw Refusal{fmt::format(format, std::forward<Args>(args)...)};
  }
  // fail is for files that contradict themselves.
  [[noreturn]] void fail(const std::string& message) const;

  const std::string& name() const { return name_; }
  const std::string& origin() const { return origin_; }
  // where begins every message about this node.
  std::string where() const;
  Graph& graph() { return state_.result.graph; }
  ImportState& state() { return state_; }
  const ImportState& state() const { return state_; }

 private:
  void set_result(size_t i, ValueId value);

  ImportState& state_;
  std::string name_, origin_;
  std::vector<ResultName> names_;
  std::vector<std::optional<ValueId>> inputs_;
  std::vector<std::optional<ValueId>> results_;
};

// refuse_node records a refusal and puts one "Unsupported:<origin>" node with the given outputs into the graph.
std::vector<ValueId> refuse_node(ImportState& state, const std::string& name, const std::string& origin,
                                 const std::string& reason, const std::vector<std::optional<ValueId>>& inputs,
                                 const std::vector<std::string>& output_names);

// choose_input_shape applies the options to the shape a model declares for an input (absent: unknown rank).
std::optional<Shape> choose_input_shape(const std::string& file, const std::string& name, std::optional<Shape> declared,
                                        const ImportOptions& options);

// check_option_names throws UserError when input_shapes names no input of the graph.
void check_option_names(const ImportState& state, const ImportOptions& options);

}  // namespace treville::import
