#include "cli/results.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "run/post_process.h"

namespace treville::cli {

NamedOutput decode_output(const RevealedOutput& output) {
  NamedOutput result;
  result.name = output.name;
  result.raw = decode(output.value, output.type);
  result.has_softmax = output.post == PostProcess::kSoftmax;
  result.final = post_process(result.raw, output.post, output.top, output.axis);
  result.is_label =
      output.type.is_index || output.post == PostProcess::kTopIndices || output.post == PostProcess::kLeastIndices;
  return result;
}

std::vector<NamedOutput> decode_outputs(const std::vector<RevealedOutput>& outputs) {
  std::vector<NamedOutput> decoded;
  for (const RevealedOutput& output : outputs)
    if (output.policy == OutputPolicy::kReveal) decoded.push_back(decode_output(output));
  return decoded;
}

std::vector<std::string> output_names(const Program& program, std::optional<PartyId> recipient) {
  std::vector<std::string> names;
  for (const Step& step : program.steps) {
    const auto* output = std::get_if<OutputStep>(&step.body);
    if (output == nullptr || (recipient && output->recipient != *recipient)) continue;
    if (output->policy == OutputPolicy::kReveal) names.push_back(output->name);
  }
  return names;
}

Json to_json(const NamedOutput& output) {
  return {{"name", output.name},
          {"shape", output.final.shape.dims()},
          {"kind", output.is_label      ? "label"
                   : output.has_softmax ? "probabilities"
                                        : "values"},
          {"values", output.final.values},
          {"raw_shape", output.raw.shape.dims()},
          {"raw", output.raw.values}};
}

NamedOutput output_from_json(const Json& json) {
  NamedOutput output;
  output.name = json.at("name");
  output.has_softmax = json.at("kind") == "probabilities";
  output.is_label = json.at("kind") == "label";
  const auto tensor = [&](const char* shape, const char* values) {
    return FloatTensor(Shape(json.at(shape).get<std::vector<int64_t>>()), json.at(values).get<std::vector<float>>());
  };
  output.raw = tensor("raw_shape", "raw");
  output.final = tensor("shape", "values");
  return output;
}

bool is_classification(const NamedOutput& output) {
  const Shape& shape = output.raw.shape;
  // Values that the recipient chose stand at their rank, not at their class.
  const bool is_chosen = output.final.shape != shape;
  return !output.is_label && !is_chosen && shape.rank() >= 1 && shape.elements() > 1 &&
         shape.elements() == *std::max_element(shape.dims().begin(), shape.dims().end());
}

namespace {

constexpr size_t kShown = 5;  // values of an output on a line

// own_labels gives the labels where they are this output's: one for each value, or for an index any number.
std::vector<std::string> own_labels(const NamedOutput& output, const std::vector<std::string>& labels) {
  const Shape& shape = output.raw.shape;
  const bool fits = shape.rank() > 0 && shape[shape.rank() - 1] == static_cast<int64_t>(labels.size());
  return output.is_label || fits ? labels : std::vector<std::string>{};
}

}  // namespace

std::string describe_prediction(const NamedOutput& output, const std::vector<std::string>& labels) {
  if (output.is_label && !output.final.values.empty()) {
    std::string text;
    for (size_t i = 0; i < std::min(output.final.values.size(), kShown); ++i) {
      const auto index = static_cast<size_t>(output.final.values[i]);
      text += (i > 0 ? ", " : "") + (index < labels.size() ? labels[index] : fmt::format("class {}", index));
    }
    return text + (output.final.values.size() > kShown ? ", ..." : "");
  }
  if (is_classification(output)) {
    const Prediction best = top_classes(output.final.values, 1, own_labels(output, labels)).front();
    const bool is_probability = output.has_softmax || looks_like_probabilities(output.final.values);
    return is_probability ? fmt::format("{} ({:.1f} %)", best.label, 100 * best.value)
                          : fmt::format("{} (score {:.3f})", best.label, best.value);
  }
  const size_t shown = std::min(output.final.values.size(), kShown);
  return fmt::format(
      "{} [{:.4g}{}]", to_string(output.final.shape),
      fmt::join(output.final.values.begin(), output.final.values.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
      shown < output.final.values.size() ? ", ..." : "");
}

Json predictions_json(const NamedOutput& output, const std::vector<std::string>& labels) {
  Json list = Json::array();
  if (!is_classification(output)) return list;
  for (const Prediction& prediction : top_classes(output.final.values, 5, own_labels(output, labels))) {
    list.push_back({{"index", prediction.index}, {"label", prediction.label}, {"value", prediction.value}});
  }
  return list;
}

}  // namespace treville::cli
