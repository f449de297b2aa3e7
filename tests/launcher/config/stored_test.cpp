#include "launcher/config/stored.h"

#include <gtest/gtest.h>

#include "tests/launcher/config/config_test_folder.h"

namespace rondo {
namespace {

/// A default model of 4 layers with strategy none, and a group to choose instead of it.
const ConfigFolder& folder() {
  static const ConfigFolder folder(
      {{"rondo.toml", "defaults = [\"model/small\", \"sharing/some\"]\n"},
       {"model/small.toml", small_model},
       {"model/wide.toml", "[model]\nhidden = 128\ndepth = 4\nheads = 4\nffn = 256\nvocab = 256\n"},
       {"sharing/some.toml", "[sharing]\nstrategy = \"cycle\"\nunique = 4\n"}});
  return folder;
}

/// 6 layers in a cycle of 3: no map of the default group.
StoredModel stored_model() {
  StoredModel stored{.file = "stored.h5",
                     .config = "[sharing]\nstrategy = \"cycle\"\nunique = 3\n"};
  stored.model.spec = {
      .hidden = 32, .depth = 6, .heads = 4, .kv_heads = 2, .head_dim = 8, .ffn = 48};
  stored.model.spec.vocab = 64;
  stored.model.sharing = make_sharing_map({.strategy = "cycle", .unique = 3}, 6);
  stored.model.relaxation_rank = 2;
  return stored;
}

Config adopt(std::vector<std::string> overrides, const StoredModel& stored = stored_model()) {
  overrides.push_back("train.init=stored.h5");
  const Resolved resolved = compose(folder().path(), overrides);
  Config config = parse_config(resolved);
  adopt_model(config, resolved, stored);
  return config;
}

TEST(AdoptModel, TheFilesModelReplacesThatOfTheDefaultGroups) {
  const Config config = adopt({"train.steps=7", "sharing.gradient=mean"});
  EXPECT_EQ(config.model, stored_model().model.spec);
  EXPECT_EQ(config.relaxation_rank, 2);
  EXPECT_EQ(config.sharing.strategy, "cycle");
  EXPECT_EQ(config.sharing.unique, 3);
  EXPECT_EQ(config.gradient, "mean") << "how uses add up is the run's choice";
  EXPECT_EQ(config.train.steps, 7);
}

TEST(AdoptModel, AMapWhoseKeysAreNotKeptIsWrittenOut) {
  StoredModel stored = stored_model();
  stored.config = "[sharing]\nstrategy = \"zigzag\"\nunique = 3\n";
  EXPECT_EQ(adopt({}, stored).sharing.map, (std::vector<int>{0, 1, 2, 0, 1, 2}));
}

TEST(AdoptModel, KeysThatSayTheSameAsTheFileAreFine) {
  EXPECT_EQ(adopt({"model.hidden=32", "model.rope_theta=10000", "relaxation.rank=2"}).model.depth,
            6);
  EXPECT_EQ(adopt({"sharing.unique=3"}).sharing.unique, 3);
  EXPECT_EQ(adopt({"~sharing", "~model.kv_heads"}).sharing.unique, 3);
}

TEST(AdoptModel, KeysThatTheUserWroteOtherwiseAreRefusedAtTheirPlace) {
  const auto refusal = [](const std::vector<std::string>& overrides) {
    return error_of([&] { adopt(overrides); });
  };
  EXPECT_EQ(refusal({"model.hidden=64"}),
            "override 'model.hidden=64': with train.init the model of stored.h5 stands, where "
            "model.hidden = 32; drop the key, or make another model of it with rondo convert");
  EXPECT_EQ(refusal({"sharing.unique=2"}).rfind("override 'sharing.unique=2': ", 0), 0u);
  EXPECT_EQ(refusal({"sharing=some"}).rfind(folder().path("sharing/some.toml:3: "), 0), 0u);
  EXPECT_EQ(refusal({"model=wide"}).rfind(folder().path("model/wide.toml:"), 0), 0u);
  EXPECT_EQ(refusal({"relaxation.rank=1"}).rfind("override 'relaxation.rank=1': ", 0), 0u);
}

TEST(AdoptModel, TheDefaultModelIsNotCheckedAgainstWhatTheFileReplaces) {
  EXPECT_EQ(adopt({"sharing.unique=3", "sharing.strategy=sequence", "~sharing"}).model.depth, 6);
  EXPECT_EQ(error_of([] {
              parse_config(compose(folder().path(), {"sharing.unique=5"}));
            }).rfind("override 'sharing.unique=5': sharing.unique = 5", 0),
            0u);
  EXPECT_EQ(
      parse_config(compose(folder().path(), {"sharing.unique=5", "train.init=x"})).sharing.unique,
      5);
}

TEST(ChangedKeys, NamesWhatAResumedRunDoesDifferently) {
  const auto config_of = [](std::vector<std::string> overrides) {
    return parse_config(compose(folder().path(), overrides));
  };
  const std::string before = to_toml(config_of({"train.steps=100"}));
  using Changes = std::vector<std::string>;
  EXPECT_EQ(changed_keys(before, config_of({"train.steps=100"})), Changes{});
  EXPECT_EQ(changed_keys(before, config_of({"train.steps=200", "distributed.zero=1",
                                            "optimizer.betas=[0.8, 0.9]"})),
            (Changes{"train.steps 100 -> 200", "optimizer.betas [0.9, 0.95] -> [0.8, 0.9]",
                     "distributed.zero 0 -> 1"}));
  EXPECT_EQ(changed_keys(before, config_of({"train.steps=100", "log.dir=x", "checkpoint.keep=9",
                                            "cluster.inter_us=1", "model=wide"})),
            Changes{})
      << "where things go, and the model, which is checked elsewhere";
}

}  // namespace
}  // namespace rondo
