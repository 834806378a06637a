// tflite_model.cc is the only reader of FlatBuffers. The verifier runs over all of a file before anything is looked at;
// after it every table and vector lies within the file. What it does not know is checked here: indices, the lists that
// a small file may name many times, and data that stands behind the FlatBuffer.
#include <tflite_format_generated.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "import/tflite.h"

namespace treville::import {
namespace {

namespace format = tflite_format;

// A model has a few levels of tables; sub-graphs of control flow lie beside each other, not within.
constexpr flatbuffers::uoffset_t kMaxDepth = 16, kMaxTables = 1 << 20;
// All lists of a model together: tables may share one, so their sum is not bounded by the file.
constexpr int64_t kMaxListed = int64_t{1} << 24;

constexpr const char* kDamaged = "the file is damaged or cut short. Copy or convert it again.";

std::optional<ElementType> element_type(format::TensorType type) {
  switch (type) {
    case format::TensorType::FLOAT32:
      return ElementType::kFloat32;
    case format::TensorType::FLOAT64:
      return ElementType::kFloat64;
    case format::TensorType::FLOAT16:
      return ElementType::kFloat16;
    case format::TensorType::INT4:
    case format::TensorType::INT8:
      return ElementType::kInt8;
    case format::TensorType::INT16:
      return ElementType::kInt16;
    case format::TensorType::INT32:
      return ElementType::kInt32;
    case format::TensorType::INT64:
      return ElementType::kInt64;
    case format::TensorType::UINT8:
      return ElementType::kUint8;
    case format::TensorType::UINT16:
      return ElementType::kUint16;
    case format::TensorType::UINT32:
      return ElementType::kUint32;
    case format::TensorType::UINT64:
      return ElementType::kUint64;
    case format::TensorType::BOOL:
      return ElementType::kBool;
    default:
      return {};
  }
}

// --- Options ---------------------------------------------------------------------------------------------------------

int64_t number(int32_t value) { return value; }

template <class Options>
void add_activation(Attributes& to, const Options& o) {
  to["activation"] = std::string(format::EnumNameActivationFunctionType(o.fused_activation_function()));
}

template <class Options>
void add_window(Attributes& to, const Options& o) {
  to["padding"] = std::string(format::EnumNamePadding(o.padding()));
  to["strides"] = Ints{o.stride_h(), o.stride_w()};
  add_activation(to, o);
}

template <class Options>
void add_dilations(Attributes& to, const Options& o) {
  to["dilations"] = Ints{o.dilation_h_factor(), o.dilation_w_factor()};
}

template <class Options>
void add_resize(Attributes& to, const Options& o) {
  to["align_corners"] = int64_t{o.align_corners()};
  to["half_pixel_centers"] = int64_t{o.half_pixel_centers()};
}

void add(Attributes& to, const format::Conv2DOptions& o) {
  add_window(to, o);
  add_dilations(to, o);
}
void add(Attributes& to, const format::DepthwiseConv2DOptions& o) {
  add_window(to, o);
  add_dilations(to, o);
}
void add(Attributes& to, const format::TransposeConvOptions& o) { add_window(to, o); }
void add(Attributes& to, const format::Pool2DOptions& o) {
  add_window(to, o);
  to["kernel"] = Ints{o.filter_height(), o.filter_width()};
}
void add(Attributes& to, const format::Conv3DOptions& o) {
  add_window(to, o);
  to["strides"] = Ints{o.stride_d(), o.stride_h(), o.stride_w()};
  to["dilations"] = Ints{o.dilation_d_factor(), o.dilation_h_factor(), o.dilation_w_factor()};
}
void add(Attributes& to, const format::FullyConnectedOptions& o) {
  add_activation(to, o);
  to["weights_format"] = std::string(format::EnumNameFullyConnectedOptionsWeightsFormat(o.weights_format()));
  to["keep_num_dims"] = int64_t{o.keep_num_dims()};
}
void add(Attributes& to, const format::AddOptions& o) { add_activation(to, o); }
void add(Attributes& to, const format::SubOptions& o) { add_activation(to, o); }
void add(Attributes& to, const format::MulOptions& o) { add_activation(to, o); }
void add(Attributes& to, const format::DivOptions& o) { add_activation(to, o); }
void add(Attributes& to, const format::L2NormOptions& o) { add_activation(to, o); }
void add(Attributes& to, const format::ConcatenationOptions& o) {
  add_activation(to, o);
  to["axis"] = number(o.axis());
}
void add(Attributes& to, const format::SequenceRNNOptions& o) {
  add_activation(to, o);
  to["time_major"] = int64_t{o.time_major()};
}
void add(Attributes& to, const format::UnidirectionalSequenceLSTMOptions& o) {
  add_activation(to, o);
  to["time_major"] = int64_t{o.time_major()};
  to["cell_clip"] = static_cast<double>(o.cell_clip());
  to["proj_clip"] = static_cast<double>(o.proj_clip());
  to["diagonal_recurrent_tensors"] = int64_t{o.diagonal_recurrent_tensors()};
}
void add(Attributes& to, const format::SoftmaxOptions& o) { to["beta"] = static_cast<double>(o.beta()); }
void add(Attributes& to, const format::LeakyReluOptions& o) { to["alpha"] = static_cast<double>(o.alpha()); }
void add(Attributes& to, const format::LocalResponseNormalizationOptions& o) {
  to["radius"] = number(o.radius());
  to["bias"] = static_cast<double>(o.bias());
  to["alpha"] = static_cast<double>(o.alpha());
  to["beta"] = static_cast<double>(o.beta());
}
void add(Attributes& to, const format::ResizeBilinearOptions& o) { add_resize(to, o); }
void add(Attributes& to, const format::ResizeNearestNeighborOptions& o) { add_resize(to, o); }
void add(Attributes& to, const format::SpaceToDepthOptions& o) { to["block_size"] = number(o.block_size()); }
void add(Attributes& to, const format::DepthToSpaceOptions& o) { to["block_size"] = number(o.block_size()); }
void add(Attributes& to, const format::GatherOptions& o) {
  to["axis"] = number(o.axis());
  to["batch_dims"] = number(o.batch_dims());
}
void add(Attributes& to, const format::ReducerOptions& o) { to["keep_dims"] = int64_t{o.keep_dims()}; }
void add(Attributes& to, const format::SplitOptions& o) { to["num_splits"] = number(o.num_splits()); }
void add(Attributes& to, const format::SplitVOptions& o) { to["num_splits"] = number(o.num_splits()); }
void add(Attributes& to, const format::CastOptions& o) {
  to["out_data_type"] = std::string(format::EnumNameTensorType(o.out_data_type()));
}
void add(Attributes& to, const format::PackOptions& o) { to["axis"] = number(o.axis()); }
void add(Attributes& to, const format::UnpackOptions& o) { to["axis"] = number(o.axis()); }
void add(Attributes& to, const format::MirrorPadOptions& o) {
  to["mode"] = std::string(format::EnumNameMirrorPadMode(o.mode()));
}
void add(Attributes& to, const format::BatchMatMulOptions& o) {
  to["adj_x"] = int64_t{o.adj_x()};
  to["adj_y"] = int64_t{o.adj_y()};
}
void add(Attributes& to, const format::GeluOptions& o) { to["approximate"] = int64_t{o.approximate()}; }
void add(Attributes& to, const format::StridedSliceOptions& o) {
  to["begin_mask"] = number(o.begin_mask());
  to["end_mask"] = number(o.end_mask());
  to["ellipsis_mask"] = number(o.ellipsis_mask());
  to["new_axis_mask"] = number(o.new_axis_mask());
  to["shrink_axis_mask"] = number(o.shrink_axis_mask());
  to["offset"] = int64_t{o.offset()};
}

// add_one_of adds the options when they are of one of these kinds; other operators have none that matter.
template <class... Options>
void add_one_of(Attributes& to, const format::Operator& source) {
  const auto add_if = [&]<class One>(const One* options) {
    if (options != nullptr) add(to, *options);
  };
  (add_if(source.builtin_options_as<Options>()), ...);
}

// --- The model -------------------------------------------------------------------------------------------------------

class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  TfliteModel read() {
    const format::Model& model = verified();
    if (model.version() != 3) {
      throw UserError(
          "{}: this is not a TensorFlow Lite model of schema version 3, but {}. The file is damaged; convert it again.",
          file_, model.version());
    }
    if (model.subgraphs() == nullptr || model.subgraphs()->size() == 0) damaged("it holds no graph");
    const format::SubGraph& graph = *model.subgraphs()->Get(0);
    if (graph.name() != nullptr) result_.name = graph.name()->str();
    read_tensors(model, graph);
    result_.inputs = indices(graph.inputs(), "an input of the model");
    result_.outputs = indices(graph.outputs(), "an output of the model");
    name_by_signature(model);
    name_tensors(graph);
    read_operators(model, graph);
    return std::move(result_);
  }

 private:
  template <class... Args>
  [[noreturn]] void damaged(fmt::format_string<Args...> what, Args&&... args) const {
    throw UserError("{}: {}: {}", file_, fmt::format(what, std::forward<Args>(args)...), kDamaged);
  }

  // The FlatBuffer may be followed by data; its own size has 31 bits.
  const format::Model& verified() const {
    const size_t size = std::min<size_t>(bytes_.size(), FLATBUFFERS_MAX_BUFFER_SIZE - 1);
    flatbuffers::Verifier verifier(bytes_.data(), size, kMaxDepth, kMaxTables);
    if (size < 8 || !format::ModelBufferHasIdentifier(bytes_.data()) || !format::VerifyModelBuffer(verifier)) {
      throw UserError("{}: this is not a TensorFlow Lite model, or {}", file_, kDamaged);
    }
    return *format::GetModel(bytes_.data());
  }

  template <class Vector>
  Ints list(const Vector* vector) {
    if (vector == nullptr) return {};
    listed_ += vector->size();
    if (listed_ > kMaxListed) damaged("its lists have more than {} entries together", kMaxListed);
    return Ints(vector->begin(), vector->end());
  }

  Ints indices(const flatbuffers::Vector<int32_t>* vector, const std::string& what, bool optional = false) {
    Ints result = list(vector);
    for (int64_t index : result) {
      const bool fits = index >= (optional ? kNoTensor : 0) && index < static_cast<int64_t>(result_.tensors.size());
      if (!fits) damaged("{} is tensor {} of {}", what, index, result_.tensors.size());
    }
    return result;
  }

  void read_tensors(const format::Model& model, const format::SubGraph& graph) {
    if (graph.tensors() == nullptr) return;
    for (const format::Tensor* tensor : *graph.tensors()) read_tensor(model, *tensor);
  }

  void read_tensor(const format::Model& model, const format::Tensor& source) {
    TfliteTensor tensor;
    tensor.type_name = format::EnumNameTensorType(source.type());
    tensor.type = element_type(source.type());
    tensor.is_int4 = source.type() == format::TensorType::INT4;
    tensor.is_variable = source.is_variable();
    tensor.data = data_of(model, source.buffer());
    read_shape(source, tensor);
    read_quantisation(source, tensor);
    if (!tensor.type) tensor.refusal = fmt::format("element type {} is not supported", tensor.type_name);
    if (source.sparsity() != nullptr) {
      tensor.refusal = "sparse weights are not supported. Convert the model without sparsity.";
    }
    result_.tensors.push_back(std::move(tensor));
  }

  void read_shape(const format::Tensor& source, TfliteTensor& tensor) {
    const Ints dims = list(source.shape());
    const Ints signature = list(source.shape_signature());
    const Ints& chosen = !tensor.data && signature.size() == dims.size() ? signature : dims;
    for (int64_t dim : chosen) {
      if (dim < -1) damaged("a tensor has dimension {}", dim);
    }
    // Files leave out the shape of scalars.
    tensor.shape = Shape(chosen);
  }

  void read_quantisation(const format::Tensor& source, TfliteTensor& tensor) {
    const format::QuantizationParameters* q = source.quantization();
    if (q == nullptr || q->scale() == nullptr || q->scale()->size() == 0) return;
    if (q->details_type() != 0) tensor.refusal = "its kind of quantisation is not supported";
    listed_ += q->scale()->size();
    tensor.scales.assign(q->scale()->begin(), q->scale()->end());
    tensor.zero_points = list(q->zero_point());
    tensor.axis = q->quantized_dimension();
    for (double scale : tensor.scales) {
      if (!std::isfinite(scale) || scale < 0) damaged("a scale is not a number of at least 0");
    }
    // A converter writes one zero point for many scales when all are the same.
    if (tensor.zero_points.size() <= 1) {
      tensor.zero_points.assign(tensor.scales.size(), tensor.zero_points.empty() ? 0 : tensor.zero_points[0]);
    }
    if (tensor.zero_points.size() != tensor.scales.size()) {
      damaged("a tensor has {} scales and {} zero points", tensor.scales.size(), tensor.zero_points.size());
    }
  }

  std::optional<std::string_view> data_of(const format::Model& model, uint32_t index) const {
    if (model.buffers() == nullptr || index >= model.buffers()->size()) {
      if (index == 0) return {};
      damaged("a tensor's data is buffer {}, which the file does not have", index);
    }
    const format::Buffer& buffer = *model.buffers()->Get(index);
    if (buffer.offset() > 1) {
      if (buffer.offset() > bytes_.size() || buffer.size() > bytes_.size() - buffer.offset()) {
        damaged("buffer {} ends behind the file", index);
      }
      return text_at(bytes_.data() + buffer.offset(), buffer.size());
    }
    if (buffer.data() == nullptr || buffer.data()->size() == 0) return {};
    return text_at(buffer.data()->data(), buffer.data()->size());
  }

  static std::string_view text_at(const uint8_t* bytes, size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
  }

  // One signature names the inputs and outputs as the model's author did.
  void name_by_signature(const format::Model& model) {
    if (model.signature_defs() == nullptr) return;
    const format::SignatureDef* chosen = nullptr;
    for (const format::SignatureDef* each : *model.signature_defs()) {
      if (each->subgraph_index() != 0) continue;
      if (chosen != nullptr) return;
      chosen = each;
    }
    if (chosen == nullptr) return;
    take_names(chosen->inputs(), result_.inputs);
    take_names(chosen->outputs(), result_.outputs);
  }

  void take_names(const flatbuffers::Vector<flatbuffers::Offset<format::TensorMap>>* names, const Ints& ends) {
    if (names == nullptr) return;
    for (const format::TensorMap* entry : *names) {
      const int64_t index = entry->tensor_index();
      if (std::find(ends.begin(), ends.end(), index) == ends.end()) damaged("a signature names tensor {}", index);
      std::string& name = result_.tensors[static_cast<size_t>(index)].name;
      if (entry->name() == nullptr || !name.empty() || !taken_.insert(entry->name()->str()).second) continue;
      name = entry->name()->str();
    }
  }

  // A converter that fuses nodes joins their names with semicolons; the first one is enough where it is unique.
  void name_tensors(const format::SubGraph& graph) {
    for (size_t i = 0; i < result_.tensors.size(); ++i) {
      std::string& name = result_.tensors[i].name;
      if (!name.empty()) continue;
      const flatbuffers::String* stored = graph.tensors()->Get(static_cast<uint32_t>(i))->name();
      const std::string full = stored == nullptr ? "" : stored->str();
      const std::string first = full.substr(0, full.find(';'));
      for (const std::string& candidate : {first, full, fmt::format("{}:{}", first, i), fmt::format("tensor {}", i)}) {
        if (candidate.empty() || !taken_.insert(candidate).second) continue;
        name = candidate;
        break;
      }
      if (name.empty()) damaged("the names of its tensors are not unique");
    }
  }

  void read_operators(const format::Model& model, const format::SubGraph& graph) {
    if (graph.operators() == nullptr) return;
    for (const format::Operator* source : *graph.operators()) {
      TfliteOperator result;
      read_code(model, source->opcode_index(), result);
      result.inputs = indices(source->inputs(), fmt::format("an input of {}", result.code), true);
      result.outputs = indices(source->outputs(), fmt::format("an output of {}", result.code));
      if (result.outputs.empty()) damaged("an operator {} has no output", result.code);
      read_options(*source, result.options);
      result_.operators.push_back(std::move(result));
    }
  }

  void read_code(const format::Model& model, uint32_t index, TfliteOperator& result) const {
    if (model.operator_codes() == nullptr || index >= model.operator_codes()->size()) {
      damaged("an operator has code {}, which the file does not have", index);
    }
    const format::OperatorCode& code = *model.operator_codes()->Get(index);
    const auto builtin = std::max(static_cast<int32_t>(code.builtin_code()), int32_t{code.deprecated_builtin_code()});
    result.code = format::EnumNameBuiltinOperator(static_cast<format::BuiltinOperator>(builtin));
    if (result.code.empty()) result.code = fmt::format("operator {}", builtin);
    if (builtin != static_cast<int32_t>(format::BuiltinOperator::CUSTOM)) return;
    result.is_custom = true;
    if (code.custom_code() != nullptr && code.custom_code()->size() > 0) result.code = code.custom_code()->str();
  }

  void read_options(const format::Operator& source, Attributes& to) {
    if (source.builtin_options() == nullptr) return;
    if (const auto* reshape = source.builtin_options_as_ReshapeOptions()) to["new_shape"] = list(reshape->new_shape());
    if (const auto* squeeze = source.builtin_options_as_SqueezeOptions()) {
      to["squeeze_dims"] = list(squeeze->squeeze_dims());
    }
    add_one_of<format::Conv2DOptions, format::DepthwiseConv2DOptions, format::Pool2DOptions,
               format::FullyConnectedOptions, format::SoftmaxOptions, format::ConcatenationOptions, format::AddOptions,
               format::L2NormOptions, format::LocalResponseNormalizationOptions, format::ResizeBilinearOptions,
               format::SpaceToDepthOptions, format::MulOptions, format::GatherOptions, format::ReducerOptions,
               format::SubOptions, format::DivOptions, format::SequenceRNNOptions, format::StridedSliceOptions,
               format::SplitOptions, format::CastOptions, format::TransposeConvOptions, format::PackOptions,
               format::UnpackOptions, format::UnidirectionalSequenceLSTMOptions, format::ResizeNearestNeighborOptions,
               format::LeakyReluOptions, format::MirrorPadOptions, format::SplitVOptions, format::DepthToSpaceOptions,
               format::BatchMatMulOptions, format::Conv3DOptions, format::GeluOptions>(to, source);
  }

  const std::span<const uint8_t> bytes_;
  const std::string& file_;
  TfliteModel result_;
  std::set<std::string> taken_;  // names of tensors
  int64_t listed_ = 0;
};

// --- Elements --------------------------------------------------------------------------------------------------------

// unpack_int4 gives a byte an element.
std::string unpack_int4(std::string_view data, int64_t elements, const std::string& where) {
  if (static_cast<int64_t>(data.size()) != (elements + 1) / 2) {
    throw UserError("{}: expected {} elements of 4 bits, found {} bytes. The file is damaged.", where, elements,
                    data.size());
  }
  std::string bytes;
  for (int64_t i = 0; i < elements; ++i) {
    const int half = (static_cast<uint8_t>(data[static_cast<size_t>(i / 2)]) >> (i % 2 * 4)) & 15;
    bytes.push_back(static_cast<char>(half >= 8 ? half - 16 : half));
  }
  return bytes;
}

FloatTensor dequantise(const TfliteTensor& tensor, const IntTensor& stored, const std::string& where) {
  const Ints& dims = stored.shape.dims();
  const size_t scales = tensor.scales.size();
  int64_t inner = 1;  // elements that follow each other with one scale
  if (scales > 1) {
    const bool has_axis = tensor.axis >= 0 && tensor.axis < static_cast<int64_t>(dims.size());
    if (!has_axis || dims[static_cast<size_t>(tensor.axis)] != static_cast<int64_t>(scales)) {
      throw UserError("{}: {} scales along dimension {} of shape {}. The file is damaged.", where, scales, tensor.axis,
                      to_string(stored.shape));
    }
    for (size_t i = static_cast<size_t>(tensor.axis) + 1; i < dims.size(); ++i) inner *= dims[i];
  }
  FloatTensor result(stored.shape);
  for (size_t i = 0; i < result.values.size(); ++i) {
    const size_t channel = i / static_cast<size_t>(inner) % scales;
    const double steps = static_cast<double>(stored.values[i]) - static_cast<double>(tensor.zero_points[channel]);
    result.values[i] = static_cast<float>(tensor.scales[channel] * steps);
  }
  return result;
}

}  // namespace

TfliteModel read_tflite(std::span<const uint8_t> bytes, const std::string& file) { return Reader(bytes, file).read(); }

Constant decode_tflite_tensor(const TfliteTensor& tensor, const std::string& where) {
  if (!tensor.refusal.empty()) throw Refusal{fmt::format("tensor \"{}\": {}", tensor.name, tensor.refusal)};
  CHECK(tensor.data && tensor.type, "tensor \"{}\" has no data", tensor.name);
  const Ints& dims = tensor.shape.dims();
  std::string unpacked;
  if (tensor.is_int4) unpacked = unpack_int4(*tensor.data, checked_elements(dims, where), where);
  Constant stored = constant_from_bytes(*tensor.type, dims, tensor.is_int4 ? unpacked : *tensor.data, where);
  if (!tensor.is_quantised()) return stored;
  return dequantise(tensor, std::get<IntTensor>(stored), where);
}

std::optional<Interval> quantised_range(const TfliteTensor& tensor) {
  if (!tensor.is_quantised() || tensor.scales.size() != 1 || tensor.is_int4) return {};
  double lowest = 0, highest = 0;
  switch (*tensor.type) {
    case ElementType::kInt8:
      lowest = -128, highest = 127;
      break;
    case ElementType::kUint8:
      highest = 255;
      break;
    case ElementType::kInt16:
      lowest = -32768, highest = 32767;
      break;
    default:
      return {};
  }
  const double scale = tensor.scales[0], zero = static_cast<double>(tensor.zero_points[0]);
  return Interval{scale * (lowest - zero), scale * (highest - zero)};
}

}  // namespace treville::import
