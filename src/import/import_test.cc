// Recognising formats, and the one error that lists what is unsupported.
#include "import/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "import/onnx.h"
#include "import/tensorflow.h"
#include "import/test_support.h"

namespace treville {
namespace {

using import::TempFile;
using import::user_error;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string onnx_bytes(const std::string& op) {
  onnx_format::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(13);
  model.mutable_graph()->add_input()->set_name("x");
  model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(1);
  auto* node = model.mutable_graph()->add_node();
  node->set_op_type(op);
  node->set_name("first");
  node->add_input("x");
  node->add_output("y");
  auto* second = model.mutable_graph()->add_node();
  *second = *node;
  second->set_name("second");
  second->set_input(0, "y");
  second->set_output(0, "z");
  model.mutable_graph()->add_output()->set_name("z");
  return model.SerializeAsString();
}

std::string graph_def_bytes() {
  tf_format::GraphDef graph;
  auto* x = graph.add_node();
  x->set_name("x");
  x->set_op("Placeholder");
  (*x->mutable_attr())["dtype"].set_type(1);
  auto* relu = graph.add_node();
  relu->set_name("relu");
  relu->set_op("Relu");
  relu->add_input("x");
  return graph.SerializeAsString();
}

std::string error_of(const std::string& suffix, const std::string& bytes) {
  const TempFile file(suffix, bytes);
  return user_error([&] { import_model(file.path()); });
}

TEST(ImportModel, RecognisesFormatsByContentAndName) {
  const TempFile onnx(".onnx", onnx_bytes("Relu")), renamed(".model", onnx_bytes("Relu")),
      frozen(".pb", graph_def_bytes());
  EXPECT_EQ(import_model(onnx.path()).format, "onnx");
  EXPECT_EQ(import_model(renamed.path()).format, "onnx");
  EXPECT_EQ(import_model(frozen.path()).format, "tensorflow-graphdef");
}

TEST(ImportModel, OneErrorListsEveryUnsupportedNode) {
  const TempFile file(".onnx", onnx_bytes("Det"));
  EXPECT_THAT(user_error([&] { import_model(file.path()); }),
              AllOf(HasSubstr("2 nodes are not supported:"), HasSubstr("\n  node \"first\" (Det): not supported"),
                    HasSubstr("\n  node \"second\" (Det): not supported")));
  EXPECT_EQ(inspect_model(file.path()).unsupported.size(), 2u);
}

TEST(ImportModel, SaysWhatOtherFormatsAreAndWhatToDo) {
  EXPECT_THAT(error_of(".h5", std::string("\x89HDF\r\n\x1a\n\0\0", 10)), HasSubstr("the HDF5 data ends too early"));
  EXPECT_THAT(error_of(".keras", "PK\x03\x04...."), HasSubstr("the archive is damaged or cut short"));
  EXPECT_THAT(error_of(".bin", std::string("\x1c\0\0\0TFL3", 8)), HasSubstr("not a TensorFlow Lite model"));
  EXPECT_THAT(error_of(".json", "{\"format\": 1}"), HasSubstr("a JSON model is not supported yet"));
  EXPECT_THAT(error_of(".pbtxt", "node {\n  name: \"x\"\n}\n"), HasSubstr("text form"));
  EXPECT_THAT(error_of(".pb", std::string("\x08\x01\x12\x00", 4)), HasSubstr("If it is a SavedModel, give its folder"));
  EXPECT_THAT(error_of("saved_model.pb", "\x0a"), HasSubstr("this is not a frozen GraphDef"));
}

TEST(ImportModel, SaysWhatIsWrongWithFiles) {
  EXPECT_THAT(error_of(".onnx", ""), HasSubstr("the file is empty"));
  EXPECT_THAT(error_of(".onnx", "no model at all"), HasSubstr("this is not an ONNX model"));
  EXPECT_THAT(error_of(".pb", "no model at all"), HasSubstr("this is not a frozen GraphDef"));
  EXPECT_THAT(error_of(".onnx", graph_def_bytes()), HasSubstr("this is not an ONNX model"));
  EXPECT_THAT(user_error([] { import_model("/nowhere/model.onnx"); }), HasSubstr("there is no such file"));
  EXPECT_THAT(user_error([] { import_model(std::filesystem::temp_directory_path()); }),
              HasSubstr("found another folder"));
}

TEST(ImportModel, RefusesFilesAboveTheLimitBeforeReadingThem) {
  const TempFile file(".onnx", "x");
  std::error_code error;
  std::filesystem::resize_file(file.path(), (uintmax_t{1} << 31) + 1, error);
  if (error) GTEST_SKIP() << "no sparse files here: " << error.message();
  EXPECT_THAT(user_error([&] { import_model(file.path()); }), HasSubstr("at most 2 GiB"));
}

}  // namespace
}  // namespace treville
