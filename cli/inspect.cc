// treville inspect: the graph of a model, its shapes and parameters, and every unsupported node at once.
#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "cli/command.h"
#include "cli/model.h"
#include "cli/screen.h"
#include "compile/infer_shapes.h"
#include "import/import.h"

namespace treville::cli {
namespace {

struct Options : ModelFile {
  bool nodes = false;
  bool json = false;
};

std::string shape_text(const Value& value) { return value.shape ? to_string(*value.shape) : "?"; }

Json node_json(const Graph& graph, const Node& node) {
  Json outputs = Json::array();
  for (const ValueId id : node.outputs) {
    const auto& shape = graph.value(id).shape;
    outputs.push_back(shape ? Json(shape->dims()) : Json());
  }
  return {{"name", node.name}, {"op", node.op}, {"origin", node.origin}, {"output_shapes", outputs}};
}

Json values_json(const Graph& graph, const std::vector<ValueId>& ids) {
  Json values = Json::array();
  for (const ValueId id : ids) {
    const Value& value = graph.value(id);
    values.push_back({{"name", value.name}, {"shape", value.shape ? Json(value.shape->dims()) : Json()}});
  }
  return values;
}

void print_people(const ImportResult& result, const Options& options, const std::string& shape_problem) {
  const Graph& graph = result.graph;
  fmt::print("{}: {}, {} nodes, {} parameters\n", options.model, describe_format(graph.format), graph.nodes.size(),
             human_count(graph.parameters()));
  for (const ValueId id : graph.inputs)
    fmt::print("  input   {} {}\n", graph.value(id).name, shape_text(graph.value(id)));
  for (const ValueId id : graph.outputs)
    fmt::print("  output  {} {}\n", graph.value(id).name, shape_text(graph.value(id)));
  std::map<std::string, int> counts;
  for (const Node& node : graph.nodes) ++counts[node.origin];
  fmt::print("\n");
  Table table({"operation", "nodes"});
  for (const auto& [origin, count] : counts) table.add({origin, std::to_string(count)});
  fmt::print("{}", table.text());
  if (options.nodes) fmt::print("\n{}", print(graph));
  if (!shape_problem.empty()) fmt::print("\nShapes: {}\n", shape_problem);
  if (result.unsupported.empty()) {
    fmt::print("\nEvery node is supported.{}\n", options.nodes ? "" : " --nodes lists them.");
  } else {
    fmt::print("\n{} unsupported node{}:\n", result.unsupported.size(), result.unsupported.size() == 1 ? "" : "s");
    Table unsupported({"node", "operation", "reason"});
    unsupported.left(1);
    unsupported.left(2);
    for (const UnsupportedNode& node : result.unsupported) unsupported.add({node.name, node.origin, node.reason});
    fmt::print("{}", unsupported.text());
  }
}

int inspect(const Options& options) {
  ImportResult result = inspect_model(options.model, options.import_options());
  std::string shape_problem;
  if (result.unsupported.empty()) {
    try {
      infer_shapes(result.graph);
    } catch (const UserError& error) {
      shape_problem = error.what();
    }
  }
  if (options.json) {
    Json nodes = Json::array(), unsupported = Json::array();
    for (const Node& node : result.graph.nodes) nodes.push_back(node_json(result.graph, node));
    for (const UnsupportedNode& node : result.unsupported) {
      unsupported.push_back({{"name", node.name}, {"operation", node.origin}, {"reason", node.reason}});
    }
    Json object = {{"model", options.model},
                   {"format", result.graph.format},
                   {"parameters", result.graph.parameters()},
                   {"inputs", values_json(result.graph, result.graph.inputs)},
                   {"outputs", values_json(result.graph, result.graph.outputs)},
                   {"nodes", nodes},
                   {"unsupported", unsupported}};
    if (!shape_problem.empty()) object["shape_problem"] = shape_problem;
    print_json(object);
  } else {
    print_people(result, options, shape_problem);
  }
  return result.unsupported.empty() && shape_problem.empty() ? kSuccess : kUserError;
}

}  // namespace

Command add_inspect(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app =
      new_command(root, "inspect", "Graph, shapes, parameters, every unsupported node at once",
                  "Examples:\n"
                  "  treville inspect model.onnx\n"
                  "  treville inspect frozen.pb --nodes\n\n"
                  "Prints what a model is made of and whether it can run. The exit code is 2 when a node is\n"
                  "not supported.",
                  options->json);
  options->add_to(*app);
  app->add_flag("--nodes", options->nodes, "List every node with its shapes");
  return {app, [options] { return inspect(*options); }};
}

}  // namespace treville::cli
