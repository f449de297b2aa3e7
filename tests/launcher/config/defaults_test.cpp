// Defaults lists within the files of groups: an experiment is one file that chooses others.
#include "launcher/config/defaults.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "tests/launcher/config/config_test_folder.h"

namespace rondo {
namespace {

ConfigFolder folder_of(const std::string& experiment) {
  return ConfigFolder(ConfigFiles{
      {"rondo.toml", "defaults = [\"model/small\", \"run/short\"]\n"},
      {"model/small.toml", small_model},
      {"model/wide.toml", "[model]\nhidden = 128\ndepth = 4\nheads = 4\nffn = 256\nvocab = 256\n"},
      {"run/short.toml", "[train]\nsteps = 5\n"},
      {"run/long.toml", "[train]\nsteps = 500\n"},
      {"experiment/big.toml", experiment},
  });
}

Config config_of(const ConfigFolder& folder, const std::vector<std::string>& overrides) {
  return parse_config(compose(folder.path(), overrides));
}

std::string refusal(const std::string& experiment) {
  const ConfigFolder folder = folder_of(experiment);
  std::string message = error_of([&] { config_of(folder, {"experiment=big"}); });
  for (size_t at = 0; (at = message.find(folder.path() + "/")) != std::string::npos;) {
    message.erase(at, folder.path().size() + 1);
  }
  return message;
}

TEST(Defaults, AnExperimentChoosesOptionsAndSetsKeysOverThem) {
  const ConfigFolder folder =
      folder_of("defaults = [\"model/wide\", \"run/long\"]\n[model]\nffn = 64\n");
  const Config config = config_of(folder, {"experiment=big"});
  EXPECT_EQ(config.model.hidden, 128);
  EXPECT_EQ(config.model.ffn, 64);
  EXPECT_EQ(config.train.steps, 500);
}

TEST(Defaults, TheUsersOwnChoiceAndKeysWinOverAnExperiments) {
  const ConfigFolder folder = folder_of("defaults = [\"model/wide\"]\n[train]\nsteps = 7\n");
  EXPECT_EQ(config_of(folder, {"experiment=big", "model=small"}).model.hidden, 64);
  EXPECT_EQ(config_of(folder, {"experiment=big", "train.steps=9"}).train.steps, 9);
  EXPECT_EQ(config_of(folder, {}).model.hidden, 64) << "nobody asked for the experiment";
}

TEST(Defaults, AFileMayChangeAnotherOfItsGroup) {
  const ConfigFolder folder = folder_of("");
  folder.write("model/taller.toml", "defaults = [\"model/wide\"]\n[model]\ndepth = 8\n");
  const Config config = config_of(folder, {"model=taller"});
  EXPECT_EQ(config.model.hidden, 128);
  EXPECT_EQ(config.model.depth, 8);
}

TEST(Defaults, SelfSaysWhereTheFilesOwnKeysCome) {
  const ConfigFolder folder = folder_of("");
  folder.write("model/first.toml",
               "defaults = [\"_self_\", \"model/wide\"]\n[model]\ndepth = 8\nvocab = 9\n");
  EXPECT_EQ(config_of(folder, {"model=first"}).model.depth, 4) << "model/wide comes later";
  folder.write("rondo.toml",
               "defaults = [\"_self_\", \"model/small\", \"run/short\"]\n[train]\nsteps = 1\n");
  EXPECT_EQ(config_of(folder, {}).train.steps, 5) << "run/short comes after rondo.toml's own keys";
}

TEST(Defaults, CirclesTwoChoosersAndUnknownOptionsAreRefusedByName) {
  EXPECT_EQ(refusal("defaults = [\"experiment/big\"]\n"),
            "experiment/big.toml:1: defaults go in a circle: experiment/big.toml -> "
            "experiment/big.toml");
  EXPECT_EQ(refusal("defaults = [\"model/wid\"]\n"),
            "experiment/big.toml:1: group model has no option wid; did you mean wide? options: "
            "small, wide");
  const ConfigFolder folder = folder_of("defaults = [\"run/long\"]\n");
  folder.write("model/wide.toml", "defaults = [\"run/short\"]\n[model]\nhidden = 128\n");
  EXPECT_NE(error_of([&] {
              config_of(folder, {"experiment=big", "model=wide"});
            }).find("defaults chooses run/"),
            std::string::npos);
}

TEST(References, TheEnvironmentGivesValuesWithTheirType) {
  const ConfigFolder folder = folder_of("");
  setenv("RONDO_TEST_STEPS", "12", 1);
  unsetenv("RONDO_TEST_NONE");
  EXPECT_EQ(config_of(folder, {"train.steps=${oc.env:RONDO_TEST_STEPS}"}).train.steps, 12);
  EXPECT_EQ(config_of(folder, {"train.steps=${oc.env:RONDO_TEST_NONE,13}"}).train.steps, 13);
  EXPECT_EQ(config_of(folder, {"log.dir=runs/${oc.env:RONDO_TEST_STEPS}"}).log.dir, "runs/12");
  EXPECT_EQ(error_of([&] { config_of(folder, {"log.dir=${oc.env:RONDO_TEST_NONE}"}); }),
            "override 'log.dir=${oc.env:RONDO_TEST_NONE}': the environment variable "
            "RONDO_TEST_NONE is not set; set it, or write ${oc.env:RONDO_TEST_NONE,default}");
}

TEST(References, NowIsTheTimeThatAllRanksAreGiven) {
  const ConfigFolder folder = folder_of("");
  setenv("TZ", "UTC", 1);
  const Resolved resolved = compose(folder.path(), {"log.dir=${now:%Y-%m-%d}/x"}, 1700000000);
  EXPECT_EQ(parse_config(resolved).log.dir, "2023-11-14/x");
  EXPECT_EQ(error_of([&] { compose(folder.path(), {"log.dir=${now:%Y-%Q}"}, 1700000000); }),
            "override 'log.dir=${now:%Y-%Q}': ${now:%Y-%Q}: there is no '%Q'; year, month and day "
            "are %Y-%m-%d, the time is %H-%M-%S");
}

TEST(References, AnEscapedOneIsTextAndStaysSoWhenItIsWrittenDown) {
  const ConfigFolder folder = folder_of("");
  const Config config = config_of(folder, {"log.dir=runs/\\${x}"});
  EXPECT_EQ(config.log.dir, "runs/${x}");
  EXPECT_EQ(parse_config(resolved_from_toml(to_toml(config), "file")).log.dir, "runs/${x}");
}

}  // namespace
}  // namespace rondo
