// Weights that stand beside a model: paths, pieces of files, checksums, and the shards of TensorFlow.js.
#include "import/stored_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <nlohmann/json.hpp>

#include "import/crc32c.h"
#include "import/test_support.h"
#include "import/tfjs_weights.h"

namespace treville::import {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;

template <class T>
std::string bytes_of_values(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

TEST(Crc32c, GivesThePublishedValuesInAnyPieces) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(extend_crc32c(0, std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(extend_crc32c(0, std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(extend_crc32c(0, "123456789"), 0xe3069283U);
  EXPECT_EQ(extend_crc32c(extend_crc32c(0, "1234"), "56789"), 0xe3069283U);
  EXPECT_EQ(extend_crc32c(0, ""), 0U);
}

TEST(PathInside, RefusesPathsThatLeaveTheFolder) {
  const TempFolder folder(Files{{"weights.bin", "w"}, {"inner/more.bin", "m"}});
  EXPECT_EQ(path_inside(folder.path(), "inner/more.bin", "m"),
            std::filesystem::canonical(folder.path() / "inner" / "more.bin"));
  for (const char* path : {"../weights.bin", "inner/../../x", "/etc/passwd", ""}) {
    EXPECT_THAT(user_error([&] { path_inside(folder.path(), path, "m.onnx"); }),
                HasSubstr("is not inside the model's folder"))
        << path;
  }
  EXPECT_THAT(user_error([&] { path_inside(folder.path(), "none.bin", "m.onnx"); }), HasSubstr("is missing"));
  EXPECT_THAT(user_error([&] { path_inside(folder.path(), "inner", "m.onnx"); }), HasSubstr("is missing"));
  std::filesystem::create_symlink("/etc/hosts", folder.path() / "link.bin");
  EXPECT_THAT(user_error([&] { path_inside(folder.path(), "link.bin", "m.onnx"); }), HasSubstr("a link out of"));
}

TEST(ByteStream, ReadsAcrossFilesAndStopsAtTheEnd) {
  const TempFolder folder(Files{{"a", "xxabc"}, {"b", ""}, {"c", "defgzz"}});
  ByteStream stream({{folder.path() / "a", 2, 3}, {folder.path() / "b", 0, 0}, {folder.path() / "c", 0, 4}}, "m");
  std::string text(6, ' ');
  stream.start_crc32c();
  stream.read(text.data(), 2);
  stream.read(text.data() + 2, 4);
  EXPECT_EQ(text, "abcdef");
  EXPECT_EQ(stream.crc32c(), extend_crc32c(0, "abcdef"));
  EXPECT_EQ(stream.left(), 1);
  EXPECT_THAT(user_error([&] { stream.read(text.data(), 2); }), HasSubstr("expected 2 more bytes, found 1"));
}

TEST(ByteStream, RefusesPiecesThatAreNotInTheirFile) {
  const TempFolder folder(Files{{"a", "abc"}});
  for (const auto& [offset, length] : std::vector<std::pair<int64_t, int64_t>>{{0, 4}, {4, 0}, {-1, 2}, {1, INT64_MAX}})
    EXPECT_THAT(user_error([&] {
                  ByteStream({{folder.path() / "a", offset, length}}, "m");
                }),
                HasSubstr("which has 3 bytes"));
}

TEST(ConstantFromStream, ReadsEveryElementType) {
  const auto read = [](ElementType type, const std::string& bytes, int64_t count) {
    const TempFile file(".bin", bytes);
    ByteStream stream({ByteStream::whole(file.path(), "m")}, "m");
    return constant_from_stream(type, {count}, stream);
  };
  const auto floats = [](const Constant& c) { return std::get<FloatTensor>(c).values; };
  const auto ints = [](const Constant& c) { return std::get<IntTensor>(c).values; };
  EXPECT_THAT(floats(read(ElementType::kFloat32, bytes_of_values<float>({1.5F, -2}), 2)), ElementsAre(1.5F, -2));
  EXPECT_THAT(floats(read(ElementType::kFloat64, bytes_of_values<double>({0.25}), 1)), ElementsAre(0.25F));
  EXPECT_THAT(floats(read(ElementType::kFloat16, bytes_of_values<uint16_t>({0x3c00}), 1)), ElementsAre(1.0F));
  EXPECT_THAT(floats(read(ElementType::kBfloat16, bytes_of_values<uint16_t>({0xc000}), 1)), ElementsAre(-2.0F));
  EXPECT_THAT(ints(read(ElementType::kInt8, "\xff\x02", 2)), ElementsAre(-1, 2));
  EXPECT_THAT(ints(read(ElementType::kUint8, "\xff", 1)), ElementsAre(255));
  EXPECT_THAT(ints(read(ElementType::kBool, "\x01", 1)), ElementsAre(1));
  EXPECT_THAT(ints(read(ElementType::kInt16, bytes_of_values<int16_t>({-7}), 1)), ElementsAre(-7));
  EXPECT_THAT(ints(read(ElementType::kUint16, bytes_of_values<uint16_t>({65535}), 1)), ElementsAre(65535));
  EXPECT_THAT(ints(read(ElementType::kInt32, bytes_of_values<int32_t>({INT32_MIN}), 1)), ElementsAre(INT32_MIN));
  EXPECT_THAT(ints(read(ElementType::kUint32, bytes_of_values<uint32_t>({UINT32_MAX}), 1)), ElementsAre(UINT32_MAX));
  EXPECT_THAT(ints(read(ElementType::kInt64, bytes_of_values<int64_t>({INT64_MIN}), 1)), ElementsAre(INT64_MIN));
  EXPECT_THAT(user_error([&] { read(ElementType::kUint64, bytes_of_values<uint64_t>({UINT64_MAX}), 1); }),
              HasSubstr("does not fit"));
  EXPECT_THAT(user_error([&] { read(ElementType::kFloat32, "abc", 1); }), HasSubstr("found 3 bytes"));
  EXPECT_THAT(user_error([&] { read(ElementType::kFloat32, "abcd", INT64_MAX); }), HasSubstr("found 4 bytes"));
}

TEST(ConstantFromStream, ReadsTensorsLargerThanOnePiece) {
  std::vector<uint16_t> halves(100'003);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i % 0x7000);
  const TempFile file(".bin", bytes_of_values(halves));
  ByteStream stream({ByteStream::whole(file.path(), "m")}, "m");
  const Constant read = constant_from_stream(ElementType::kFloat16, {100'003}, stream);
  const auto& values = std::get<FloatTensor>(read).values;
  ASSERT_EQ(values.size(), halves.size());
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], half_to_float(halves[i])) << i;
  EXPECT_EQ(stream.left(), 0);
}

json entry(const char* name, std::vector<int64_t> shape, const char* dtype) {
  return {{"name", name}, {"shape", std::move(shape)}, {"dtype", dtype}};
}

// Three tensors of 4 + 6 + 8 bytes, cut inside the second and inside an element of the third.
TEST(TfjsWeights, ScalesQuantisedTensorsBackAndReadsAcrossShards) {
  json bytes = entry("bytes", {2, 2}, "float32"), words = entry("words", {3}, "int32"),
       half = entry("h", {1}, "float32");
  bytes["quantization"] = {{"dtype", "uint8"}, {"min", -1.0}, {"scale", 0.5}, {"original_dtype", "float32"}};
  words["quantization"] = {{"dtype", "uint16"}, {"min", -2.0}, {"scale", 0.25}};
  half["quantization"] = {{"dtype", "float16"}};
  const std::string all = bytes_of_values<uint8_t>({0, 1, 2, 255}) + bytes_of_values<uint16_t>({0, 6, 9}) +
                          bytes_of_values<float>({7}) + bytes_of_values<uint16_t>({0x3800});
  const TempFolder folder(Files{{"g1", all.substr(0, 7)}, {"g2", all.substr(7, 5)}, {"g3", all.substr(12)}});
  const json manifest = {
      {{"paths", {"g1", "g2", "g3"}}, {"weights", {bytes, words, entry("plain", {}, "float32"), half}}}};
  const auto weights = read_tfjs_weights(manifest, folder.path(), "model.json");
  EXPECT_THAT(std::get<FloatTensor>(weights.at("bytes")).values, ElementsAre(-1, -0.5F, 0, 126.5F));
  EXPECT_EQ(shape_of(weights.at("bytes")), (Shape{2, 2}));
  EXPECT_THAT(std::get<IntTensor>(weights.at("words")).values, ElementsAre(-2, 0, 0));  // -0.5 rounds up, 0.25 down
  EXPECT_THAT(std::get<FloatTensor>(weights.at("plain")).values, ElementsAre(7));
  EXPECT_EQ(shape_of(weights.at("plain")).rank(), 0);
  EXPECT_THAT(std::get<FloatTensor>(weights.at("h")).values, ElementsAre(0.5F));
}

TEST(TfjsWeights, SayWhatIsWrong) {
  const TempFolder folder(Files{{"shard", std::string(8, '\0')}});
  const auto error_of = [&](const json& manifest) {
    return user_error([&] { read_tfjs_weights(manifest, folder.path(), "model.json"); });
  };
  const auto group = [](json paths, json weights) {
    return json::array({{{"paths", std::move(paths)}, {"weights", std::move(weights)}}});
  };
  EXPECT_EQ(error_of(group({"shard"}, json::array({entry("w", {2}, "float32")}))), "no error");
  EXPECT_THAT(error_of(json(1)), HasSubstr("is not a list"));
  EXPECT_THAT(error_of(group({"shard"}, 1)), HasSubstr("\"weights\" of the weights manifest"));
  EXPECT_THAT(error_of(group({"shard"}, json::array({entry("w", {3}, "float32")}))), HasSubstr("found 8 bytes"));
  EXPECT_THAT(error_of(group({"shard"}, json::array({entry("w", {1}, "float32")}))),
              HasSubstr("4 bytes are left over"));
  EXPECT_THAT(error_of(group({"shard"}, json::array({entry("w", {-1}, "float32")}))), HasSubstr("is negative"));
  EXPECT_THAT(error_of(group({"shard"}, json::array({entry("w", {1}, "string")}))),
              HasSubstr("\"string\" is not supported"));
  EXPECT_THAT(error_of(group({"gone"}, json::array())), HasSubstr("\"gone\" is missing"));
  EXPECT_THAT(error_of(group({"../shard"}, json::array())), HasSubstr("not inside the model's folder"));
  EXPECT_THAT(error_of(group({"shard"}, json::array({entry("w", {1}, "float32"), entry("w", {1}, "float32")}))),
              HasSubstr("given twice"));
  json bad = entry("w", {8}, "float32");
  bad["quantization"] = {{"dtype", "uint8"}, {"min", 0}};
  EXPECT_THAT(error_of(group({"shard"}, json::array({bad}))), HasSubstr("\"scale\" of the weights manifest"));
}

}  // namespace
}  // namespace treville::import
