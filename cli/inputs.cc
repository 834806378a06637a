#include "cli/inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/suggest.h"
#include "data/npy.h"
#include "run/execute.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

bool is_array(const fs::path& path) { return path.extension() == ".npy"; }

std::vector<std::string> names_of(const std::vector<NamedShape>& inputs) {
  std::vector<std::string> names;
  for (const NamedShape& input : inputs) names.push_back(input.name);
  return names;
}

// file_name is an input's name as a file's: without separators of paths and of TensorFlow's tensor numbers.
std::string file_name(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == '\\' || c == ':'; }, '_');
  return name;
}

// with_batch gives a sample the leading dimension it lacks, and checks what it holds.
FloatTensor with_batch(FloatTensor tensor, const NamedShape& input, const std::string& path) {
  const Shape& shape = input.shape;
  if (shape.rank() == 0)
    throw UserError("input \"{}\" has no dimensions and cannot be given from a file; export the model with shape [1]",
                    input.name);
  if (tensor.shape.rank() + 1 == shape.rank()) {
    std::vector<int64_t> dims = tensor.shape.dims();
    dims.insert(dims.begin(), 1);
    tensor.shape = Shape(dims);
  }
  bool fits = tensor.shape.rank() == shape.rank();
  for (int axis = 1; fits && axis < shape.rank(); ++axis) fits = tensor.shape[axis] == shape[axis];
  if (!fits) {
    throw UserError("{}: shape {} does not fit input \"{}\" {}", path, to_string(tensor.shape), input.name,
                    to_string(shape));
  }
  if (tensor.values.empty()) throw UserError("{}: holds no samples", path);
  if (!std::all_of(tensor.values.begin(), tensor.values.end(), [](float v) { return std::isfinite(v); })) {
    throw UserError("{}: holds values that are not finite", path);
  }
  return tensor;
}

// missing_names lists the inputs that `has` denies: "image [1,6,6,2], extra [1,3]"; empty when there is none.
template <class Has>
std::string missing_names(const std::vector<NamedShape>& inputs, const Has& has) {
  std::vector<NamedShape> missing;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!has(i)) missing.push_back(inputs[i]);
  return describe(missing);
}

NamedTensors read_archive(const std::string& path, const std::vector<NamedShape>& inputs) {
  NamedTensors arrays = read_npz(path);
  const std::vector<std::string> known = names_of(inputs);
  for (const auto& [name, array] : arrays)
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw UserError("{}: there is no input '{}'{}", path, name, suggest_name(name, known));
  return arrays;
}

NamedTensors read_array_folder(const std::string& path, const std::vector<NamedShape>& inputs) {
  NamedTensors arrays;
  std::map<std::string, std::string> taken;
  for (const NamedShape& input : inputs) {
    const std::string name = file_name(input.name) + ".npy";
    const auto [other, is_new] = taken.emplace(name, input.name);
    if (!is_new)
      throw UserError("{}: inputs \"{}\" and \"{}\" have one file name, {}; use a .npz archive", path, other->second,
                      input.name, name);
    const fs::path file = fs::path(path) / name;
    if (fs::exists(file)) arrays.emplace(input.name, read_npy(file));
  }
  return arrays;
}

// Piece is the tensor of one input for one inference.
struct Piece {
  std::string label;
  FloatTensor value;
};
using Pieces = std::vector<Piece>;

// add_pieces cuts an array into inferences.
void add_pieces(Pieces& pieces, const FloatTensor& array, const NamedShape& input, const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  const int64_t batch = input.shape[0], count = array.shape[0] / batch;
  if (count * batch != array.shape[0]) {
    throw UserError(
        "{}: holds {} sample{} of input \"{}\", which is no multiple of the batch, {}; give another --batch or more "
        "samples",
        path, array.shape[0], array.shape[0] == 1 ? "" : "s", input.name, batch);
  }
  for (int64_t i = 0; i < count; ++i)
    pieces.push_back({count > 1 ? fmt::format("{}[{}]", name, i) : name, rows(array, i * batch, batch)});
}

// Given collects the files of --input by input.
class Given {
 public:
  Given(const std::vector<NamedShape>& inputs, const Preprocess& preprocess)
      : inputs_(inputs), preprocess_(preprocess), pieces_(inputs.size()) {}

  void add(const std::string& text) {
    const std::vector<std::string> known = names_of(inputs_);
    if (const auto named = split_name(text, known)) {
      const auto found = std::find(known.begin(), known.end(), named->first);
      add_files(static_cast<size_t>(found - known.begin()), named->second);
      return;
    }
    const bool is_there = fs::exists(text);
    if (const size_t equals = text.find('='); equals != std::string::npos && !is_there) {
      const std::string name = text.substr(0, equals);
      throw UserError("--input: there is no input '{}'{}", name, suggest_name(name, known));
    }
    const bool holds_all = is_archive(text) || (inputs_.size() > 1 && is_there && fs::is_directory(text));
    if (!holds_all && inputs_.size() > 1)
      throw UserError(
          "--input: there are {} inputs: {}. Give NAME=FILE for each, or a .npz file or a folder that holds all.",
          inputs_.size(), describe(inputs_));
    if (!is_there) throw UserError("{}: there is no such file or folder", text);
    if (!holds_all) return add_files(0, text);
    const std::vector<FloatTensor> arrays = read_arrays(text, inputs_);
    for (size_t i = 0; i < inputs_.size(); ++i) add_pieces(pieces_[i], arrays[i], inputs_[i], text);
  }

  std::vector<Inference> inferences() && {
    const std::string missing = missing_names(inputs_, [&](size_t i) { return !pieces_[i].empty(); });
    if (!missing.empty()) throw UserError("--input: missing: {}. Give NAME=FILE for each.", missing);
    for (size_t i = 1; i < inputs_.size(); ++i)
      if (pieces_[i].size() != pieces_[0].size())
        throw UserError("--input: \"{}\" is given for {} inferences, \"{}\" for {}; each input is needed equally often",
                        inputs_[0].name, pieces_[0].size(), inputs_[i].name, pieces_[i].size());
    std::vector<Inference> result(pieces_[0].size());
    for (size_t at = 0; at < result.size(); ++at) {
      std::vector<std::string> labels;
      for (Pieces& pieces : pieces_) {
        if (std::find(labels.begin(), labels.end(), pieces[at].label) == labels.end())
          labels.push_back(pieces[at].label);
        result[at].values.push_back(std::move(pieces[at].value));
      }
      result[at].name = fmt::format("{}", fmt::join(labels, ", "));
    }
    return result;
  }

 private:
  void add_files(size_t input, const std::string& path) {
    for (const std::string& file : files_of(path))
      add_pieces(pieces_[input], read_file_samples(file, inputs_[input], preprocess_), inputs_[input], file);
  }

  const std::vector<NamedShape>& inputs_;
  const Preprocess& preprocess_;
  std::vector<Pieces> pieces_;
};

}  // namespace

std::vector<NamedShape> inputs_of(const Graph& graph, const std::string& model) {
  std::vector<NamedShape> inputs;
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    if (!input.shape ||
        std::any_of(input.shape->dims().begin(), input.shape->dims().end(), [](int64_t d) { return d < 1; })) {
      throw UserError("{}: the shape of input \"{}\" is {}; only the batch may be left open", model, input.name,
                      input.shape ? to_string(*input.shape) : "not given");
    }
    inputs.push_back({input.name, *input.shape});
  }
  if (inputs.empty()) throw UserError("{}: the model has no input", model);
  return inputs;
}

std::vector<NamedShape> inputs_of(const Program& program, std::optional<PartyId> owner) {
  std::vector<NamedShape> inputs;
  for (const Step& step : program.steps) {
    const auto* input = std::get_if<InputStep>(&step.body);
    if (input != nullptr && (!owner || input->owner == *owner)) inputs.push_back({input->name, input->shape});
  }
  return inputs;
}

int64_t batch_of(const std::vector<NamedShape>& inputs) {
  const auto leading = [](const NamedShape& input) { return input.shape.rank() > 0 ? input.shape[0] : 1; };
  const bool is_common = std::all_of(inputs.begin(), inputs.end(),
                                     [&](const NamedShape& input) { return leading(input) == leading(inputs[0]); });
  return is_common && !inputs.empty() ? leading(inputs[0]) : 1;
}

std::string describe(const std::vector<NamedShape>& inputs) {
  std::string text;
  for (const NamedShape& input : inputs)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", input.name, to_string(input.shape));
  return text;
}

std::optional<std::pair<std::string, std::string>> split_name(const std::string& text,
                                                              const std::vector<std::string>& known) {
  std::optional<std::pair<std::string, std::string>> found;
  for (const std::string& name : known) {
    const bool begins = text.size() > name.size() && text[name.size()] == '=' && text.starts_with(name);
    if (begins && (!found || name.size() > found->first.size())) found = {name, text.substr(name.size() + 1)};
  }
  return found;
}

std::string suggest_name(std::string_view name, const std::vector<std::string>& known) {
  return did_you_mean(name, {known.begin(), known.end()});
}

std::vector<Inference> read_inferences(const std::vector<std::string>& given, const std::vector<NamedShape>& inputs,
                                       const Preprocess& preprocess) {
  Given files(inputs, preprocess);
  for (const std::string& text : given) files.add(text);
  return std::move(files).inferences();
}

std::map<std::string, RingTensor> encode_inputs(const Inference& inference, const std::vector<NamedShape>& inputs,
                                                const Program& program) {
  std::map<std::string, RingTensor> encoded;
  for (const Step& step : program.steps) {
    const auto* input = std::get_if<InputStep>(&step.body);
    if (input == nullptr) continue;
    const auto found =
        std::find_if(inputs.begin(), inputs.end(), [&](const NamedShape& one) { return one.name == input->name; });
    if (found == inputs.end()) continue;  // another party's
    const FloatTensor& value = inference.values[static_cast<size_t>(found - inputs.begin())];
    try {
      encoded.emplace(input->name, encode(value, input->ring, input->scale, step.type.bound, input->name));
    } catch (const UserError& error) {
      throw UserError("{}: {}", inference.name, error.what());
    }
  }
  return encoded;
}

bool is_archive(const std::string& path) { return fs::path(path).extension() == ".npz"; }

std::vector<FloatTensor> read_arrays(const std::string& path, const std::vector<NamedShape>& inputs) {
  if (!fs::exists(path)) throw UserError("{}: there is no such file or folder", path);
  const bool is_folder = fs::is_directory(path);
  if (!is_folder && !is_archive(path))
    throw UserError(
        "{}: there are {} inputs: {}. Give a .npz archive with an array for each, or a folder with NAME.npy for each.",
        path, inputs.size(), describe(inputs));
  NamedTensors arrays = is_folder ? read_array_folder(path, inputs) : read_archive(path, inputs);
  const std::string missing = missing_names(inputs, [&](size_t i) { return arrays.count(inputs[i].name) > 0; });
  if (!missing.empty())
    throw UserError("{}: missing: {}. {} for each.", path, missing,
                    is_folder ? "A folder holds NAME.npy" : "An archive holds an array");
  std::vector<FloatTensor> result;
  for (const NamedShape& input : inputs) {
    result.push_back(with_batch(std::move(arrays.at(input.name)), input, path + ": " + input.name));
    const int64_t first = result.front().shape[0] * input.shape[0], count = result.back().shape[0] * inputs[0].shape[0];
    if (first != count)
      throw UserError("{}: \"{}\" has {} samples, \"{}\" has {}; all inputs need equally many", path, inputs[0].name,
                      result.front().shape[0], input.name, result.back().shape[0]);
  }
  return result;
}

std::vector<std::vector<FloatTensor>> read_samples(const std::string& path, const std::vector<NamedShape>& inputs,
                                                   const Preprocess& preprocess) {
  std::vector<std::vector<FloatTensor>> samples;
  if (inputs.size() > 1 || is_archive(path)) {
    for (FloatTensor& array : read_arrays(path, inputs)) samples.push_back({std::move(array)});
    return samples;
  }
  samples.emplace_back();
  for (const std::string& file : files_of(path))
    samples[0].push_back(read_file_samples(file, inputs.at(0), preprocess));
  return samples;
}

FloatTensor read_file_samples(const std::string& path, const NamedShape& input, const Preprocess& preprocess) {
  if (is_array(path)) return with_batch(read_npy(path), input, path);
  if (!is_image(path)) {
    throw UserError("{}: an input is a .npy array or an image (.png, .jpg, .jpeg, .bmp)", path);
  }
  const auto extent = image_extent(input.shape);
  if (!extent) {
    throw UserError("{}: input \"{}\" {} is not an image; give a .npy array of that shape", path, input.name,
                    to_string(input.shape));
  }
  return read_image(path, *extent, preprocess);
}

std::vector<std::string> files_of(const std::string& path) {
  if (!fs::exists(path)) throw UserError("{}: there is no such file or folder", path);
  if (!fs::is_directory(path)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (is_image(entry.path()) || is_array(entry.path())) files.push_back(entry.path().string());
  }
  if (files.empty()) throw UserError("{}: the folder holds no images and no .npy files", path);
  std::sort(files.begin(), files.end());
  return files;
}

FloatTensor rows(const FloatTensor& array, int64_t first, int64_t count) {
  Shape shape = array.shape;
  const int64_t size = shape.elements() / std::max<int64_t>(shape[0], 1);
  CHECK(first >= 0 && first + count <= shape[0], "rows {} to {} of {}", first, first + count, to_string(shape));
  shape[0] = count;
  const auto begin = array.values.begin() + static_cast<std::ptrdiff_t>(first * size);
  return FloatTensor(shape, std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(count * size)));
}

}  // namespace treville::cli
