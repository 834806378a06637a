#include "compile/compile.h"

#include <utility>

#include "base/error.h"
#include "compile/drop_constants.h"
#include "compile/expand_composites.h"
#include "compile/expand_einsum.h"
#include "compile/fold_batchnorm.h"
#include "compile/fold_constants.h"
#include "compile/infer_shapes.h"
#include "compile/join_activations.h"
#include "compile/judge_ranges.h"
#include "compile/label_only.h"
#include "compile/lower.h"
#include "compile/max_before_relu.h"
#include "compile/measure_ranges.h"
#include "compile/merge_pads.h"
#include "compile/merge_sums.h"
#include "compile/narrow_moduli.h"
#include "compile/plan_fixed_point.h"
#include "compile/program_edit.h"
#include "compile/remove_identities.h"
#include "compile/reuse_slots.h"
#include "compile/softmax_last.h"
#include "compile/to_nhwc.h"
#include "program/text.h"

namespace treville {
namespace {

// count_images counts samples as the model's first input counts them: a tensor of the input's rank holds several.
int64_t count_images(const Graph& graph, const InputSamples& samples) {
  const int rank = graph.value(graph.inputs[0]).shape->rank();
  int64_t images = 0;
  for (const FloatTensor& sample : samples.front())
    images += sample.shape.rank() == rank && rank > 0 ? sample.shape[0] : 1;
  return images;
}

std::string scheme_of(const Graph& graph, const CompileOptions& options) {
  const RangeSource source = range_source(graph, options);
  if (source == RangeSource::kGuaranteed) return "guaranteed";
  if (source == RangeSource::kSynthetic) return "uncalibrated";
  if (source == RangeSource::kModel)
    return fmt::format("ranges of the quantised model, margin {} bits", options.margin_bits);
  const int64_t images = count_images(graph, options.calibration);
  return fmt::format("calibrated on {} sample{}, margin {} bits", images, images == 1 ? "" : "s", options.margin_bits);
}

std::string print_plan(const Graph& graph, const FixedPointPlan& plan) {
  std::string text;
  const auto line = [&](ValueId id) {
    const ValuePlan& value = plan.of(id);
    text += fmt::format("{:<40} bound={:.6g} rms={:.4g} scale={} limit={}{}\n", graph.value(id).name, value.range.bound,
                        value.range.rms, value.scale, value.limit, value.wants_mask ? " masked" : "");
  };
  for (ValueId input : graph.inputs) line(input);
  for (const Node& node : graph.nodes) line(node.outputs[0]);
  return text;
}

// judge gives the verdicts of a finished program. Ranges of random inputs are no evidence of what typical ones need.
void judge(const Graph& graph, const CompileOptions& options, Lowered& lowered) {
  Evidence evidence;
  const RangeSource source = range_source(graph, options);
  if (source == RangeSource::kGuaranteed)
    evidence = evidence_of_bounds(lowered.program, Evidence::Kind::kProof, 0);
  else if (is_calibrated(source))
    evidence = evidence_of_bounds(lowered.program, Evidence::Kind::kTypical, options.margin_bits);
  judge_ranges(lowered.program, lowered.constants, evidence);
}

std::vector<std::string> output_names(const Graph& graph) {
  std::vector<std::string> names;
  for (ValueId output : graph.outputs) names.push_back(graph.value(output).name);
  return names;
}

}  // namespace

Compiled compile(Graph graph, const CompileOptions& options) {
  const std::vector<std::string> names = output_names(graph);
  const auto after_graph_pass = [&](std::string_view pass) {
    verify(graph, std::string(pass));
    if (options.dump_after) options.dump_after(pass, print(graph));
  };
  const auto graph_pass = [&](std::string_view pass, void (*run)(Graph&)) {
    run(graph);
    after_graph_pass(pass);
  };

  infer_shapes(graph, options.batch);
  after_graph_pass("infer_shapes");
  graph_pass("expand_einsum", expand_einsum);
  graph_pass("fold_constants", fold_constants);
  graph_pass("remove_identities", remove_identities);
  const int64_t parameters = graph.parameters();
  graph_pass("expand_composites", expand_composites);
  graph_pass("fold_constants", fold_constants);
  graph_pass("remove_identities", remove_identities);
  graph_pass("to_nhwc", to_nhwc);
  graph_pass("remove_identities", remove_identities);
  graph_pass("merge_pads", merge_pads);
  graph_pass("fold_batchnorm", fold_batchnorm);
  graph_pass("join_activations", join_activations);
  graph_pass("max_before_relu", max_before_relu);
  if (options.reveal_label_only) graph_pass("label_only", label_only);
  graph_pass("softmax_last", softmax_last);

  const std::vector<ValueRange> ranges = measure_ranges(graph, options);
  const Ring ring = options.ring.value_or(is_calibrated(range_source(graph, options)) ? Ring::k32 : Ring::k64);
  FixedPointPlan plan = plan_fixed_point(graph, ranges, ring, options.k.value_or(Bits(ring == Ring::k32 ? 20 : 40)));
  if (options.dump_after) options.dump_after("plan_fixed_point", print_plan(graph, plan));

  Lowered lowered = lower(graph, plan, options, names);
  Program& program = lowered.program;
  program.model = graph.name;
  program.scheme = scheme_of(graph, options);
  program.preprocess = options.preprocess;
  program.parameters = parameters;
  const auto after_program_pass = [&](std::string_view pass) {
    verify(program);
    if (options.dump_after) options.dump_after(pass, to_text(program));
  };
  after_program_pass("lower");
  merge_sums(program, lowered.constants);
  after_program_pass("merge_sums");
  remove_dead_steps(program);
  drop_constants(program, lowered.constants);
  after_program_pass("drop_constants");
  narrow_moduli(program);
  after_program_pass("narrow_moduli");
  reuse_slots(program);
  after_program_pass("reuse_slots");
  judge(graph, options, lowered);
  after_program_pass("judge_ranges");
  return {std::move(program), std::move(lowered.constants), std::move(plan), std::move(graph)};
}

}  // namespace treville
