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

/// The config of a run of 4 steps, and what becomes of its checkpoint under other values.
struct Resumed {
  std::vector<std::string> base = {"train.steps=4", "optimizer.lr=1e-3", "optimizer.warmup=0",
                                   "optimizer.min_ratio=0.1"};
  Config of(const std::vector<std::string>& overrides) const {
    std::vector<std::string> all = base;
    all.insert(all.end(), overrides.begin(), overrides.end());
    return parse_config(compose(folder().path(), all));
  }
  std::string stored() const { return to_toml(of({})); }
};

TEST(CheckChangesCount, ARunThatIsOverTakesNoOtherValues) {
  const Resumed run;
  EXPECT_NO_THROW(check_changes_count(run.of({}), run.stored(), 4, "f.h5"));
  EXPECT_NO_THROW(check_changes_count(run.of({"log.every=1"}), run.stored(), 4, "f.h5"));
  const std::string message = error_of([&] {
    check_changes_count(run.of({"optimizer.lr=1", "train.seed=9"}), run.stored(), 4, "f.h5");
  });
  for (const char* part : {"f.h5", "train.seed 0 -> 9", "optimizer.lr 0.001 -> 1.0", "log.dir"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
  }
  EXPECT_NO_THROW(
      check_changes_count(run.of({"train.steps=5", "optimizer.lr=1"}), run.stored(), 4, "f.h5"));
}

TEST(CheckChangesCount, AResumedRunRefusesWhatDecidesNothingAnyMore) {
  const Resumed run;
  const auto check = [&](const std::vector<std::string>& overrides) {
    check_changes_count(run.of(overrides), run.stored(), 2, "f.h5");
  };
  EXPECT_NO_THROW(check({"train.seed=9"})) << "the order of samples";
  EXPECT_NE(error_of([&] {
              check({"train.seed=9", "data.shuffle=false"});
            }).find("train.seed"),
            std::string::npos);
  EXPECT_NO_THROW(check({"optimizer.warmup=3"}));
  EXPECT_NE(error_of([&] {
              check({"optimizer.schedule=constant", "optimizer.min_ratio=0.5"});
            }).find("optimizer.min_ratio 0.1 -> 0.5"),
            std::string::npos);
}

TEST(RateJump, ALongerCosineIsToldWithBothRates) {
  const Resumed run;
  EXPECT_EQ(rate_jump(run.of({}), run.stored(), 2), "");
  EXPECT_EQ(rate_jump(run.of({"train.steps=4", "train.seed=2"}), run.stored(), 2), "");
  const std::string line = rate_jump(run.of({"train.steps=40"}), run.stored(), 4);
  EXPECT_EQ(line.rfind("warning: the rate of step 5 is 0.0009", 0), 0u) << line;
  EXPECT_NE(line.find("it was 0.0001 at step 4, and would be 0.0001 with"), std::string::npos)
      << line;
}

}  // namespace
}  // namespace rondo
