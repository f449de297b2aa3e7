#include "launcher/config/compose.h"

#include <gtest/gtest.h>

#include "launcher/config/config.h"
#include "tests/launcher/config/config_test_folder.h"

namespace rondo {
namespace {

ConfigFolder two_groups() {
  return ConfigFolder(ConfigFiles{
      {"rondo.toml", "defaults = [\"model/small\", \"run/short\"]\n\n[train]\nseed = 7\n"},
      {"model/small.toml", small_model},
      {"model/wide.toml", "[model]\nhidden = 128\ndepth = 4\nheads = 4\nffn = 256\nvocab = 256\n"},
      {"run/short.toml", "[train]\nsteps = 5\nseed = 1\n\n[model]\nffn = 32\n"},
      {"run/long.toml", "[train]\nsteps = 500\n"},
  });
}

Config config_of(const ConfigFolder& folder, const std::vector<std::string>& overrides = {}) {
  return parse_config(compose(folder.path(), overrides));
}

TEST(Compose, LaterGroupsWinOverEarlierOnesAndTheMainFileOverBoth) {
  const ConfigFolder folder = two_groups();
  const Config config = config_of(folder);
  EXPECT_EQ(config.model.ffn, 32);
  EXPECT_EQ(config.model.hidden, 64);
  EXPECT_EQ(config.train.steps, 5);
  EXPECT_EQ(config.train.seed, 7u);
}

TEST(Compose, AGroupOverrideReplacesTheWholeFileOfItsGroup) {
  const ConfigFolder folder = two_groups();
  const Config config = config_of(folder, {"run=long"});
  EXPECT_EQ(config.model.ffn, 128);
  EXPECT_EQ(config.train.steps, 500);
}

TEST(Compose, AGroupChoiceKeepsItsPlaceSoThatKeyOverridesWinInAnyOrder) {
  const ConfigFolder folder = two_groups();
  const std::string before = to_toml(config_of(folder, {"model.hidden=256", "model=wide"}));
  const std::string after = to_toml(config_of(folder, {"model=wide", "model.hidden=256"}));
  EXPECT_EQ(before, after);
  const Config config = config_of(folder, {"model=wide", "model.hidden=256"});
  EXPECT_EQ(config.model.hidden, 256);
  EXPECT_EQ(config.model.ffn, 32) << "run/short comes after the model group";
}

TEST(Compose, TheLastOverrideOfAKeyWins) {
  const ConfigFolder folder = two_groups();
  EXPECT_EQ(config_of(folder, {"train.steps=2", "train.steps=3"}).train.steps, 3);
  EXPECT_EQ(config_of(folder, {"train.steps=2", "~train.steps"}).train.steps, 100);
  EXPECT_EQ(config_of(folder, {"~train.steps", "+train.steps=4"}).train.steps, 4);
}

TEST(Compose, AGroupThatIsNotInTheDefaultsListIsAddedBehindTheOthers) {
  const ConfigFolder folder = two_groups();
  folder.write("data/ordered.toml", "[data]\nshuffle = false\n[model]\nffn = 48\n");
  EXPECT_TRUE(config_of(folder).data.shuffle);
  EXPECT_FALSE(config_of(folder, {"data=ordered"}).data.shuffle);
  EXPECT_EQ(config_of(folder, {"data=ordered"}).model.ffn, 48);
}

TEST(Compose, DeletionsFallBackToTheDefaultsOfKeysTablesAndGroups) {
  const ConfigFolder folder = two_groups();
  EXPECT_EQ(config_of(folder, {"~train"}).train.steps, TrainConfig{}.steps);
  EXPECT_EQ(config_of(folder, {"~train"}).train.seed, 0u);
  EXPECT_EQ(config_of(folder, {"~run"}).model.ffn, 128) << "run/short must not be read";
}

TEST(Compose, TheFirstFolderOfTheSearchPathWinsAndTheOthersAddOptions) {
  const ConfigFolder shipped = two_groups();
  const ConfigFolder mine(ConfigFiles{{"run/short.toml", "[train]\nsteps = 9\n"},
                                      {"model/mine.toml", small_model + "kv_heads = 2\n"}});
  const std::string path = mine.path() + ":" + shipped.path();
  EXPECT_EQ(parse_config(compose(path, {})).train.steps, 9);
  EXPECT_EQ(parse_config(compose(path, {"model=mine"})).model.kv_heads, 2);
  EXPECT_EQ(config_options(path, "model"), (std::vector<std::string>{"mine", "small", "wide"}));
}

TEST(Compose, AWholeValueReferenceKeepsTheTypeAndOneInsideTextIsText) {
  const ConfigFolder folder = two_groups();
  const Config config =
      config_of(folder, {"model.ffn=${model.hidden}",
                         "log.dir=runs/${model.family}-${train.steps}-${log.every}",
                         "optimizer.betas=[0.5,${data.validation}]", "data.validation=0.25"});
  EXPECT_EQ(config.model.ffn, 64);
  EXPECT_EQ(config.log.dir, "runs/llama-5-10");
  EXPECT_EQ(config.optimizer.adamw.beta2, 0.25);
}

TEST(Compose, ReferencesReachThroughReferencesAndSeeOverridesAndDefaults) {
  const ConfigFolder folder = two_groups();
  folder.write("run/short.toml",
               "[train]\nglobal_batch = \"${train.micro_batch}\"\nsteps = \"${log.every}\"\n");
  const Config config = config_of(folder, {"train.micro_batch=${train.steps}", "log.every=6"});
  EXPECT_EQ(config.train.steps, 6);
  EXPECT_EQ(config.train.global_batch, 6);
}

TEST(Compose, AReferenceKeepsThePlaceWhereItWasWritten) {
  const ConfigFolder folder = two_groups();
  folder.write("run/short.toml", "[train]\nsteps = \"${model.family}\"\n");
  EXPECT_EQ(error_of([&] { config_of(folder); }),
            folder.path("run/short.toml") + ":2: train.steps = \"llama\": expected an integer");
  EXPECT_EQ(error_of([&] { config_of(folder, {"train.steps=${model.rope_theta}"}); }),
            "override 'train.steps=${model.rope_theta}': train.steps = 10000.0: expected an "
            "integer");
}

TEST(Compose, AReferenceCycleIsAnErrorThatShowsTheCycle) {
  const ConfigFolder folder = two_groups();
  folder.write("run/short.toml", "[model]\nffn = \"${model.vocab}\"\nvocab = \"${model.ffn}\"\n");
  EXPECT_EQ(error_of([&] { config_of(folder); }),
            folder.path("run/short.toml") +
                ":3: interpolation cycle model.ffn -> model.vocab -> model.ffn; give one of them a "
                "value");
  EXPECT_NE(error_of([&] {
              config_of(folder, {"log.dir=a${log.dir}"});
            }).find("override 'log.dir=a${log.dir}': interpolation cycle log.dir -> log.dir"),
            std::string::npos);
}

TEST(Compose, AReferenceToNothingSuggestsTheNearestKey) {
  const ConfigFolder folder = two_groups();
  EXPECT_EQ(error_of([&] { config_of(folder, {"model.ffn=${model.hiden}"}); }),
            "override 'model.ffn=${model.hiden}': ${model.hiden} is not a key; did you mean "
            "${model.hidden}?");
  EXPECT_EQ(error_of([&] { config_of(folder, {"log.dir=a${model.ffn"}); }),
            "override 'log.dir=a${model.ffn': 'a${model.ffn' has ${ without }");
}

TEST(Compose, AnUnknownKeyIsNamedWithItsLineAndTheNearestKey) {
  const ConfigFolder folder = two_groups();
  folder.write("run/short.toml", "# a comment\n[train]\nsteps = 3\nmicrobatch = 2\n");
  EXPECT_EQ(error_of([&] { config_of(folder); }),
            folder.path("run/short.toml") +
                ":4: train.microbatch is not a key; did you mean train.micro_batch?");
  folder.write("run/short.toml", "train = 3\n");
  EXPECT_NE(error_of([&] { config_of(folder); }).find("short.toml:1: train is not a key"),
            std::string::npos);
  folder.write("run/short.toml", "[model.hidden]\nsize = 3\n");
  EXPECT_NE(error_of([&] { config_of(folder); }).find(":2: model.hidden.size is not a key"),
            std::string::npos);
}

TEST(Compose, AnUnknownOverrideKeySuggestsTheNearestKeyOrGroup) {
  const ConfigFolder folder = two_groups();
  const auto message = [&](const std::string& text) {
    return error_of([&] { config_of(folder, {text}); });
  };
  EXPECT_EQ(message("model.hiden=3"),
            "override 'model.hiden=3': model.hiden is not a key; did you mean model.hidden?");
  EXPECT_EQ(message("+model.dept=3"),
            "override '+model.dept=3': model.dept is not a key; did you mean model.depth?");
  EXPECT_EQ(message("~train.step"),
            "override '~train.step': train.step is not a key; did you mean train.steps?");
  EXPECT_EQ(
      message("optimizer.steps=3"),
      "override 'optimizer.steps=3': optimizer.steps is not a key; did you mean train.steps?");
  EXPECT_EQ(message("modle=wide"),
            "override 'modle=wide': modle is neither a group nor a key; did you mean model?");
  EXPECT_EQ(message("hidden=3"),
            "override 'hidden=3': hidden is neither a group nor a key; did you mean model.hidden?");
  EXPECT_EQ(message("distributed.rout=auto"),
            "override 'distributed.rout=auto': distributed.rout is not a key; did you mean "
            "distributed.route?");
}

TEST(Compose, AnUnknownOptionListsTheOptionsAndTheNearest) {
  const ConfigFolder folder = two_groups();
  EXPECT_EQ(error_of([&] { config_of(folder, {"model=smal"}); }),
            "override 'model=smal': group model has no option smal; did you mean small? options: "
            "small, wide");
  folder.write("rondo.toml", "# list\ndefaults = [\"model/small\", \"run/shrt\"]\n");
  EXPECT_EQ(error_of([&] { config_of(folder); }),
            folder.path("rondo.toml") +
                ":2: group run has no option shrt; did you mean short? options: long, short");
  folder.write("rondo.toml", "defaults = [\"modell/small\"]\n");
  EXPECT_EQ(error_of([&] { config_of(folder); }),
            folder.path("rondo.toml") + ":1: modell is not a group; did you mean model?");
  folder.write("rondo.toml", "defaults = [\"small\"]\n");
  EXPECT_EQ(error_of([&] { config_of(folder); }),
            folder.path("rondo.toml") +
                ":1: defaults lists \"group/option\", such as \"model/llama_tiny\", not \"small\"");
}

TEST(Compose, TwoOptionsOfOneGroupAmongTheDefaultsAreRefused) {
  const ConfigFolder folder = two_groups();
  folder.write("rondo.toml", "defaults = [\"model/small\", \"run/short\", \"model/wide\"]\n");
  EXPECT_EQ(error_of([&] { config_of(folder); }),
            folder.path("rondo.toml") +
                ":1: defaults lists two options of the group model: small and wide; keep one");
}

TEST(Compose, AFarKeyIsRefusedWithoutASuggestion) {
  const ConfigFolder folder = two_groups();
  for (const char* text : {"elephant=3", "zoo.elephant=3"}) {
    const std::string message = error_of([&] { config_of(folder, {text}); });
    EXPECT_EQ(message.find("did you mean"), std::string::npos) << message;
    EXPECT_NE(message.find("--help-config"), std::string::npos) << message;
  }
}

TEST(Compose, ASyntaxErrorIsPlacedByLineAndColumn) {
  const ConfigFolder folder = two_groups();
  folder.write("run/short.toml", "[train]\nsteps = = 3\n");
  EXPECT_EQ(error_of([&] { config_of(folder); }).rfind(folder.path("run/short.toml") + ":2:9: ", 0),
            0u);
  EXPECT_EQ(
      error_of([] { resolved_from_toml("[train\n", "step-1.h5"); }).rfind("step-1.h5:1:7: ", 0),
      0u);
}

TEST(Compose, AValueThatNoKeyCanHoldIsRefusedWithItsLine) {
  const ConfigFolder folder = two_groups();
  folder.write("run/short.toml", "[train]\nsteps = 2024-01-01\n");
  EXPECT_NE(error_of([&] { config_of(folder); }).find("short.toml:2: train.steps holds a date"),
            std::string::npos);
}

TEST(Compose, AFolderWithoutTheMainFileIsNamed) {
  const ConfigFolder folder(ConfigFiles{{"model/small.toml", small_model}});
  EXPECT_EQ(error_of([&] { compose(folder.path(), {}); }),
            "no rondo.toml in '" + folder.path() +
                "'; name a config folder with --config-dir or RONDO_CONFIGS");
}

TEST(Compose, AFolderOfOptionsAloneAddsToTheBuiltInOnes) {
  const ConfigFolder mine(ConfigFiles{{"run/mine.toml", "[train]\nsteps = 9\n"}});
  const std::string folders = before_built_in_configs(mine.path());
  EXPECT_EQ(parse_config(compose(folders, {"run=mine", "model=llama_tiny"})).train.steps, 9);
  EXPECT_EQ(error_of([&] { compose(mine.path("nowhere"), {}); }),
            "there is no config folder '" + mine.path("nowhere") +
                "'; name one with --config-dir or RONDO_CONFIGS");
}

TEST(Compose, TheDefaultFolderIsTheEnvironmentsElseTheLocalOneInFrontOfTheSources) {
  const ConfigFolder work(ConfigFiles{{"configs/model/mine.toml", small_model}});
  const std::filesystem::path before = std::filesystem::current_path();
  unsetenv("RONDO_CONFIGS");
  const std::string in_source = default_config_dir();
  std::filesystem::current_path(work.path());
  const std::string beside_local = default_config_dir();
  std::filesystem::current_path("configs");
  const std::string elsewhere = default_config_dir();
  setenv("RONDO_CONFIGS", "/", 1);
  const std::string from_environment = default_config_dir();
  unsetenv("RONDO_CONFIGS");
  std::filesystem::current_path(before);

  EXPECT_EQ(in_source, "configs") << "tests run in the source folder";
  EXPECT_TRUE(std::filesystem::equivalent(elsewhere, "configs"));
  EXPECT_EQ(beside_local, "configs:" + elsewhere);
  EXPECT_EQ(from_environment, "/:" + elsewhere);
  EXPECT_EQ(before_built_in_configs("/:" + elsewhere), "/:" + elsewhere) << "only once";
}

}  // namespace
}  // namespace rondo
