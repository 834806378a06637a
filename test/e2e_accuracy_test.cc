// treville eval and tune as their users run them, on the example model: 20 samples whose files name the digit.
#include <gtest/gtest.h>

#include <sstream>

#include "data/npy.h"
#include "test/process.h"

namespace treville::test {
namespace {

namespace fs = std::filesystem;

// The samples of the example: two of each digit, in order; a labels file that names them.
class Accuracy : public testing::Test {
 protected:
  Accuracy() {
    std::string by_name = "file,class\n", in_order;
    for (int digit = 0; digit < 10; ++digit)
      for (int i = 0; i < 2; ++i) {
        by_name += std::to_string(digit) + "_" + std::to_string(i) + ".png," + std::to_string(digit) + "\n";
        in_order += std::to_string(digit) + "\n";
      }
    write_text(scratch_ / "by_name.csv", by_name);
    write_text(scratch_ / "in_order.txt", in_order);
  }

  Arguments eval(const Arguments& more) const { return with("eval", more); }
  Arguments with(const std::string& verb, const Arguments& more) const {
    Arguments all = {verb, (digits() / "digits.pb").string(), "--calibrate", (digits() / "calibration.npy").string(),
                     "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  // pictures are the samples as files.
  Arguments pictures() const { return {"--data", (digits() / "samples").string(), "--preprocess", "scale=1/255"}; }
  std::string at(const std::string& name) const { return (scratch_ / name).string(); }

  Scratch scratch_;
};

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_F(Accuracy, CountsEveryWayOfComputing) {
  const Finished run =
      treville(eval(pictures() + Arguments{"--labels", at("by_name.csv"), "--in", "clear", "--in", "secure"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json report = run.json();
  EXPECT_EQ(report.at("samples"), 20);
  ASSERT_EQ(report.at("results").size(), 3u);
  const char* names[] = {"float", "clear", "secure"};
  for (size_t i = 0; i < 3; ++i) {
    const Json& row = report.at("results")[i];
    EXPECT_EQ(row.at("in"), names[i]);
    EXPECT_EQ(row.at("top1").at("hits"), 20);
    EXPECT_EQ(row.at("auroc"), 1);
    for (size_t digit = 0; digit < 10; ++digit) EXPECT_EQ(row.at("confusion")[digit][digit], 2);
    if (i == 0) continue;
    EXPECT_EQ(row.at("agreement_with_float").at("hits"), 20);
    EXPECT_GT(row.at("largest_error").get<double>(), 0) << "fixed point is not float";
    EXPECT_LT(row.at("largest_error").get<double>(), 0.01);
  }
  EXPECT_NEAR(report.at("results")[2].at("top1").at("interval_95")[0].get<double>(), 0.8389, 1e-4);
}

TEST_F(Accuracy, SeesWrongLabels) {
  std::string wrong = read_text(scratch_ / "in_order.txt");
  wrong.front() = '7';
  write_text(scratch_ / "wrong.txt", wrong);
  const Finished run = treville(eval(pictures() + Arguments{"--labels", at("wrong.txt")}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json row = run.json().at("results")[0];
  EXPECT_EQ(row.at("top1").at("hits"), 19);
  EXPECT_EQ(row.at("confusion")[7][0], 1);
}

TEST_F(Accuracy, TakesFoldersForClasses) {
  for (int digit = 0; digit < 10; ++digit) {
    const std::string name = std::to_string(digit);
    fs::create_directories(scratch_ / "classes" / name);
    fs::copy(digits() / "samples" / (name + "_0.png"), scratch_ / "classes" / name / "a.png");
  }
  const Finished run = treville(eval({"--data", at("classes"), "--preprocess", "scale=1/255"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.json().at("samples"), 10);
  EXPECT_EQ(run.json().at("results")[1].at("top1").at("hits"), 10);
}

TEST_F(Accuracy, GivesTheSameInBatches) {
  const Arguments data = {"--data", (digits() / "samples.npy").string(), "--labels", at("in_order.txt")};
  const Finished one = treville(eval(data)), many = treville(eval(data + Arguments{"--batch", "8"}));
  ASSERT_EQ(one.exit_code, 0) << one.err;
  ASSERT_EQ(many.exit_code, 0) << many.err;
  EXPECT_EQ(many.json().at("samples"), 20) << "the last batch is half empty";
  EXPECT_EQ(many.json().at("results")[1].at("top1"), one.json().at("results")[1].at("top1"));
}

TEST_F(Accuracy, ContinuesFromTheAnswersItKept) {
  const Arguments kept = pictures() + Arguments{"--results", at("answers.jsonl"), "--in", "clear"};
  ASSERT_EQ(treville(eval(kept + Arguments{"--samples", "6"})).exit_code, 0);
  std::string text = read_text(scratch_ / "answers.jsonl");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 2 * 6);
  // A run that was killed: its last line is cut. Its first answer is changed, to see that it is not computed again.
  const size_t scores = text.find("\"scores\":[") + 10;
  text.replace(scores, text.find(',', scores) - scores, "77");
  text.resize(text.size() - 20);
  write_text(scratch_ / "answers.jsonl", text);
  const Finished run = treville(eval(kept));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.json().at("samples"), 20);
  EXPECT_NEAR(run.json().at("results")[1].at("largest_error").get<double>(), 77, 1.1);
  text = read_text(scratch_ / "answers.jsonl");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 2 * 20);
}

TEST_F(Accuracy, RefusesAnswersOfAnotherPlan) {
  const Arguments kept = pictures() + Arguments{"--results", at("answers.jsonl"), "--samples", "2"};
  ASSERT_EQ(treville(eval(kept)).exit_code, 0);
  const std::string before = read_text(scratch_ / "answers.jsonl");
  const Finished run = treville(eval(kept + Arguments{"--bits", "16"}));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("its program is another one"), std::string::npos) << run.err;
  EXPECT_EQ(read_text(scratch_ / "answers.jsonl"), before);
}

// calibration is the data set of `calibrate`.
Arguments calibrate(const Arguments& more) {
  return Arguments{"calibrate", (digits() / "digits.pb").string(), "--data", (digits() / "calibration.npy").string(),
                   "--json"} +
         more;
}

TEST_F(Accuracy, CalibrateWritesWhatItSaysOfEveryLayer) {
  const Finished run = treville(
      calibrate({"--check", (digits() / "samples.npy").string(), "-o", at("compiled"), "--plot", at("margins.svg")}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json report = run.json();
  EXPECT_EQ(report.at("other_samples"), 20);
  EXPECT_EQ(report.at("verdicts").at("unsafe"), 0);
  EXPECT_GT(report.at("verdicts").at("calibrated"), 0);
  const std::string program = read_text(scratch_ / "compiled" / "program.treville");
  size_t written = 0;
  for (size_t at = program.find("verdict="); at != std::string::npos; at = program.find("verdict=", at + 1)) ++written;
  EXPECT_EQ(written, report.at("steps").size());
  for (const Json& step : report.at("steps")) {
    EXPECT_GT(step.at("largest_seen").get<double>(), 0) << step;
    EXPECT_LE(step.at("largest_seen"), step.at("largest_allowed")) << step;
  }
  EXPECT_NE(read_text(scratch_ / "margins.svg").find("<svg"), std::string::npos);
  const Finished plan = treville({"plan", at("compiled"), "--json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_EQ(plan.json().at("verdicts"), report.at("verdicts"));
}

TEST_F(Accuracy, CalibrateFindsWhatOtherSamplesExceed) {
  // Ranges of nearly black pictures, with no margin: real ones do not fit.
  FloatTensor dark = read_npy(digits() / "calibration.npy");
  for (float& value : dark.values) value *= 0.5F;
  write_npy(scratch_ / "dark.npy", dark);
  FloatTensor bright = read_npy(digits() / "samples.npy");
  for (float& value : bright.values) value *= 0.5F;
  write_npy(scratch_ / "bright.npy", bright);
  const Finished run = treville({"calibrate", (digits() / "digits.pb").string(), "--data", at("dark.npy"), "--check",
                                 at("bright.npy"), "--margin", "0", "--json"});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  const Json report = run.json();
  EXPECT_GT(report.at("verdicts").at("unsafe"), 0);
  EXPECT_FALSE(report.at("verdicts").at("unsafe_layers").empty());
}

TEST_F(Accuracy, CalibrateProvesGuaranteedRanges) {
  const Finished run = treville(calibrate({"--ranges", "guaranteed", "--input-range", "0:1"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.json().at("verdicts").at("calibrated"), 0);
  EXPECT_GT(run.json().at("verdicts").at("proved"), 0);
}

TEST_F(Accuracy, TunePicksTheCheapestPlanThatIsGoodEnough) {
  const Finished run = treville(with("tune", pictures() + Arguments{"--labels", at("by_name.csv"), "--sweep-bits",
                                                                    "8:18", "--loss", "0", "--plot", at("plans.svg")}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json report = run.json();
  EXPECT_EQ(report.at("float_top1"), 1);
  int64_t least = -1;
  int refused = 0;
  for (const Json& plan : report.at("plans")) {
    refused += plan.contains("refused") ? 1 : 0;
    if (plan.contains("refused") || plan.at("top1") < 1) continue;
    const int64_t bytes = plan.at("offline_bytes").get<int64_t>() + plan.at("online_bytes").get<int64_t>();
    if (least < 0 || bytes < least) least = bytes;
  }
  EXPECT_EQ(report.at("plans").size(), 12u) << "eleven of 32 bits, one of 64";
  EXPECT_GT(refused, 0) << "8 bits are too few for this network";
  const Json& chosen = report.at("chosen");
  EXPECT_EQ(chosen.at("offline_bytes").get<int64_t>() + chosen.at("online_bytes").get<int64_t>(), least);
  EXPECT_EQ(chosen.at("ring"), 32);
  EXPECT_NE(read_text(scratch_ / "plans.svg").find("<svg"), std::string::npos);
}

TEST_F(Accuracy, TheCostsThatTuneShowsAreThoseOfPlan) {
  const Finished tuned = treville(with("tune", pictures() + Arguments{"--sweep-bits", "15", "--ring", "32"}));
  ASSERT_EQ(tuned.exit_code, 0) << tuned.err;
  ASSERT_EQ(treville(with("compile", {"--ring", "32", "--bits", "15", "-o", at("compiled")})).exit_code, 0);
  const Finished plan = treville({"plan", at("compiled"), "--json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_EQ(tuned.json().at("plans")[0].at("offline_bytes"), plan.json().at("offline_bytes"));
  EXPECT_EQ(tuned.json().at("plans")[0].at("online_bytes"), plan.json().at("online_bytes"));
}

struct Mistake {
  const char* name;
  const char* verb;
  Arguments arguments;  // after the model; @ stands for the scratch folder
  const char* says;
};

class AccuracyMistakes : public Accuracy, public testing::WithParamInterface<Mistake> {};

TEST_P(AccuracyMistakes, EndInOneError) {
  write_text(scratch_ / "short.txt", "1\n2\n");
  write_text(scratch_ / "large.txt", std::string(40, '9') + "\n");
  Arguments arguments;
  for (const std::string& argument : GetParam().arguments)
    arguments.push_back(argument.rfind("@", 0) == 0 ? at(argument.substr(1)) : argument);
  const Finished run = treville(with(GetParam().verb, pictures() + arguments));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find(GetParam().says), std::string::npos) << run.err;
  EXPECT_EQ(run.json().at("error").at("kind"), "user");
}

INSTANTIATE_TEST_SUITE_P(
    All, AccuracyMistakes,
    testing::Values(Mistake{"Way", "eval", {"--in", "secur"}, "did you mean 'secure'"},
                    Mistake{"TooFewLabels", "eval", {"--labels", "@short.txt"}, "has 2 labels for 20 samples"},
                    Mistake{"NoLabels", "eval", {"--labels", "@none.txt"}, "cannot open the labels"},
                    Mistake{"NoClass", "eval", {"--labels", "@large.txt", "--samples", "1"}, "has 0 labels"},
                    Mistake{"NoFolder", "eval", {"--results", "@none/answers.jsonl"}, "there is no folder"},
                    Mistake{"Bits", "tune", {"--sweep-bits", "20:14"}, "is an empty range"},
                    Mistake{"Margins", "tune", {"--margins", "two"}, "is no range"},
                    Mistake{"Picture", "tune", {"--sweep-bits", "16", "--plot", "@plans.gif"}, ".svg or .png"}),
    [](const auto& mistake) { return std::string(mistake.param.name); });

}  // namespace
}  // namespace treville::test
