#include "import/keras_weights.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace treville::import {
namespace {

bool is_upper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }
bool is_lower(char c) { return std::islower(static_cast<unsigned char>(c)) != 0; }

// belongs_to says whether a weight's path ("model/dense/kernel:0") leads through the layer. How far from the front the
// layer's name may stand is `depth`.
bool belongs_to(const std::string& path, const std::string& layer, size_t depth) {
  const std::string prefix = layer + "/";
  for (size_t at = 0; depth > 0; --depth) {
    if (path.compare(at, prefix.size(), prefix) == 0) return true;
    at = path.find('/', at);
    if (at == std::string::npos) return false;
    ++at;
  }
  return false;
}

// indices_of picks a layer's weights from a list of paths: those that begin with its name, else those in which its
// name stands later (a nested model's name may come first).
std::vector<size_t> indices_of(const std::vector<std::string>& paths, const std::string& layer) {
  for (const size_t depth : {size_t{1}, size_t{8}}) {
    std::vector<size_t> found;
    for (size_t i = 0; i < paths.size(); ++i) {
      if (belongs_to(paths[i], layer, depth)) found.push_back(i);
    }
    if (!found.empty()) return found;
  }
  return {};
}

// names_of reads a list of names, which writers cut into numbered attributes when it is long.
std::vector<std::string> names_of(const Hdf5File& file, const std::string& group, const std::string& attribute) {
  if (auto names = file.strings_attribute(group, attribute)) return *names;
  std::vector<std::string> all;
  for (int part = 0;; ++part) {
    const auto names = file.strings_attribute(group, attribute + std::to_string(part));
    if (!names || part > 1000) return all;
    all.insert(all.end(), names->begin(), names->end());
  }
}

}  // namespace

std::string snake_case(const std::string& class_name) {
  std::string result;
  for (size_t i = 0; i < class_name.size(); ++i) {
    const char c = class_name[i];
    const bool starts_word =
        i > 0 && is_upper(c) &&
        (is_lower(class_name[i - 1]) || (i + 1 < class_name.size() && is_lower(class_name[i + 1])));
    if (starts_word) result += '_';
    result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

std::vector<Constant> LegacyWeights::of(const LayerAddress& layer) const {
  const std::string group = root_ + "/" + layer.front().name;
  std::vector<std::string> names = names_of(file_, group, "weight_names");
  std::vector<Constant> found;
  if (layer.size() == 1) {
    for (const std::string& name : names) found.push_back(file_.tensor(group + "/" + name));
  } else {
    for (size_t i : indices_of(names, layer.back().name)) found.push_back(file_.tensor(group + "/" + names[i]));
  }
  return found;
}

ArchiveWeights::ArchiveWeights(const Hdf5File& file)
    : file_(file), layers_(file.exists("layers") ? "layers" : "_layer_checkpoint_dependencies") {}

std::vector<Constant> ArchiveWeights::of(const LayerAddress& layer) const {
  std::string group;
  for (const LayerKey& key : layer) group += layers_ + "/" + key.kind_and_number + "/";
  std::vector<Constant> found;
  collect(group, 0, found);
  return found;
}

// collect reads a layer's own tensors, then those of the parts that wrappers have, in Keras's order.
void ArchiveWeights::collect(const std::string& group, int depth, std::vector<Constant>& found) const {
  const size_t count = file_.children(group + "/vars").size();
  for (size_t i = 0; i < count; ++i) found.push_back(file_.tensor(fmt::format("{}/vars/{}", group, i)));
  if (depth > 4) return;
  const std::vector<std::string> parts = file_.children(group);
  const auto has = [&](const char* part) { return std::find(parts.begin(), parts.end(), part) != parts.end(); };
  const bool both_ways = has("forward_layer");
  for (const char* part : {"forward_layer", "backward_layer", "cell", "layer"}) {
    if (has(part) && !(both_ways && std::string_view(part) == "layer")) {
      collect(group + "/" + part, depth + 1, found);
    }
  }
}

std::vector<Constant> NamedWeights::of(const LayerAddress& layer) const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : weights_) names.push_back(name);
  std::vector<Constant> found;
  for (size_t i : indices_of(names, layer.back().name)) found.push_back(weights_[i].second);
  return found;
}

}  // namespace treville::import
