#include "compile/merge_pads.h"

#include <algorithm>

#include "compile/uses.h"

namespace treville {
namespace {

// spatial_pads returns the pads, all befores and all afters, of a Pad node that adds zeros to spatial dimensions only.
std::optional<std::vector<int64_t>> spatial_pads(const Graph& graph, const Node& pad) {
  const auto pads = list_of(graph, pad, "pads", 1);
  if (!pads || pads->size() < 6 || pad.inputs.size() > 2) return {};
  if (pad.get_float("value", 0) != 0 || pad.get_string("mode", "constant") != "constant") return {};
  if (std::any_of(pads->begin(), pads->end(), [](int64_t p) { return p < 0; })) return {};
  const size_t rank = pads->size() / 2;
  std::vector<int64_t> spatial;
  for (size_t side : {size_t{0}, rank}) {
    if ((*pads)[side] != 0 || (*pads)[side + rank - 1] != 0) return {};
    for (size_t axis = 1; axis + 1 < rank; ++axis) spatial.push_back((*pads)[side + axis]);
  }
  return spatial;
}

bool is_non_negative(const Graph& graph, ValueId value, const Uses& uses) {
  const int producer = uses.producer(value);
  if (producer < 0) return false;
  const Node& node = graph.nodes[static_cast<size_t>(producer)];
  return node.op == "Relu" || (node.op == "Clip" && node.has("min") && node.get_float("min", -1) >= 0);
}

// takes_pads: every window of the reader still holds an element that is not padding, and it may pad with zeros.
bool takes_pads(const Graph& graph, const Node& reader, const Node& pad, const std::vector<int64_t>& pads,
                const Uses& uses) {
  if (reader.get_string("layout", "NHWC") != "NHWC" || reader.inputs[0] != pad.outputs[0]) return false;
  if (reader.op == "Conv") return true;
  if (reader.op != "MaxPool" || !is_non_negative(graph, pad.inputs[0], uses)) return false;
  const auto kernel = reader.get_ints("kernel"), old = reader.get_ints("pads", std::vector<int64_t>(pads.size(), 0));
  const auto dilations = reader.get_ints("dilations");
  if (std::any_of(dilations.begin(), dilations.end(), [](int64_t d) { return d != 1; })) return false;
  for (size_t side = 0; side < pads.size(); ++side)
    if (pads[side] + std::max<int64_t>(old[side], 0) >= kernel[side % kernel.size()]) return false;
  return true;
}

bool merge_one(Graph& graph) {
  const Uses uses(graph);
  for (Node& reader : graph.nodes) {
    if (reader.op != "Conv" && reader.op != "MaxPool") continue;
    const int producer = uses.producer(reader.inputs[0]);
    if (producer < 0 || graph.nodes[static_cast<size_t>(producer)].op != "Pad") continue;
    const Node& pad = graph.nodes[static_cast<size_t>(producer)];
    const auto pads = spatial_pads(graph, pad);
    if (!pads || uses.count(pad.outputs[0]) != 1 || !takes_pads(graph, reader, pad, *pads, uses)) continue;
    auto sum = reader.get_ints("pads", std::vector<int64_t>(pads->size(), 0));
    for (size_t side = 0; side < sum.size(); ++side) sum[side] += (*pads)[side];
    reader.attributes["pads"] = sum;
    reader.attributes["auto_pad"] = std::string("explicit");
    reader.inputs[0] = pad.inputs[0];
    return true;
  }
  return false;
}

}  // namespace

void merge_pads(Graph& graph) {
  while (merge_one(graph)) graph.remove_dead();
}

}  // namespace treville
