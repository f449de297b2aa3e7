#include "launcher/reports/metrics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/user_error.h"
#include "tests/checkpoint/full_disk.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

class Metrics : public testing::Test {
 protected:
  Metrics()
      : folder_(fs::temp_directory_path() / ("rondo_metrics_" + std::to_string(getpid()))),
        path_(folder_ / "run" / "metrics.jsonl") {
    fs::remove_all(folder_);
  }
  ~Metrics() override { fs::remove_all(folder_); }

  void run(int64_t first, int64_t last) {
    MetricsFile file(path_, first - 1);
    for (int64_t step = first; step <= last; ++step) {
      file.append({.step = step, .loss = 1.0 / static_cast<double>(step)});
    }
  }

  void add_raw(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }

  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  std::vector<int64_t> steps() const {
    std::vector<int64_t> found;
    std::ifstream in(path_);
    for (std::string line; std::getline(in, line);) {
      found.push_back(nlohmann::json::parse(line)["step"].get<int64_t>());
    }
    return found;
  }

  fs::path folder_;
  fs::path path_;
};

TEST_F(Metrics, WriteTheKeysOfTheContractInOrder) {
  const StepMetrics metrics = {.step = 3,
                               .loss = 2.5,
                               .grad_norm = 0.5,
                               .lr = 0.25,
                               .tokens = 4096,
                               .tokens_per_s = 1000.5,
                               .step_s = 0.125,
                               .sent_bytes = {.activation = 1, .reduce = 2, .gather = 3},
                               .validation_loss = std::nullopt};
  EXPECT_EQ(to_json(metrics),
            R"({"step":3,"loss":2.5,"grad_norm":0.5,"lr":0.25,"tokens":4096,"tokens_per_s":1000.5,)"
            R"("step_s":0.125,"sent_bytes":{"activation":1,"reduce":2,"gather":3}})");
}

TEST_F(Metrics, WriteAValidationLossOnlyWhereThereIsOne) {
  EXPECT_EQ(to_json({.step = 1}).find("validation_loss"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(to_json({.validation_loss = 1.5}))["validation_loss"], 1.5);
}

TEST_F(Metrics, KeepEveryBitOfADouble) {
  for (const double value : {1.0 / 3, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e22}) {
    const auto object = nlohmann::json::parse(to_json({.loss = value}));
    EXPECT_EQ(object["loss"].get<double>(), value);
  }
}

TEST_F(Metrics, WriteNullForALossThatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(nlohmann::json::parse(to_json({.loss = nan}))["loss"].is_null());
}

TEST_F(Metrics, ReachTheDiskWithEveryStep) {
  MetricsFile file(path_, 0);
  file.append({.step = 1});
  EXPECT_EQ(steps(), std::vector<int64_t>({1}));
}

TEST_F(Metrics, HoldEachStepOnceAfterAResume) {
  run(1, 5);
  run(4, 6);
  EXPECT_EQ(steps(), std::vector<int64_t>({1, 2, 3, 4, 5, 6}));
}

TEST_F(Metrics, StartAfreshInAnOldFolder) {
  run(1, 5);
  run(1, 2);
  EXPECT_EQ(steps(), std::vector<int64_t>({1, 2}));
}

TEST_F(Metrics, StayByteForByteWhenNothingIsToBeDropped) {
  run(1, 3);
  add_raw("{\"step\":4,  \"loss\":1e0}\n");
  const std::string before = content();
  MetricsFile file(path_, 4);
  EXPECT_EQ(content(), before);
}

TEST_F(Metrics, LoseALineThatACrashCutShort) {
  run(1, 2);
  add_raw(R"({"step":3,"lo)");
  run(3, 3);
  EXPECT_EQ(steps(), std::vector<int64_t>({1, 2, 3}));
}

TEST_F(Metrics, LoseAWholeLineWhoseNewlineIsMissing) {
  run(1, 2);
  add_raw(R"({"step":3})");
  run(4, 4);
  EXPECT_EQ(steps(), std::vector<int64_t>({1, 2, 4}));
}

TEST_F(Metrics, RefuseAndKeepAFileThatHoldsSomethingElse) {
  run(1, 2);
  add_raw("shopping list\n");
  const std::string before = content();
  try {
    MetricsFile file(path_, 1);
    FAIL() << "accepted";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("metrics.jsonl:3: not a line"), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(content(), before);
}

TEST_F(Metrics, NameTheFileThatCannotBeWritten) {
  fs::create_directories(path_);
  EXPECT_THROW(MetricsFile(path_, 0), UserError);
}

TEST_F(Metrics, TellOfAFullDisk) {
  MetricsFile file("/dev/full", 0);
  EXPECT_FALSE(file.append({.step = 1}));
  EXPECT_EQ(file.file().reason(), "No space left on device");
}

TEST_F(Metrics, HoldEveryLineAndNoneTwiceAfterADiskWasFull) {
  MetricsFile file(path_, 0);
  EXPECT_TRUE(file.append({.step = 1}));
  {
    const FullDisk full;  // the line that does not fit is torn by the system, not by us
    int64_t step = 1;
    while (file.append({.step = ++step})) {
    }
    EXPECT_EQ(content().back(), '\n');
    EXPECT_FALSE(file.append({.step = ++step}));
  }
  EXPECT_TRUE(file.append({.step = 100}));
  const std::vector<int64_t> found = steps();
  for (size_t i = 0; i + 1 < found.size(); ++i) EXPECT_EQ(found[i], static_cast<int64_t>(i) + 1);
  EXPECT_EQ(found.back(), 100);
}

TEST_F(Metrics, AreMovedAndNotLostWhereARunBeginsAgain) {
  run(1, 5);
  const std::string first = content();
  run(4, 4);
  const fs::path dropped = folder_ / "run" / "metrics.dropped.jsonl";
  const auto moved = [&] {
    std::ostringstream text;
    text << std::ifstream(dropped).rdbuf();
    return text.str();
  };
  EXPECT_TRUE(first.ends_with(moved()));
  EXPECT_EQ(MetricsFile(path_, 2).dropped(), 2) << "steps 3 and 4";
  EXPECT_EQ(MetricsFile(path_, 2).dropped(), 0);
  add_raw(R"({"step":3,"lo)");
  EXPECT_EQ(MetricsFile(path_, 2).dropped(), 1);
  EXPECT_NE(moved().find(R"({"step":3,"lo)"), std::string::npos);
}

}  // namespace
}  // namespace rondo
