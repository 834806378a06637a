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
  return !output.is_label && shape.rank() >= 1 && shape.elements() > 1 &&
         shape.elements() == *std::max_element(shape.dims().begin(), shape.dims().end());
}

std::string describe_prediction(const NamedOutput& output, const std::vector<std::string>& labels) {
  if (output.is_label && !output.final.values.empty()) {
    const auto index = static_cast<size_t>(output.final.values[0]);
    return index < labels.size() ? labels[index] : fmt::format("class {}", index);
  }
  if (is_classification(output)) {
    const Prediction best = top_classes(output.final.values, 1, labels).front();
    const bool is_probability = output.has_softmax || looks_like_probabilities(output.final.values);
    return is_probability ? fmt::format("{} ({:.1f} %)", best.label, 100 * best.value)
                          : fmt::format("{} (score {:.3f})", best.label, best.value);
  }
  const size_t shown = std::min<size_t>(output.final.values.size(), 5);
  return fmt::format(
      "{} [{:.4g}{}]", to_string(output.final.shape),
      fmt::join(output.final.values.begin(), output.final.values.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
      shown < output.final.values.size() ? ", ..." : "");
}

Json predictions_json(const NamedOutput& output, const std::vector<std::string>& labels) {
  Json list = Json::array();
  if (!is_classification(output)) return list;
  for (const Prediction& prediction : top_classes(output.final.values, 5, labels)) {
    list.push_back({{"index", prediction.index}, {"label", prediction.label}, {"value", prediction.value}});
  }
  return list;
}

}  // namespace treville::cli
