#include "import/tfjs_weights.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "import/stored_bytes.h"

namespace treville::import {
namespace {

using nlohmann::json;

struct Quantisation {
  ElementType stored = ElementType::kUint8;
  double min = 0, scale = 1;
};

struct Entry {
  std::string name;
  ElementType type = ElementType::kFloat32;
  std::vector<int64_t> dims;
  std::optional<Quantisation> quantisation;
};

// field reads one entry of an object, or throws UserError naming it.
template <class T>
T field(const json& object, const char* key, const std::string& where) {
  try {
    return object.at(key).get<T>();
  } catch (const json::exception&) {
    throw UserError("{}: \"{}\" of the weights manifest is missing or of another type. The file is damaged.", where,
                    key);
  }
}

ElementType type_of(const std::string& name, const std::string& where) {
  if (name == "float32") return ElementType::kFloat32;
  if (name == "float16") return ElementType::kFloat16;
  if (name == "int32") return ElementType::kInt32;
  if (name == "uint8") return ElementType::kUint8;
  if (name == "uint16") return ElementType::kUint16;
  if (name == "bool") return ElementType::kBool;
  throw UserError("{}: dtype \"{}\" is not supported (supported: float32, int32, bool)", where, name);
}

Quantisation read_quantisation(const json& stored, const std::string& where) {
  Quantisation result;
  result.stored = type_of(field<std::string>(stored, "dtype", where), where);
  if (result.stored == ElementType::kFloat16) return result;
  if (result.stored != ElementType::kUint8 && result.stored != ElementType::kUint16) {
    throw UserError("{}: a quantisation to another type than uint8, uint16 and float16. The file is damaged.", where);
  }
  result.min = field<double>(stored, "min", where);
  result.scale = field<double>(stored, "scale", where);
  if (!std::isfinite(result.min) || !std::isfinite(result.scale)) {
    throw UserError("{}: its scale or minimum is not a finite number", where);
  }
  return result;
}

Entry read_entry(const json& stored, const std::string& file) {
  Entry entry;
  entry.name = field<std::string>(stored, "name", file);
  const std::string where = fmt::format("{}: weight \"{}\"", file, entry.name);
  entry.dims = field<std::vector<int64_t>>(stored, "shape", where);
  entry.type = type_of(field<std::string>(stored, "dtype", where), where);
  const auto quantised = stored.find("quantization");
  if (quantised != stored.end() && !quantised->is_null()) entry.quantisation = read_quantisation(*quantised, where);
  return entry;
}

// scaled reads quantised elements: value = stored * scale + min; integers are rounded half up, as TensorFlow.js does.
template <class T>
Constant scaled(const Entry& entry, int64_t count, ByteStream& shards) {
  const auto [stored_type, min, scale] = *entry.quantisation;
  if (is_float(entry.type)) {
    std::vector<float> values;
    values.reserve(static_cast<size_t>(count));
    for_each_element<T>(shards, count, [&, low = min, step = scale](T stored) {
      values.push_back(static_cast<float>(stored * step + low));
    });
    return FloatTensor(Shape(entry.dims), std::move(values));
  }
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(count));
  for_each_element<T>(shards, count, [&, low = min, step = scale](T stored) {
    const double value = std::floor(stored * step + low + 0.5);
    if (!(std::abs(value) < 0x1p31)) throw UserError("{}: an element does not fit 32 bits", shards.where());
    values.push_back(static_cast<int64_t>(value));
  });
  return IntTensor(Shape(entry.dims), std::move(values));
}

Constant read_weight(const Entry& entry, ByteStream& shards) {
  if (!entry.quantisation) return constant_from_stream(entry.type, entry.dims, shards);
  const ElementType stored = entry.quantisation->stored;
  if (stored == ElementType::kFloat16) return constant_from_stream(stored, entry.dims, shards);
  const std::string where = fmt::format("{} (\"{}\")", shards.where(), entry.name);
  const int64_t count = checked_elements(entry.dims, where);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(count, bytes_of(stored), &bytes) || bytes > shards.left()) {
    throw UserError("{}: expected {} elements, found {} bytes. The file is damaged.", where, count, shards.left());
  }
  return stored == ElementType::kUint8 ? scaled<uint8_t>(entry, count, shards) : scaled<uint16_t>(entry, count, shards);
}

void read_group(const json& group, const std::filesystem::path& folder, const std::string& file,
                std::map<std::string, Constant>& weights) {
  const std::string where = file + ": the weights' shards";
  std::vector<ByteStream::Piece> pieces;
  for (const auto& path : field<std::vector<std::string>>(group, "paths", file)) {
    pieces.push_back(ByteStream::whole(path_inside(folder, path, where), where));
  }
  ByteStream shards(std::move(pieces), where);
  for (const json& stored : field<json::array_t>(group, "weights", file)) {
    const Entry entry = read_entry(stored, file);
    if (!weights.emplace(entry.name, read_weight(entry, shards)).second) {
      throw UserError("{}: weight \"{}\" is given twice. The file is damaged.", file, entry.name);
    }
  }
  if (shards.left() > 0) {
    throw UserError("{}: {} bytes are left over. The shards and model.json are not of the same model.", where,
                    shards.left());
  }
}

}  // namespace

std::map<std::string, Constant> read_tfjs_weights(const json& manifest, const std::filesystem::path& folder,
                                                  const std::string& file) {
  if (!manifest.is_array()) throw UserError("{}: \"weightsManifest\" is not a list. The file is damaged.", file);
  std::map<std::string, Constant> weights;
  for (const json& group : manifest) read_group(group, folder, file, weights);
  return weights;
}

}  // namespace treville::import
