// The TensorFlow Lite importer: tflite_model.cc checks the FlatBuffer and turns it into the plain structures below,
// tflite.cc walks them, tflite_ops.cc is the table of operators. A new operator is one function and one row there, and
// a case in tflite_model.cc when it has options; recurrent ones are in tflite_recurrent.cc.
//
// Quantised tensors become floats: constants are de-quantised, and of a computed tensor the scale and the zero point
// give its declared range. A quantised model computes with saturation; what of that is an activation (a range that
// begins at zero) becomes one, the rest is left out.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "import/node_import.h"

namespace treville::import {

// TfliteTensor: a tensor of the model, computed or stored. `data` points into the file's bytes.
struct TfliteTensor {
  std::string name;       // unique in the model
  Shape shape;            // -1 where the model leaves a dimension open
  std::string type_name;  // as the format calls it
  std::optional<ElementType> type;
  bool is_int4 = false;  // two elements a byte, the low half first; type is then kInt8
  bool is_variable = false;
  std::optional<std::string_view> data;
  std::vector<double> scales;  // empty: not quantised
  Ints zero_points;            // as many as scales
  int64_t axis = 0;            // of the scales, when there are several
  std::string refusal;         // not empty: why its elements cannot be read

  bool is_quantised() const { return type && !is_float(*type) && !scales.empty(); }
};

constexpr int64_t kNoTensor = -1;

struct TfliteOperator {
  std::string code;  // "CONV_2D"; of a custom operator its own name
  bool is_custom = false;
  Ints inputs, outputs;  // indices of tensors; an input may be kNoTensor
  Attributes options;    // by the format's names; enumerations as strings, booleans as 0 and 1
};

// TfliteModel: sub-graph 0. Every index is in range.
struct TfliteModel {
  std::string name;
  std::vector<TfliteTensor> tensors;
  std::vector<TfliteOperator> operators;
  Ints inputs, outputs;
};

// read_tflite verifies the bytes of a file before it looks at them; throws UserError. The result points into `bytes`,
// which must be aligned as `new` aligns.
TfliteModel read_tflite(std::span<const uint8_t> bytes, const std::string& file);

// decode_tflite_tensor reads a stored tensor, de-quantised. Throws UserError, or Refusal for what is not supported.
Constant decode_tflite_tensor(const TfliteTensor& tensor, const std::string& where);

// quantised_range is what a computed quantised tensor can hold; absent for others and for 32-bit ones.
std::optional<Interval> quantised_range(const TfliteTensor& tensor);

// import_tflite translates a whole file; `file` is its name for messages.
ImportResult import_tflite(std::span<const uint8_t> bytes, const std::string& file, const ImportOptions& options);

// TfliteNode adds the operator's options and the shapes in the file to NodeImport.
class TfliteNode : public NodeImport {
 public:
  TfliteNode(ImportState& state, const TfliteModel& model, const TfliteOperator& source,
             std::vector<ResultName> results, std::vector<std::optional<ValueId>> inputs);

  // The readers fail when the operator has no such option.
  int64_t option_int(const std::string& key) const { return std::get<int64_t>(option(key)); }
  double option_float(const std::string& key) const { return std::get<double>(option(key)); }
  const std::string& option_text(const std::string& key) const { return std::get<std::string>(option(key)); }
  const Ints& option_ints(const std::string& key) const { return std::get<Ints>(option(key)); }
  bool has_option(const std::string& key) const { return source_.options.count(key) > 0; }

  // Shapes as the file gives them; extent refuses an open dimension.
  const Shape& input_shape(size_t i) const { return input_tensor(i).shape; }
  int64_t axis_of(size_t i, int64_t axis) const;  // counted from the front
  int64_t extent(size_t i, int64_t axis) const;
  const TfliteTensor& input_tensor(size_t i) const;
  const TfliteTensor& output_tensor(size_t i = 0) const;

 private:
  const Attribute& option(const std::string& key) const;

  const TfliteModel& model_;
  const TfliteOperator& source_;
};

struct TfliteRow {
  std::string_view op;
  void (*import)(TfliteNode& node);
};

// import_sequence_lstm and import_sequence_rnn stand in tflite_recurrent.cc.
void import_sequence_lstm(TfliteNode& node);
void import_sequence_rnn(TfliteNode& node);

// find_tflite_row is null for an operator without a row.
const TfliteRow* find_tflite_row(std::string_view op);

}  // namespace treville::import
