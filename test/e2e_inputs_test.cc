// A model with two inputs and two outputs wherever a user meets it: by name, in archives and in folders, from one owner
// and from two, with kept weights and preprocessed. The model and what Keras answers are test/keras/functional.*.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "data/npy.h"
#include "program/text.h"
#include "program/weights.h"
#include "test/federation.h"

namespace treville::test {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSamples = 2;

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

fs::path keras(const std::string& name) { return fs::path(TREVILLE_SOURCE_DIR) / "test/keras" / name; }

// row is one sample of an array, with a batch of one.
FloatTensor row(const FloatTensor& all, int64_t number) {
  Shape shape = all.shape;
  const int64_t size = shape.elements() / shape[0];
  shape[0] = 1;
  const auto begin = all.values.begin() + number * size;
  return FloatTensor(shape, std::vector<float>(begin, begin + size));
}

// TwoInputs has the inputs "image" and "extra" as files of every kind, and the answers "score" and "peak".
class TwoInputs : public testing::Test {
 protected:
  TwoInputs() {
    fs::create_directories(scratch_ / "folder");
    write_npz(scratch_ / "all.npz", {{"image", image_}, {"extra", extra_}});
    write_npy(scratch_ / "folder/image.npy", image_);
    write_npy(scratch_ / "folder/extra.npy", extra_);
    for (int64_t i = 0; i < kSamples; ++i) {
      write_npy(scratch_ / ("image" + std::to_string(i) + ".npy"), row(image_, i));
      write_npy(scratch_ / ("extra" + std::to_string(i) + ".npy"), row(extra_, i));
    }
  }

  std::string at(const std::string& name) const { return (scratch_ / name).string(); }
  Arguments model() const { return {keras("functional.keras").string(), "--calibrate", at("all.npz")}; }
  Arguments named() const {
    return {"--input", "image=" + at("folder/image.npy"), "--input", "extra=" + at("folder/extra.npy")};
  }

  // expect_answer compares one output of all samples with Keras. The coarsest values of this program have a unit of
  // 2^-10; a truncation of them is one unit off at most, twice, and what follows multiplies by weights whose rows sum
  // to two at most: 4 * 2^-10. The finer values add less than 2^-10.
  static void expect_answer(const std::vector<float>& values, const FloatTensor& golden) {
    ASSERT_EQ(values.size(), golden.values.size());
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], golden.values[i], 0.005) << "element " << i;
  }
  void expect_answers(const NamedTensors& outputs) const {
    ASSERT_EQ(outputs.size(), 2u);
    expect_answer(outputs.at("score").values, score_);
    expect_answer(outputs.at("peak").values, peak_);
    EXPECT_EQ(outputs.at("score").shape, score_.shape);
    EXPECT_EQ(outputs.at("peak").shape, peak_.shape);
  }
  // outputs_of joins the outputs of the inferences of `run --json` or `party --json`.
  static NamedTensors outputs_of(const Json& report) {
    NamedTensors outputs;
    for (const Json& inference : report.at("inferences")) {
      for (const Json& output : inference.at("outputs")) {
        FloatTensor& joined = outputs[output.at("name").get<std::string>()];
        const auto values = output.at("values").get<std::vector<float>>();
        joined.values.insert(joined.values.end(), values.begin(), values.end());
        joined.shape = Shape{static_cast<int64_t>(report.at("inferences").size()), output.at("shape").at(1)};
      }
    }
    return outputs;
  }
  Json expect_run(const Arguments& more) const {
    const Finished finished = treville(Arguments{"run", "--json"} + model() + more);
    EXPECT_EQ(finished.exit_code, 0) << finished.err << finished.out;
    return finished.json();
  }

  const FloatTensor image_ = read_npy(keras("functional.in.0.npy")), extra_ = read_npy(keras("functional.in.1.npy"));
  const FloatTensor score_ = read_npy(keras("functional.out.0.npy")), peak_ = read_npy(keras("functional.out.1.npy"));
  Scratch scratch_;
};

TEST_F(TwoInputs, RunInThreeProcessesAndAllOutputsAreShown) {
  const Json report = expect_run(named() + Arguments{"--write", at("out.npz")});
  EXPECT_EQ(report.at("processes").size(), 3u);
  ASSERT_EQ(report.at("inferences").size(), static_cast<size_t>(kSamples));
  const Json& first = report.at("inferences").at(0);
  EXPECT_EQ(first.at("input"), "image.npy[0], extra.npy[0]");
  EXPECT_EQ(first.at("outputs").at(0).at("name"), "score");
  EXPECT_EQ(first.at("outputs").at(1).at("name"), "peak");
  for (const Json& output : first.at("outputs")) EXPECT_TRUE(output.at("plaintext").at("agrees").get<bool>());
  EXPECT_TRUE(first.at("plaintext").at("first_difference").is_null());
  expect_answers(outputs_of(report));
  expect_answers(read_npz(scratch_ / "out.npz"));
}

TEST_F(TwoInputs, FilesOfEveryKindAreTheSameInputs) {
  const Arguments by_file = {"--input", "extra=" + at("extra0.npy"), "--input", "image=" + at("image0.npy"),
                             "--input", "image=" + at("image1.npy"), "--input", "extra=" + at("extra1.npy")};
  for (const Arguments& inputs : {by_file, Arguments{"--input", at("all.npz")}, Arguments{"--input", at("folder")}}) {
    const Json report = expect_run(inputs + Arguments{"--no-check"});
    ASSERT_EQ(report.at("inferences").size(), static_cast<size_t>(kSamples)) << inputs[1];
    expect_answers(outputs_of(report));
  }
}

TEST_F(TwoInputs, OutputsGoToFilesByName) {
  expect_run(named() + Arguments{"--no-check", "--write", "peak=" + at("peak.npy")});
  expect_answer(read_npy(scratch_ / "peak.npy").values, peak_);
  EXPECT_FALSE(fs::exists(scratch_ / "score.npy"));
}

TEST_F(TwoInputs, PeopleSeeEveryInputAndOutputByName) {
  const Finished run = treville(Arguments{"run"} + model() + named());
  EXPECT_EQ(run.exit_code, 0) << run.err;
  for (const char* text : {"image [1,6,6,2], extra [1,3], 2 samples", "score", "peak", "plaintext agrees"})
    EXPECT_NE(run.out.find(text), std::string::npos) << text << "\n" << run.out;
  const Finished inspected = treville({"inspect", keras("functional.keras").string()});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  for (const char* text : {"input   image", "input   extra", "output  score", "output  peak"})
    EXPECT_NE(inspected.out.find(text), std::string::npos) << text << "\n" << inspected.out;
}

// With 8 bits a value of "peak" is off by 0.044 or more, whichever way it is rounded: more than a fiftieth of its
// largest value, 1.5. So --output puts it first.
TEST_F(TwoInputs, RunNamesTheFirstOutputThatDiffers) {
  const Arguments run = Arguments{"run"} + model() +
                        Arguments{"--input", at("all.npz"), "--bits", "8", "--output", "peak", "--output", "score"};
  const Finished finished = treville(run + Arguments{"--json"});
  EXPECT_EQ(finished.exit_code, 1) << finished.err << finished.out;
  const Json first = finished.json().at("inferences").at(0);
  EXPECT_EQ(first.at("plaintext").at("first_difference"), "peak");
  EXPECT_FALSE(first.at("plaintext").at("agrees").get<bool>());
  EXPECT_FALSE(finished.json().at("plaintext").at("agrees").get<bool>());
  EXPECT_FALSE(first.at("outputs").at(0).at("plaintext").at("agrees").get<bool>());
  const Finished people = treville(run);
  EXPECT_EQ(people.exit_code, 1);
  EXPECT_NE(people.out.find("first to differ: output peak of all.npz[0]"), std::string::npos) << people.out;
}

// No program is as good as this tolerance asks: every layer and output differs, and the first ones are named.
TEST_F(TwoInputs, CompareNamesTheFirstOutputThatDiffers) {
  const Arguments compare = Arguments{"compare", "--no-secure", "--tolerance", "0.0000001"} + model();
  const Finished finished = treville(compare + Arguments{"--data", at("all.npz"), "--json"});
  EXPECT_EQ(finished.exit_code, 1) << finished.err;
  EXPECT_EQ(finished.json().at("first_output_divergence"), "score");
  const Finished people = treville(compare + Arguments{"--data", at("folder")});
  EXPECT_EQ(people.exit_code, 1);
  EXPECT_NE(people.out.find("first output that differs"), std::string::npos) << people.out;
}

TEST_F(TwoInputs, CompareCoversEveryOutput) {
  const Finished finished = treville(Arguments{"compare", "--json"} + model() + Arguments{"--data", at("all.npz")});
  ASSERT_EQ(finished.exit_code, 0) << finished.err << finished.out;
  const Json report = finished.json();
  EXPECT_EQ(report.at("samples"), kSamples);
  ASSERT_EQ(report.at("outputs").size(), 2u);
  EXPECT_EQ(report.at("outputs").at(0).at("name"), "score");
  EXPECT_EQ(report.at("outputs").at(1).at("name"), "peak");
  double largest = 0;
  for (const Json& output : report.at("outputs")) {
    EXPECT_FALSE(output.at("diverges").get<bool>());
    EXPECT_GT(output.at("fixed_point_error").get<double>(), 0) << "fixed point is not float";
    for (const char* error : {"fixed_point_error", "secure_error"})
      largest = std::max(largest, output.at(error).get<double>());
  }
  EXPECT_EQ(report.at("largest_output_error"), largest);
}

// classes_of writes the class that Keras answers for each sample in one output.
void write_classes(const fs::path& path, const FloatTensor& answers) {
  std::string text;
  for (int64_t i = 0; i < kSamples; ++i) {
    const std::vector<float> one = row(answers, i).values;
    text += std::to_string(std::max_element(one.begin(), one.end()) - one.begin()) + "\n";
  }
  write_text(path, text);
}

TEST_F(TwoInputs, EvalMeasuresOneOutputAndComparesAll) {
  write_classes(scratch_ / "classes.txt", peak_);
  const Arguments eval =
      Arguments{"eval", "--json"} + model() +
      Arguments{"--data", at("folder"), "--labels", at("classes.txt"), "--metric-output", "peak",
                "--in",   "clear",      "--in",     "secure",          "--results",       at("answers.jsonl")};
  const Finished finished = treville(eval);
  ASSERT_EQ(finished.exit_code, 0) << finished.err << finished.out;
  const Json report = finished.json();
  EXPECT_EQ(report.at("metric_output"), "peak");
  ASSERT_EQ(report.at("results").size(), 3u);
  for (const Json& result : report.at("results")) {
    EXPECT_EQ(result.at("top1").at("hits"), kSamples);
    EXPECT_EQ(result.at("confusion").size(), 3u) << "the classes of peak";
    if (result.at("in") == "float") continue;
    EXPECT_EQ(result.at("agreement_with_float").at("hits"), kSamples);
    double largest = 0;
    ASSERT_EQ(result.at("outputs").size(), 2u);
    for (const Json& output : result.at("outputs"))
      largest = std::max(largest, output.at("largest_error").get<double>());
    EXPECT_EQ(result.at("largest_error"), largest);
  }
  // The answers of all outputs are kept: the same again computes nothing and says the same.
  const std::string kept = read_text(scratch_ / "answers.jsonl");
  const Finished again = treville(eval);
  EXPECT_EQ(again.json(), report);
  EXPECT_EQ(read_text(scratch_ / "answers.jsonl"), kept);
}

TEST_F(TwoInputs, EvalGivesTheSameInBatches) {
  write_classes(scratch_ / "classes.txt", score_);
  const Arguments eval =
      Arguments{"eval", "--json"} + model() + Arguments{"--data", at("all.npz"), "--labels", at("classes.txt")};
  const Finished one = treville(eval), both = treville(eval + Arguments{"--batch", "2"});
  ASSERT_EQ(one.exit_code, 0) << one.err;
  ASSERT_EQ(both.exit_code, 0) << both.err;
  EXPECT_EQ(one.json().at("metric_output"), "score") << "the first";
  for (size_t i = 0; i < 2; ++i)
    EXPECT_EQ(one.json().at("results")[i].at("top1"), both.json().at("results")[i].at("top1"));
}

TEST_F(TwoInputs, TuneJudgesByTheMetricOutput) {
  write_classes(scratch_ / "classes.txt", peak_);
  const Finished finished = treville(Arguments{"tune", "--json"} + model() +
                                     Arguments{"--data", at("all.npz"), "--labels", at("classes.txt"),
                                               "--metric-output", "peak", "--sweep-bits", "14:20"});
  ASSERT_EQ(finished.exit_code, 0) << finished.err << finished.out;
  EXPECT_EQ(finished.json().at("metric_output"), "peak");
  EXPECT_EQ(finished.json().at("float_top1"), 1);
}

TEST_F(TwoInputs, PreprocessedInferencesAndKeptWeightsServeARun) {
  const std::string store = at("kept");
  const Finished made = treville(Arguments{"preprocess", "--json", "--count", "3", "--store", store} + model());
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const Json report = expect_run(named() + Arguments{"--preprocessed", "--store", store});
  expect_answers(outputs_of(report));
  EXPECT_EQ(report.at("seconds_are"), "online");
  EXPECT_EQ(report.at("metered_bytes").at("offline"), 0);
  const Json whole = expect_run(named() + Arguments{"--store", store});
  EXPECT_TRUE(whole.at("weights").at("kept").get<bool>());
  expect_answers(outputs_of(whole));
}

class TwoInputParties : public TwoInputs {
 protected:
  std::array<Finished, 3> run(const TestFederation& federation, const std::array<Arguments, 3>& more) const {
    std::array<std::unique_ptr<Process>, 3> parties;
    for (size_t id = 0; id < 3; ++id)
      parties[id] = federation.start(federation.arguments(static_cast<int>(id), Arguments{"--json"} + more[id]));
    std::array<Finished, 3> results;
    for (size_t id = 0; id < 3; ++id) {
      results[id] = parties[id]->wait(60);
      EXPECT_EQ(results[id].exit_code, 0) << "party " << id << ": " << results[id].err << results[id].out;
    }
    return results;
  }
  // give_to_owner makes party 1 the owner of "extra" in a compiled program.
  static void give_to_owner(const TestFederation& federation) {
    const std::string program_file = federation.file("compiled/program.treville").string(),
                      weights_file = federation.file("compiled/weights.treville").string();
    Program program = read_program(program_file);
    const Weights weights = read_weights(weights_file, program);
    for (Step& step : program.steps) {
      auto* input = std::get_if<InputStep>(&step.body);
      if (input != nullptr && input->name == "extra") input->owner = PartyId::kEvaluator;
    }
    write_program(program_file, program);
    write_weights(weights_file, program, weights);
  }
};

TEST_F(TwoInputParties, TheClientGivesBothAndWritesBoth) {
  const TestFederation federation(model());
  const auto results = run(
      federation,
      {named() + Arguments{"--output", "out.npz", "--output", "score=score.npy"}, {"--count", "2"}, {"--count", "2"}});
  expect_answers(outputs_of(results[0].json()));
  expect_answers(read_npz(federation.file("out.npz")));
  expect_answer(read_npy(federation.file("score.npy")).values, score_);
  for (const Json& inference : results[1].json().at("inferences")) EXPECT_EQ(inference.at("outputs").size(), 0u);
}

TEST_F(TwoInputParties, EachOwnerGivesItsOwn) {
  const TestFederation federation(model());
  give_to_owner(federation);
  const auto results = run(federation, {Arguments{"--input", at("folder/image.npy"), "--output", "out.npz"},
                                        {"--input", "extra=" + at("folder/extra.npy")},
                                        {"--count", "2"}});
  expect_answers(outputs_of(results[0].json()));
  expect_answers(read_npz(federation.file("out.npz")));

  const auto refused = [&](int id, const Arguments& more) {
    const Finished finished = federation.start(federation.arguments(id, more))->wait(20);
    EXPECT_EQ(finished.exit_code, 2) << finished.err;
    return finished.err;
  };
  EXPECT_NE(refused(0, named()).find("party 1 gives input \"extra\" of this program, not party 0"), std::string::npos);
  EXPECT_NE(refused(0, {}).find("--input is missing: party 0 gives image [1,6,6,2]"), std::string::npos);
  EXPECT_NE(refused(1, {}).find("--input is missing: party 1 gives extra [1,3]"), std::string::npos);
  EXPECT_NE(refused(2, {"--input", at("extra0.npy")}).find("party 0 or 1 gives the input of this program, not party 2"),
            std::string::npos);
  EXPECT_NE(refused(1, {"--input", at("extra0.npy"), "--output", "x.npy"}).find("receives no output"),
            std::string::npos);
}

TEST_F(TwoInputParties, RecordsServeInputsOfTwoOwners) {
  const TestFederation federation(model());
  give_to_owner(federation);
  std::array<std::unique_ptr<Process>, 3> parties;
  for (size_t id = 0; id < 3; ++id) {
    Arguments arguments = federation.arguments(static_cast<int>(id), {"--count", "2"});
    arguments[0] = "preprocess";
    parties[id] = federation.start(arguments);
  }
  for (auto& party : parties) {
    const Finished finished = party->wait(60);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
  }
  const auto results = run(federation, {Arguments{"--preprocessed", "--input", at("folder/image.npy")},
                                        {"--preprocessed", "--input", at("folder/extra.npy")},
                                        {"--preprocessed", "--count", "2"}});
  expect_answers(outputs_of(results[0].json()));
  for (const Finished& result : results) EXPECT_EQ(result.json().at("seconds_are"), "online");
}

}  // namespace
}  // namespace treville::test
