#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "launcher/config/schema.h"
#include "tests/launcher/config/config_test_folder.h"

namespace rondo {
namespace {

Config parse(const std::vector<std::string>& overrides) {
  static const ConfigFolder folder(
      {{"rondo.toml", "defaults = [\"model/small\"]\n"}, {"model/small.toml", small_model}});
  return parse_config(compose(folder.path(), overrides));
}

std::string refusal(const std::vector<std::string>& overrides) {
  return error_of([&] { parse(overrides); });
}

TEST(ParseConfig, FillsEveryKeyOfTheContractFromOverrides) {
  const Config c = parse({"model.family=gemma",
                          "model.kv_heads=2",
                          "model.head_dim=32",
                          "sharing.strategy=cycle",
                          "sharing.unique=2",
                          "sharing.prelude=1",
                          "sharing.coda=1",
                          "sharing.norms=none",
                          "sharing.gradient=mean",
                          "relaxation.rank=8",
                          "data.blend=[a,0.7,b,1]",
                          "train.seed=9",
                          "train.precision=float64",
                          "train.recompute=layer",
                          "optimizer.betas=[0.8,0.99]",
                          "optimizer.schedule=constant",
                          "distributed.zero=1",
                          "checkpoint.resume=never",
                          "cluster.inter_us=4",
                          "train.steps=12",
                          "log.tensorboard=false",
                          "optimizer.lr=1"});
  EXPECT_EQ(c.model.family, "gemma");
  EXPECT_EQ(c.model.kv_heads, 2);
  EXPECT_EQ(c.model.head_dim, 32);
  EXPECT_EQ(c.sharing.strategy, "cycle");
  EXPECT_EQ(c.sharing.prelude + c.sharing.coda, 2);
  EXPECT_EQ(c.sharing.norms, "none");
  EXPECT_EQ(c.gradient, "mean");
  EXPECT_EQ(c.relaxation_rank, 8);
  ASSERT_EQ(c.data.blend.size(), 2u);
  EXPECT_EQ(c.data.blend[1].path, "b");
  EXPECT_EQ(c.data.blend[0].weight, 0.7);
  EXPECT_EQ(c.train.seed, 9u);
  EXPECT_EQ(c.optimizer.adamw.beta1, 0.8);
  EXPECT_EQ(c.optimizer.adamw.beta2, 0.99);
  EXPECT_EQ(c.optimizer.rate.lr, 1.0);
  EXPECT_EQ(c.optimizer.rate.schedule, "constant");
  EXPECT_EQ(c.optimizer.rate.steps, 12) << "the schedule ends with the run";
  EXPECT_EQ(c.distributed.zero, 1);
  EXPECT_EQ(c.checkpoint.resume, "never");
  EXPECT_EQ(c.cluster.inter_us, 4.0);
  EXPECT_FALSE(c.log.tensorboard);
}

TEST(ParseConfig, AbsentOrZeroHeadSizesFollowFromTheOthers) {
  EXPECT_EQ(parse({}).model.head_dim, 16);
  EXPECT_EQ(parse({}).model.kv_heads, 4);
  EXPECT_EQ(parse({"model.head_dim=0", "model.heads=2"}).model.head_dim, 32);
}

TEST(ParseConfig, AWrongTypeSaysWhatWasExpected) {
  EXPECT_EQ(refusal({"train.steps=many"}),
            "override 'train.steps=many': train.steps = \"many\": expected an integer");
  EXPECT_EQ(refusal({"train.steps=1.5"}),
            "override 'train.steps=1.5': train.steps = 1.5: expected an integer");
  EXPECT_EQ(refusal({"optimizer.lr=fast"}),
            "override 'optimizer.lr=fast': optimizer.lr = \"fast\": expected a number");
  EXPECT_EQ(refusal({"log.dir=[3]"}),
            "override 'log.dir=[3]': log.dir = [3]: expected text in \"quotes\"");
  EXPECT_EQ(refusal({"data.shuffle=1"}),
            "override 'data.shuffle=1': data.shuffle = 1: expected true or false");
  EXPECT_EQ(refusal({"optimizer.betas=0.9"}),
            "override 'optimizer.betas=0.9': optimizer.betas = 0.9: expected a list of 2 numbers, "
            "such as [0.9, 0.95]");
  EXPECT_EQ(refusal({"sharing.map=[0,x]"}),
            "override 'sharing.map=[0,x]': sharing.map = [0, \"x\"]: expected a list of integers, "
            "such as [0, 1, 0, 1]");
  EXPECT_NE(refusal({"data.blend=[a,0.5,b]"}).find("expected prefixes and weights in turn"),
            std::string::npos);
  EXPECT_NE(refusal({"train.seed=-1"}).find("expected an integer from 0"), std::string::npos);
  EXPECT_NE(refusal({"sharing.unique=3000000000"}).find("31 bits"), std::string::npos);
}

/// A value that no run can have, and what the message must say.
struct Impossible {
  std::string override;
  std::string complaint;
};

TEST(ParseConfig, AnImpossibleValueIsRefusedWithItsOverrideAndTheReason) {
  const std::vector<Impossible> table = {
      {"model.hidden=0", "must be at least 1"},
      {"model.vocab=-3", "must be at least 1"},
      {"model.kv_heads=-1", "must be at least 0"},
      {"model.norm_eps=0", "must be greater than 0"},
      {"sharing.prelude=-1", "must be at least 0"},
      {"sharing.map=[0,-1]", "must be at least 0"},
      {"relaxation.rank=-1", "must be at least 0"},
      {"data.sequence=0", "must be at least 1"},
      {"data.validation=1.0", "must lie in [0, 1)"},
      {"data.blend=[a,0]", "must be greater than 0"},
      {"train.steps=0", "must be at least 1"},
      {"train.micro_batch=0", "must be at least 1"},
      {"train.global_batch=9223372036854775807", "must be at most 16777216"},
      {"train.threads=0", "must be at least 1"},
      {"optimizer.lr=nan", "must be at least 0"},
      {"optimizer.lr=inf", "must be at least 0"},
      {"optimizer.betas=[0.9,1.0]", "must lie in [0, 1)"},
      {"optimizer.betas=[-0.1,0.9]", "must lie in [0, 1)"},
      {"optimizer.eps=0", "must be greater than 0"},
      {"optimizer.clip=-1", "must be at least 0"},
      {"optimizer.min_ratio=1.5", "must lie in [0, 1]"},
      {"distributed.pipeline=-1", "must be at least 0"},
      {"distributed.pipeline=aut", "expected an integer"},
      {"distributed.route=lop",
       "did you mean loop? possible: auto, contiguous, loop, vee, mixed, "},
      {"distributed.passes=-1", "must be at least 0"},
      {"distributed.schedule=1f1", "did you mean 1f1b? possible: auto, 1f1b, interleaved, "},
      {"distributed.deadline_s=0", "must be greater than 0"},
      {"checkpoint.keep=0", "must be at least 1"},
      {"checkpoint.keep_best=true", "needs held-out tokens: set data.validation"},
      {"optimizer.decay_share=0", "must lie in (0, 1]"},
      {"optimizer.decay_share=0.5", "needs optimizer.schedule=trapezoid"},
      {"optimizer.decay_steps=0.5", "expected an integer"},
      {"train.exit_after=5", "expected a time such as 45m, 2h or 1h30m"},
      {"train.exit_after=0s", "expected a time such as"},
      {"train.exit_at_step=100", "is not before the last step, train.steps = 100"},
      {"train.nonfinite_limit=5", "needs train.on_nonfinite=skip"},
      {"train.on_spike=rewind", "goes back to checkpoints; set checkpoint.every"},
      {"train.max_rewinds=5", "needs train.on_spike=rewind"},
      {"cluster.device_tflops=0", "must be greater than 0"},
      {"model.rotary_fraction=1.5", "must lie in [0, 1]"},
      {"model.family=lama",
       "did you mean llama? possible: gemma, gpt2, gpt_neox, llama, qwen2, qwen3"},
      {"train.precision=float23", "did you mean float32? possible: float32, float64, bfloat16"},
      {"train.recompute=layers", "did you mean layer? possible: none, layer"},
      {"optimizer.schedule=cosin",
       "did you mean cosine? possible: constant, cosine, inverse_sqrt, "
       "linear, trapezoid"},
      {"distributed.zero=3", "did you mean 1? possible: 0, 1"},
      {"distributed.backend=ncl", "did you mean nccl? possible: mpi, nccl"},
      {"sharing.gradient=summ", "did you mean sum? possible: sum, mean, owner"},
      {"sharing.strategy=cylce", "did you mean cycle? possible: "},
      {"sharing.attention=cylce:2", "did you mean cycle? possible: "},
  };
  for (const auto& [override, complaint] : table) {
    const std::string key = override.substr(0, override.find('='));
    const std::string message = refusal({override});
    EXPECT_EQ(message.rfind("override '" + override + "': " + key + " = ", 0), 0u) << message;
    EXPECT_NE(message.find(complaint), std::string::npos) << message;
  }
}

TEST(ParseConfig, AnImpossibleValueInAFileIsPlacedByItsLine) {
  const ConfigFolder folder(ConfigFiles{{"rondo.toml", "[model]\nhidden = 64\n\nheads = -4\n"}});
  EXPECT_EQ(error_of([&] { parse_config(compose(folder.path(), {})); }),
            folder.path("rondo.toml") + ":4: model.heads = -4: must be at least 1");
}

TEST(ParseConfig, ASizeThatNobodySetIsRefused) {
  const ConfigFolder folder(ConfigFiles{{"rondo.toml", "[train]\nsteps = 4\n"}});
  EXPECT_EQ(error_of([&] { parse_config(compose(folder.path(), {})); }),
            "default value: model.hidden is required and must be at least 1; set it");
  EXPECT_EQ(refusal({"~model.hidden"}),
            "override '~model.hidden': model.hidden is required and must be at least 1; set it");
}

TEST(ParseConfig, KeysThatDoNotGoTogetherAreRefusedWithAFix) {
  EXPECT_EQ(refusal({"model.hidden=70"}),
            "override 'model.hidden=70': model.heads = 4 does not divide model.hidden = 70; set "
            "model.heads to 1 or 5, or set model.hidden to 64 or 72, or set model.head_dim");
  EXPECT_EQ(refusal({"model.kv_heads=2", "model.heads=7"}),
            "override 'model.heads=7': model.heads = 7 does not divide model.hidden = 64; set "
            "model.heads to 4 or 8, or set model.head_dim")
      << "2 key heads do not divide 7, whatever the width";
  EXPECT_EQ(parse({"model.hidden=70", "model.head_dim=16"}).model.head_dim, 16);
  EXPECT_EQ(refusal({"model.head_dim=15"}),
            "override 'model.head_dim=15': model.head_dim = 15 is odd, but rotary positions turn "
            "pairs; set it to 14 or 16");
  EXPECT_NE(refusal({"model.hidden=12"}).find("model.head_dim = 3 is odd"), std::string::npos);
  EXPECT_EQ(refusal({"model.family=gpt2", "model.positions=100"}),
            "override 'model.positions=100': model.positions = 100 is less than data.sequence = "
            "256, and gpt2 learns a row for each position; set model.positions to 256 or more");
  EXPECT_EQ(parse({"model.family=gpt2", "model.positions=256", "model.head_dim=15"}).model.head_dim,
            15)
      << "no pairs to turn";
  EXPECT_NE(refusal({"model.positions=256"}).find("llama turns positions"), std::string::npos);
  EXPECT_EQ(refusal({"model.kv_heads=3"}),
            "override 'model.kv_heads=3': model.kv_heads = 3 does not divide model.heads = 4; set "
            "it to 2 or 4");
  EXPECT_EQ(refusal({"train.global_batch=12"}),
            "override 'train.global_batch=12': train.micro_batch = 8 does not divide "
            "train.global_batch = 12; set it to 6 or 12");
  EXPECT_NE(refusal({"data.path=a", "data.blend=[b,1]"})
                .find("override 'data.blend=[b,1]': data.path and data.blend are both set"),
            std::string::npos);
  EXPECT_NE(refusal({"train.batch_ramp_from=4"}).find("go together; set both, or none"),
            std::string::npos);
  EXPECT_NE(refusal({"train.batch_ramp_from=3", "train.batch_ramp_steps=5"})
                .find("must divide train.global_batch = 8, and be less"),
            std::string::npos);
  EXPECT_NE(refusal({"optimizer.decay_steps=5", "optimizer.warmup=5"})
                .find("optimizer.decay_steps = 5 must be above optimizer.warmup = 5"),
            std::string::npos);
  EXPECT_NE(refusal({"data.validation=0.1", "data.validation_path=v"})
                .find("data.validation and data.validation_path are both set"),
            std::string::npos);
  EXPECT_NE(refusal({"data.validation_path=[v,w,v]"}).find("names v twice"), std::string::npos);
}

TEST(ParseConfig, TheLastWrittenOfTheKeysThatClashIsNamed) {
  const std::string message = refusal({"model.kv_heads=3", "model.heads=8"});
  EXPECT_EQ(message.rfind("override 'model.heads=8': model.kv_heads = 3", 0), 0u) << message;
  EXPECT_NE(message.find("set it to 2 or 4"), std::string::npos);
}

TEST(ParseConfig, TheLaterOfTwoFilesThatClashIsNamed) {
  const ConfigFolder folder(
      ConfigFiles{{"rondo.toml", "defaults = [\"model/small\", \"run/odd\"]\n"},
                  {"model/small.toml", small_model},
                  {"run/odd.toml", "[model]\nheads = 3\n"}});
  const std::string message = error_of([&] { parse_config(compose(folder.path(), {})); });
  EXPECT_EQ(message.rfind(folder.path("run/odd.toml") + ":2: model.heads = 3", 0), 0u) << message;
}

TEST(ParseConfig, ABareWordIsTextWhereAKeyTakesText) {
  for (const char* word : {"2024", "1e3", "1_000", "007", "true", "0x10", "-1", "+1"}) {
    EXPECT_EQ(parse({fmt::format("log.dir={}", word)}).log.dir, word);
    EXPECT_EQ(parse({fmt::format("data.blend=[{},1.0]", word)}).data.blend[0].path, word);
  }
  EXPECT_EQ(parse({"log.dir='2024'"}).log.dir, "2024");
  const ConfigFolder folder({{"rondo.toml", small_model + "[log]\ndir = 2024\n"}});
  EXPECT_NE(error_of([&] { parse_config(compose(folder.path(), {})); }).find("\"quotes\""),
            std::string::npos)
      << "a file says what it means";
  EXPECT_EQ(parse({"distributed.zero=+1"}).distributed.zero, 1) << "a number stays one";
}

TEST(ParseConfig, PathsMayBeginAtHomeAndHaveNamesThatFileSystemsTake) {
  const std::string home = std::getenv("HOME");
  EXPECT_EQ(parse({"log.dir=~/x"}).log.dir, home + "/x");
  EXPECT_EQ(parse({"checkpoint.dir=~"}).checkpoint.dir, home);
  EXPECT_EQ(parse({"train.init=./~/x"}).train.init, "./~/x");
  EXPECT_EQ(parse({"data.blend=[~/a,1.0]"}).data.blend[0].path, home + "/a");
  EXPECT_NE(refusal({"data.path=~nobody/x"}).find("./~nobody"), std::string::npos);
  const std::string name(300, 'x');
  for (const char* key : {"log.dir", "checkpoint.dir", "train.init", "data.validation_path"}) {
    const std::string message = refusal({fmt::format("{}=a/{}/b", key, name)});
    EXPECT_NE(message.find("has 300 bytes"), std::string::npos) << message;
  }
  std::string deep;
  for (int i = 0; i < 30; ++i) deep += std::string(150, 'x') + "/";
  EXPECT_NE(refusal({"log.dir=" + deep}).find("the path has 4530 bytes"), std::string::npos);
}

TEST(ParseConfig, ASharingMapThatDoesNotExistIsPlaced) {
  EXPECT_EQ(refusal({"sharing.strategy=cycle", "sharing.unique=5"})
                .rfind("override 'sharing.unique=5': ", 0),
            0u);
  EXPECT_EQ(refusal({"sharing.strategy=explicit", "sharing.map=[0,1,0]"})
                .rfind("override 'sharing.map=[0,1,0]': ", 0),
            0u);
  EXPECT_EQ(refusal({"sharing.prelude=4"}).rfind("override 'sharing.prelude=4': ", 0), 0u);
}

TEST(ParseConfig, LeavesToThePlannerWhatIsAuto) {
  const Config open = parse({"distributed.pipeline=auto", "distributed.passes=auto"});
  EXPECT_EQ(open.distributed.pipeline, 0);
  EXPECT_EQ(open.distributed.passes, 0);
  EXPECT_EQ(open.distributed.route, "auto");
  EXPECT_EQ(open.distributed.schedule, "auto");
  EXPECT_NE(to_toml(open).find("pipeline = \"auto\""), std::string::npos);
  EXPECT_EQ(parse({}).distributed.pipeline, 1);
  EXPECT_EQ(parse({"distributed.route='++-'"}).distributed.route, "++-");
}

TEST(CheckForWorld, AcceptsWorldsThatSplitTheBatchEvenly) {
  const Config config = parse({"train.global_batch=24", "train.micro_batch=2"});
  for (const int world : {1, 2, 3, 4, 6, 12}) EXPECT_NO_THROW(check_for_world(config, world));
}

TEST(CheckForWorld, RefusesWhatCannotRunAndNamesValuesThatCan) {
  const auto message = [](const std::vector<std::string>& overrides, int world) {
    return error_of([&] { check_for_world(parse(overrides), world); });
  };
  EXPECT_EQ(message({"distributed.pipeline=3"}, 4),
            "distributed.pipeline = 3 does not divide the 4 ranks of this run; set it to 2 or 4");
  EXPECT_EQ(
      message({"distributed.pipeline=2"}, 1),
      "distributed.pipeline = 2 does not divide the 1 rank of this run; set it to 1, or start "
      "mpirun -n 2");
  EXPECT_EQ(message({"distributed.pipeline=2", "train.global_batch=3", "train.micro_batch=1"}, 4),
            "train.global_batch = 3 does not divide over 2 data replicas; set it to 2 or 4");
  EXPECT_EQ(message({"train.global_batch=10", "train.micro_batch=1"}, 4),
            "train.global_batch = 10 does not divide over 4 data replicas; set it to 8 or 12, or "
            "start 2 or 5 ranks");
  EXPECT_EQ(message({"train.global_batch=8", "train.micro_batch=8"}, 4),
            "train.micro_batch = 8 does not divide the 2 sequences of a replica "
            "(train.global_batch = 8 over 4 replicas); set it to 2");
}

TEST(CheckForWorld, EveryValueThatAMessageNamesWorks) {
  for (int batch = 1; batch <= 24; ++batch) {
    for (int world = 1; world <= 9; ++world) {
      const Config config =
          parse({"train.global_batch=" + std::to_string(batch), "train.micro_batch=1"});
      if (batch % world == 0) {
        EXPECT_NO_THROW(check_for_world(config, world));
        continue;
      }
      const std::string message = error_of([&] { check_for_world(config, world); });
      const size_t at = message.find("set it to ") + 10;
      Config mended = config;
      mended.train.global_batch = std::stoi(message.substr(at));
      EXPECT_NO_THROW(check_for_world(mended, world)) << message;
      const size_t ranks = message.find("start ") + 6;
      EXPECT_NO_THROW(check_for_world(config, std::stoi(message.substr(ranks)))) << message;
    }
  }
}

TEST(ToToml, ReadsBackToTheSameConfigWithEveryKeySet) {
  const Resolved resolved = [] {
    const ConfigFolder folder(ConfigFiles{{"rondo.toml", small_model}});
    return compose(
        folder.path(),
        {"sharing.strategy=explicit", "sharing.map=[0,1,0,1]",
         "data.blend=[a,0.1,'b \"c\"\\d',0.30000000000000004]", "optimizer.lr=1e-7",
         "optimizer.eps=1", "log.dir='tab\there ünï \"q\"'", "train.init=\"line\\nbreak\"",
         "train.seed=9223372036854775807", "optimizer.betas=[0,0.123456789012345678]"});
  }();
  const std::string text = to_toml(resolved);
  const Resolved again = resolved_from_toml(text, "checkpoint");
  EXPECT_EQ(to_toml(again), text);
  const Config config = parse_config(again);
  EXPECT_EQ(config.data.blend[1].path, "b \"c\"\\d");
  EXPECT_EQ(config.data.blend[1].weight, 0.30000000000000004);
  EXPECT_EQ(config.log.dir, "tab\there ünï \"q\"");
  EXPECT_EQ(config.train.init, "line\nbreak");
  EXPECT_EQ(config.optimizer.adamw.beta2, 0.123456789012345678);
  for (const ConfigField& field : config_schema()) {
    EXPECT_TRUE(again.entries.contains(field.key)) << field.key << " is not printed";
  }
}

TEST(ResolvedFromToml, NamesTheOriginOfWhatItRefuses) {
  EXPECT_EQ(error_of([] { resolved_from_toml("[model]\nhiden = 3\n", "step-00000100.h5"); }),
            "step-00000100.h5:2: model.hiden is not a key; did you mean model.hidden?");
}

}  // namespace
}  // namespace rondo
