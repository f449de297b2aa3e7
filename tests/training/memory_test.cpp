#include "training/machine/memory.h"

#include <gtest/gtest.h>

#include "model/definition/parameters.h"
#include "tests/launcher/config/config_test_folder.h"

namespace rondo {
namespace {

ModelDefinition model_of(int64_t hidden) {
  ModelDefinition model;
  model.spec = {.hidden = hidden, .depth = 4, .heads = 4, .kv_heads = 2, .head_dim = hidden / 4};
  model.spec.ffn = 2 * hidden;
  model.spec.vocab = 64;
  model.sharing = make_sharing_map({.strategy = "cycle", .unique = 2}, 4);
  return model;
}

TEST(Memory, IsThatOfStoredWeightsGradientsAndMoments) {
  const ModelDefinition model = model_of(32);
  const auto stored = static_cast<double>(count_parameters(model).unique);
  Config config;
  MemoryNeed need = memory_need(config, model, 4);
  EXPECT_EQ(need.weights, 4 * stored);
  EXPECT_EQ(need.gradients, 4 * stored);
  EXPECT_EQ(need.optimizer, 8 * stored);
  config.distributed.pipeline = 2;
  EXPECT_EQ(memory_need(config, model, 4).weights, 2 * stored);
  config.distributed.pipeline = 1;
  config.train.precision = "bfloat16";
  config.distributed.zero = 1;
  need = memory_need(config, model, 4);
  EXPECT_EQ(need.weights, 2 * stored);
  EXPECT_EQ(need.gradients, 4 * stored);
  EXPECT_EQ(need.optimizer, 3 * stored) << "float32 weights and two moments, on four ranks";
}

TEST(Memory, CountsATeacherAndTheCopyThatSavesAreWrittenFrom) {
  const ModelDefinition model = model_of(32);
  const auto stored = static_cast<double>(count_parameters(model).unique);
  Config config;
  EXPECT_EQ(memory_need(config, model, 4, 1000.0).teacher, 4000.0);
  EXPECT_EQ(memory_need(config, model, 4).copy, 0.0) << "the last save copies nothing";
  config.checkpoint.every = 10;
  EXPECT_EQ(memory_need(config, model, 4).copy, 12 * stored / 4);
  config.checkpoint.async = false;
  EXPECT_EQ(memory_need(config, model, 4).copy, 0.0);
  const std::string message =
      error_of([] { check_fits({.weights = 1e9, .teacher = 2e9, .copy = 3e9}, 5e9, 1); });
  EXPECT_NE(message.find("teacher 2GB, copy for saves 3GB"), std::string::npos) << message;
  EXPECT_NE(message.find("checkpoint.async=false"), std::string::npos) << message;
}

TEST(Memory, AModelOfAnySizeIsPricedAndRefusedWithNumbers) {
  const MemoryNeed need = memory_need({}, model_of(int64_t{1} << 24), 1);
  EXPECT_GT(need.weights, 1e15);
  const MemoryNeed small{.weights = 4e9, .gradients = 4e9, .optimizer = 8e9};
  EXPECT_NO_THROW(check_fits(small, 16e9, 1));
  const std::string message = error_of([&] { check_fits(small, 15e9, 1); });
  EXPECT_NE(error_of([&] {
              check_fits(small, 31e9, 2);
            }).find("has 31GB for the 2 ranks of this machine"),
            std::string::npos);
  EXPECT_EQ(message.rfind("the model takes 16GB on each rank (weights 4GB, gradients 4GB, "
                          "optimizer 8GB) and this machine has 15GB; ",
                          0),
            0u)
      << message;
}

TEST(Memory, AnActivationOfAnySizeIsRefusedWithNumbers) {
  EXPECT_NO_THROW(check_plan_fits(8e9, 16e9, 2));
  EXPECT_EQ(error_of([] { check_plan_fits(9e9, 16e9, 2); })
                .rfind("a rank takes about 9GB with the activations of its microbatches and this "
                       "machine has 16GB for the 2 ranks of this machine; lower data.sequence",
                       0),
            0u);
}

}  // namespace
}  // namespace rondo
