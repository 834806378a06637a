// What users get wrong, one command line each: the exit code of docs/errors.md, a message that says what to do, with
// --json one object on stdout, and nothing left behind.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <thread>

#include "data/npy.h"
#include "test/process.h"

namespace treville::test {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char* name;
  Arguments arguments;  // $M: the digit model, $D: its folder, $F: a model with two inputs, $X: damaged files
  const char* message;  // a part of stderr
  int exit_code = 2;
};

void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }

FloatTensor filled(std::vector<int64_t> dims, float value) {
  FloatTensor tensor;
  tensor.shape = Shape(std::move(dims));
  tensor.values.assign(static_cast<size_t>(tensor.shape.elements()), value);
  return tensor;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// model_with_nan is the ONNX digit model with one weight of its second convolution gone: raw_data, field 9 of a tensor,
// of 5*5*8*16 floats.
std::string model_with_nan() {
  std::string bytes = read_text(digits() / "digits.onnx");
  const size_t at = bytes.find("\x4a\x80\x64");
  if (at == std::string::npos) throw std::runtime_error("digits.onnx has another layout");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + at + 3, &nan, sizeof(nan));
  return bytes;
}

// write_damaged_files makes everything that `cases` refers to as $X/...
void write_damaged_files(const Scratch& folder) {
  FloatTensor image = filled({1, 28, 28, 1}, 0.5f);
  write_npy(folder / "good.npy", image);
  write_npy(folder / "wrong_shape.npy", filled({1, 27, 28, 1}, 0.5f));
  write_npy(folder / "nchw.npy", filled({1, 1, 28, 28}, 0.5f));
  write_npy(folder / "no_samples.npy", filled({0, 28, 28, 1}, 0));
  write_npy(folder / "out_of_range.npy", filled({1, 28, 28, 1}, 255));
  image.values[77] = std::numeric_limits<float>::quiet_NaN();
  write_npy(folder / "nan.npy", image);
  image.values[77] = std::numeric_limits<float>::infinity();
  write_npy(folder / "infinite.npy", image);
  std::string good = read_text(folder / "good.npy"), complex = good;
  write_text(folder / "cut.npy", good.substr(0, 1000));
  replace_all(complex, "<f4", "<c8");
  write_text(folder / "complex.npy", complex);
  write_text(folder / "empty.npy", "");
  write_text(folder / "empty.png", "");
  write_text(folder / "text.png", "this is no picture\n");
  const std::string png = read_text(digits() / "samples" / "7_0.png");
  write_text(folder / "cut.png", png.substr(0, png.size() / 2));
  std::string huge = png;  // width and height are the first fields of the first chunk
  huge.replace(16, 8, std::string("\x00\x7f\xff\xff\x00\x7f\xff\xff", 8));
  write_text(folder / "huge.png", huge);

  write_text(folder / "nan.onnx", model_with_nan());
  std::string onnx = read_text(digits() / "digits.onnx"), pb = read_text(digits() / "digits.pb");
  write_text(folder / "cut.onnx", onnx.substr(0, onnx.size() / 2));
  write_text(folder / "cut.pb", pb.substr(0, pb.size() / 2));
  replace_all(pb, "MaxPool", "MaxPoo1");
  write_text(folder / "unsupported.pb", pb);
  write_text(folder / "empty.onnx", "");
  write_text(folder / "model.h5", "\x89HDF\r\n\x1a\n" + std::string(512, '\0'));
  write_text(folder / "model.tflite", std::string("\x1c\0\0\0TFL3", 8) + std::string(512, '\0'));
  write_text(folder / "escape.treville", "\x1b[31mtreville\n");
  write_text(folder / "two_labels.txt", "yes\nno\n");
  write_text(folder / "binary_labels.txt", std::string("a\0b\n", 4));
}

// write_two_inputs makes inputs for the model with two of them, image [1,6,6,2] and extra [1,3], good ones and others.
void write_two_inputs(const Scratch& folder) {
  const FloatTensor image = filled({2, 6, 6, 2}, 0.5f), extra = filled({2, 3}, 0.5f), one = filled({1, 3}, 0.5f);
  write_npy(folder / "image.npy", image);
  write_npy(folder / "extra.npy", extra);
  write_npy(folder / "one_extra.npy", one);
  write_npy(folder / "wide_extra.npy", filled({2, 4}, 0.5f));
  write_npz(folder / "two.npz", {{"image", image}, {"extra", extra}});
  write_npz(folder / "misspelled.npz", {{"image", image}, {"extras", extra}});
  write_npz(folder / "alone.npz", {{"image", image}});
  write_npz(folder / "uneven.npz", {{"image", image}, {"extra", one}});
  const std::string whole = read_text(folder / "two.npz");
  write_text(folder / "cut.npz", whole.substr(0, whole.size() / 2));
  fs::create_directory(folder / "half");
  write_npy(folder / "half" / "image.npy", image);
}

std::vector<Case> cases() {
  return {
      {"UnknownCommand", {"runn"}, "did you mean 'run'"},
      {"NoModel", {"run"}, "MODEL is required"},
      {"NoInput", {"run", "$M"}, "--input is required"},
      {"MisspelledOption", {"run", "$M", "--inptu", "x"}, "did you mean '--input'"},
      {"MisspelledOptionBesideGoodOnes", {"plan", "x", "--layer"}, "did you mean '--layers'"},
      {"ExtraArgument", {"plan", "x", "y"}, "unknown argument 'y'"},
      {"RingOf33Bits", {"run", "$M", "--input", "$X/good.npy", "--ring", "33"}, "--ring"},
      {"BitsOutOfRange", {"run", "$M", "--input", "$X/good.npy", "--bits", "70"}, "--bits"},
      {"MarginIsNoNumber", {"run", "$M", "--input", "$X/good.npy", "--margin", "wide"}, "--margin"},
      {"BatchOfNone", {"run", "$M", "--input", "$X/good.npy", "--batch", "0"}, "--batch"},
      {"UnknownRanges", {"run", "$M", "--input", "$X/good.npy", "--ranges", "calibrate"}, "calibrated"},
      {"InputRangeBackwards", {"run", "$M", "--input", "$X/good.npy", "--input-range", "2:1"}, "LOW:HIGH"},
      {"UnknownPreprocessKey",
       {"run", "$M", "--input", "$X/good.npy", "--preprocess", "scael=1"},
       "did you mean 'scale'"},
      {"PreprocessIsNoNumber", {"run", "$M", "--input", "$X/good.npy", "--preprocess", "scale=abc"}, "not a number"},
      {"UnknownPass", {"run", "$M", "--input", "$X/good.npy", "--dump-after", "nothing"}, "there is no pass 'nothing'"},
      {"UnknownOutput", {"run", "$M", "--input", "$X/good.npy", "--output", "nope"}, "nope"},
      {"TooFewBits", {"compile", "$M", "-o", "out", "--bits", "4"}, "bits are missing"},
      {"LabelsMissing", {"run", "$M", "--input", "$X/good.npy", "--labels", "nope.txt"}, "nope.txt"},
      {"LabelsTooFew", {"run", "$M", "--input", "$X/good.npy", "--labels", "$X/two_labels.txt"}, "has 2 names"},
      {"LabelsBinary",
       {"run", "$M", "--input", "$X/good.npy", "--labels", "$X/binary_labels.txt"},
       "not a list of class names"},
      {"WriteIntoNoFolder", {"run", "$M", "--input", "$X/good.npy", "--write", "no/such/out.npy"}, "no/such"},
      {"WriteOverAFolder", {"run", "$M", "--input", "$X/good.npy", "--write", "$X"}, "is a folder"},

      {"InputMissing", {"run", "$M", "--input", "nothere.png"}, "nothere.png"},
      {"InputNameTooLong", {"run", "$M", "--input", std::string(300, 'x')}, "File name too long"},
      {"InputIsText", {"run", "$M", "--input", "$X/two_labels.txt"}, ".npy array or an image"},
      {"ImageEmpty", {"run", "$M", "--input", "$X/empty.png"}, "empty"},
      {"ImageIsText", {"run", "$M", "--input", "$X/text.png"}, "text.png"},
      {"ImageCutShort", {"run", "$M", "--input", "$X/cut.png"}, "cut.png"},
      {"ImageHuge", {"run", "$M", "--input", "$X/huge.png"}, "huge.png"},
      {"ArrayEmpty", {"run", "$M", "--input", "$X/empty.npy"}, "not a .npy file"},
      {"ArrayCutShort", {"run", "$M", "--input", "$X/cut.npy"}, "needs 3136 bytes"},
      {"ArrayOfComplexNumbers", {"run", "$M", "--input", "$X/complex.npy"}, "<c8"},
      {"ArrayOfAnotherShape", {"run", "$M", "--input", "$X/wrong_shape.npy"}, "[1,27,28,1]"},
      {"ArrayChannelsFirst", {"run", "$M", "--input", "$X/nchw.npy"}, "[1,1,28,28]"},
      {"ArrayWithoutSamples", {"run", "$M", "--input", "$X/no_samples.npy"}, "no samples"},
      {"ArrayWithNan", {"run", "$M", "--input", "$X/nan.npy"}, "not finite"},
      {"ArrayWithInfinity", {"run", "$M", "--input", "$X/infinite.npy"}, "not finite"},
      {"BatchDoesNotDivide", {"run", "$M", "--input", "$X/good.npy", "--batch", "2"}, "batch"},
      {"InputOutOfRange",
       {"run", "$M", "--input", "$X/out_of_range.npy", "--calibrate", "$D/calibration.npy"},
       "outside the range"},
      {"CalibrationMissing", {"run", "$M", "--input", "$X/good.npy", "--calibrate", "nope"}, "nope"},
      {"CalibrationWithNan", {"run", "$M", "--input", "$X/good.npy", "--calibrate", "$X/nan.npy"}, "not finite"},
      {"DemoWithoutPicture", {"demo", "nothere.png"}, "nothere.png"},

      {"InputsWithoutNames", {"run", "$F", "--input", "$X/image.npy"}, "image [1,6,6,2], extra [1,3]. Give NAME=FILE"},
      {"InputMisspelled",
       {"run", "$F", "--input", "image=$X/image.npy", "--input", "extar=$X/extra.npy"},
       "there is no input 'extar'; did you mean 'extra'?"},
      {"InputOfAnotherName", {"run", "$M", "--input", "picture=$X/good.npy"}, "there is no input 'picture'"},
      {"InputOfTwoMissing", {"run", "$F", "--input", "extra=$X/extra.npy"}, "--input: missing: image [1,6,6,2]"},
      {"InputOfTwoDouble",
       {"run", "$F", "--input", "image=$X/image.npy", "--input", "extra=$X/extra.npy", "--input", "extra=$X/extra.npy"},
       "\"image\" is given for 2 inferences, \"extra\" for 4"},
      {"InputsOfOtherCounts",
       {"run", "$F", "--input", "image=$X/image.npy", "--input", "extra=$X/one_extra.npy"},
       "needed equally often"},
      {"InputOfTwoOfAnotherShape",
       {"run", "$F", "--input", "image=$X/image.npy", "--input", "extra=$X/wide_extra.npy"},
       "shape [2,4] does not fit input \"extra\" [1,3]"},
      {"InputIsNoPicture",
       {"run", "$F", "--input", "image=$X/image.npy", "--input", "extra=$D/samples/7_0.png"},
       "input \"extra\" [1,3] is not an image"},
      {"ArchiveCutShort", {"run", "$F", "--input", "$X/cut.npz"}, "the archive is damaged"},
      {"ArchiveMissing", {"run", "$F", "--input", "$X/nope.npz"}, "there is no such file"},
      {"ArchiveWithAnotherName", {"run", "$F", "--input", "$X/misspelled.npz"}, "there is no input 'extras'; did you"},
      {"ArchiveWithoutAnInput", {"run", "$F", "--input", "$X/alone.npz"}, "alone.npz: missing: extra [1,3]"},
      {"ArchiveOfOtherCounts", {"run", "$F", "--input", "$X/uneven.npz"}, "\"image\" has 2 samples, \"extra\" has 1"},
      {"FolderWithoutAnInput", {"run", "$F", "--input", "$X/half"}, "half: missing: extra [1,3]"},
      {"CalibrationOfOneInput",
       {"compile", "$F", "-o", "out", "--calibrate", "$X/image.npy"},
       "Give a .npz archive with an array for each"},
      {"CalibrationOfOtherCounts", {"compile", "$F", "-o", "out", "--calibrate", "$X/uneven.npz"}, "equally many"},
      {"DataOfOneInput", {"eval", "$F", "--data", "$X/half"}, "half: missing: extra [1,3]"},
      {"MetricOfNoOutput",
       {"eval", "$F", "--data", "$X/two.npz", "--metric-output", "scores"},
       "there is no output 'scores'; did you mean 'score'?"},
      {"WriteTwoOutputsToOneArray",
       {"run", "$F", "--input", "$X/two.npz", "--write", "out.npy"},
       "there are 2 outputs: score, peak"},
      {"WriteAnUnknownOutput",
       {"run", "$F", "--input", "$X/two.npz", "--write", "peek=out.npy"},
       "there is no output 'peek'; did you mean 'peak'?"},
      {"WriteAnOutputTwice",
       {"run", "$F", "--input", "$X/two.npz", "--write", "peak=a.npy", "--write", "peak=b.npy"},
       "output peak is given twice"},
      {"LabelsOfNoOutput",
       {"run", "$F", "--input", "$X/two.npz", "--labels", "$D/labels.txt"},
       "fits no output of functional.keras (values: score 2, peak 3)"},
      {"LabelOfTwoOutputs", {"compile", "$F", "-o", "out", "--top-1"}, "needs a model with one output, found 2"},

      {"ModelMissing", {"inspect", "nope.onnx"}, "no such file"},
      {"ModelIsAFolder", {"inspect", "$X"}, "found another folder"},
      {"ModelEmpty", {"inspect", "$X/empty.onnx"}, "empty"},
      {"OnnxCutShort", {"compile", "$X/cut.onnx", "-o", "out"}, "damaged or cut short"},
      {"GraphDefCutShort", {"compile", "$X/cut.pb", "-o", "out"}, "damaged or cut short"},
      {"ModelIsAPicture", {"inspect", "$X/text.png"}, "text.png"},
      {"WeightsWithNan", {"compile", "$X/nan.onnx", "-o", "out"}, "NaN"},
      {"OperationUnsupported", {"compile", "$X/unsupported.pb", "-o", "out"}, "2 nodes are not supported"},
      {"OperationUnsupportedAtRun", {"run", "$X/unsupported.pb", "--input", "$X/good.npy"}, "digits/poo"},
      {"ShapeWithoutName", {"inspect", "$M", "--shape", "1,28,28,1"}, "is not NAME=1,224,224,3"},
      {"ShapeOfNoInput", {"inspect", "$M", "--shape", "inputt=1,28,28,1"}, "inputt"},
      {"SignatureOfAGraph", {"inspect", "$M", "--signature", "serve"}, "only SavedModels have signatures"},
      {"KerasH5", {"inspect", "$X/model.h5"}, "HDF5"},
      {"TensorFlowLiteDamaged", {"inspect", "$X/model.tflite"}, "not a TensorFlow Lite model"},
      {"CompileIntoAFile", {"compile", "$M", "-o", "$X/good.npy"}, "cannot make the folder"},

      {"ProgramMissing", {"plan", "nope"}, "nope"},
      {"ProgramIsAnArray", {"plan", "$X/good.npy"}, "not a program"},
      {"ProgramWithEscapes", {"plan", "$X/escape.treville"}, "not a program"},
      {"NetworkUnknown", {"plan", "$X", "--net", "foo"}, "lan, wan"},
      {"NetworkWithoutBandwidth", {"plan", "$X", "--net", "rtt=40ms,bw=0"}, "rtt=40ms,bw=350Mbit"},
      {"CompareWithoutData", {"compare", "$M", "--data", "nope"}, "nope"},
      {"CompareNoSamples", {"compare", "$M", "--data", "$X/good.npy", "--samples", "0"}, "--samples"},
      {"CompareTolerance", {"compare", "$M", "--data", "$X/good.npy", "--tolerance", "7"}, "--tolerance"},

      {"KeysWithTwoNames", {"keys", "k", "--names", "a,b"}, "--names"},
      {"KeysWithEqualNames", {"keys", "k", "--names", "a,b,a"}, "different names"},
      {"KeysOutsideTheFolder", {"keys", "k", "--name", "../x"}, "cannot name a party"},
      {"KeysWithBadAddress", {"keys", "k", "--addresses", "a:1,b:2,c"}, "'c' is not host:port"},
      {"KeysWithBadPort", {"keys", "k", "--addresses", "a:1,b:2,c:70000"}, "'c:70000' is not host:port"},
      {"KeysIntoAFile", {"keys", "$X/good.npy"}, "good.npy"},
      {"PartyWithoutFederation", {"party", "--id", "0", "--program", "p"}, "--federation is required"},
      {"PartyFederationMissing", {"party", "--id", "0", "--federation", "nope.yaml", "--program", "p"}, "nope.yaml"},
      {"PartyCountOfNone", {"party", "--id", "0", "--federation", "f", "--program", "p", "--count", "0"}, "--count"},
  };
}

class CommandLineError : public testing::TestWithParam<Case> {
 protected:
  CommandLineError() {
    write_damaged_files(damaged_);
    write_two_inputs(damaged_);
  }

  Arguments arguments() const {
    Arguments result;
    for (std::string argument : GetParam().arguments) {
      if (argument.rfind("$M", 0) == 0) argument = (digits() / "digits.pb").string();
      replace_all(argument, "$D", digits().string());
      replace_all(argument, "$F", TREVILLE_SOURCE_DIR "/test/keras/functional.keras");
      replace_all(argument, "$X", damaged_.path().string());
      result.push_back(argument);
    }
    return result;
  }

  Scratch damaged_;
};

// left_over lists what a command left in the folder.
std::string left_over(const fs::path& folder) {
  std::string names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) names += entry.path().string() + " ";
  return names;
}

TEST_P(CommandLineError, SaysWhatIsWrongAndLeavesNothingBehind) {
  const Case& expected = GetParam();
  const Scratch here, temporary;
  const Finished finished = treville(arguments(), 60, here.path(), temporary.path());
  EXPECT_FALSE(finished.timed_out);
  EXPECT_EQ(finished.exit_code, expected.exit_code) << finished.err;
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(finished.err.rfind("treville: ", 0), 0u) << finished.err;
  EXPECT_NE(finished.err.find(expected.message), std::string::npos) << finished.err;
  EXPECT_EQ(finished.err.find('\x1b'), std::string::npos) << "terminal escapes in a message";
  EXPECT_EQ(left_over(here.path()), "");
  EXPECT_EQ(left_over(temporary.path()), "");
}

TEST_P(CommandLineError, IsOneJsonObjectWithTheSameCode) {
  const Case& expected = GetParam();
  const Scratch here, temporary;
  Arguments with_json = arguments();
  with_json.push_back("--json");
  const Finished finished = treville(with_json, 60, here.path(), temporary.path());
  EXPECT_EQ(finished.exit_code, expected.exit_code) << finished.err;
  const Json object = finished.json();
  ASSERT_TRUE(object.is_object()) << finished.out;
  ASSERT_TRUE(object.contains("error")) << finished.out;
  EXPECT_EQ(object["error"].value("code", -1), expected.exit_code);
  EXPECT_EQ(object["error"].value("kind", ""), "user");
  EXPECT_NE(object["error"].value("message", "").find(expected.message), std::string::npos) << finished.out;
  EXPECT_EQ(left_over(here.path()), "");
}

INSTANTIATE_TEST_SUITE_P(EndToEnd, CommandLineError, testing::ValuesIn(cases()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(EndToEndErrors, InspectListsUnsupportedNodesAndFails) {
  const Scratch scratch;
  write_damaged_files(scratch);
  const Finished finished = treville({"inspect", "--json", (scratch / "unsupported.pb").string()});
  EXPECT_EQ(finished.exit_code, 2);
  const Json object = finished.json();
  ASSERT_TRUE(object.is_object()) << finished.out;
  ASSERT_EQ(object.at("unsupported").size(), 2u);
  EXPECT_EQ(object.at("unsupported").at(0).at("operation"), "MaxPoo1");
}

TEST(EndToEndErrors, KeysAreNeverOverwritten) {
  const Scratch scratch;
  const std::string folder = (scratch / "keys").string();
  ASSERT_EQ(treville({"keys", folder}).exit_code, 0);
  const std::string key = read_text(scratch / "keys/client.key"),
                    federation = read_text(scratch / "keys/federation.yaml");
  ASSERT_NE(key, "");
  EXPECT_EQ(treville({"keys", folder}).exit_code, 2);
  EXPECT_EQ(treville({"keys", folder, "--names", "x,y,z"}).exit_code, 2);
  EXPECT_EQ(treville({"keys", folder, "--name", "client"}).exit_code, 2);
  EXPECT_EQ(read_text(scratch / "keys/client.key"), key);
  EXPECT_EQ(read_text(scratch / "keys/federation.yaml"), federation);
  EXPECT_FALSE(fs::exists(scratch / "keys/x.key"));
}

TEST(EndToEndErrors, AFullDiskIsNotASuccess) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full here";
  const Finished finished =
      Process({"sh", "-c", "'" TREVILLE_PROGRAM "' inspect '" + (digits() / "digits.pb").string() + "' > /dev/full"})
          .wait(30);
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_NE(finished.err.find("stdout"), std::string::npos) << finished.err;
}

TEST(EndToEndErrors, AnInterruptedRunRemovesKeysAndWeights) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const Scratch temporary;
    Arguments arguments = {"run", (digits() / "digits.pb").string(), "--no-check", "--ring", "64"};
    for (int i = 0; i < 100; ++i) arguments.insert(arguments.end(), {"--input", (digits() / "samples.npy").string()});
    Process process(treville_command(arguments), {}, temporary.path());
    for (int i = 0; i < 5000 && left_over(temporary.path()).find("input-") == std::string::npos && !process.has_ended();
         ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ASSERT_NE(left_over(temporary.path()), "") << "the run had no folder of its own";
    process.send(signal);
    const Finished finished = process.wait(10);
    EXPECT_FALSE(finished.timed_out);
    EXPECT_EQ(finished.exit_code, 130) << finished.err;
    EXPECT_EQ(left_over(temporary.path()), "");
  }
}

}  // namespace
}  // namespace treville::test
