// The files of configs/, as they are shipped.
#include <gtest/gtest.h>

#include <set>

#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "launcher/config/schema.h"
#include "model/definition/parameters.h"
#include "tests/launcher/config/config_test_folder.h"

namespace rondo {
namespace {

const std::vector<std::string> groups = {"model",       "sharing", "data", "optimizer",
                                         "distributed", "cluster", "run"};

ParameterCounts counts(const std::string& model) {
  const Config config = parse_config(compose("configs", {"model=" + model, "sharing=none"}));
  const SharingMap map = make_sharing_map(config.sharing, static_cast<int>(config.model.depth));
  return count_parameters({config.model, map});
}

TEST(ShippedConfigs, EveryOptionOfEveryGroupComposesParsesAndReadsBack) {
  int files = 0;
  for (const std::string& group : groups) {
    for (const std::string& option : config_options("configs", group)) {
      SCOPED_TRACE(group + "=" + option);
      const Resolved resolved = compose("configs", {group + "=" + option});
      const std::string text = to_toml(resolved);
      EXPECT_EQ(to_toml(resolved_from_toml(text, "text")), text);
      ++files;
    }
  }
  EXPECT_GE(files, 26);
}

TEST(ShippedConfigs, EveryModelGoesWithEverySharingOptionButTheExplicitMapOfEightLayers) {
  for (const std::string& model : config_options("configs", "model")) {
    for (const std::string& sharing : config_options("configs", "sharing")) {
      SCOPED_TRACE(model + " " + sharing);
      const std::vector<std::string> choice = {"model=" + model, "sharing=" + sharing};
      if (sharing == "explicit" && model != "llama_tiny") {
        EXPECT_NE(error_of([&] { parse_config(compose("configs", choice)); }).find("sharing.map"),
                  std::string::npos);
      } else {
        EXPECT_NO_THROW(parse_config(compose("configs", choice)));
      }
    }
  }
}

TEST(ShippedConfigs, EveryStrategyHasAnOptionOfItsName) {
  std::set<std::string> names;
  for (const std::string& strategy : sharing_strategies()) {
    names.insert(strategy.substr(0, strategy.find(':')));
  }
  const std::vector<std::string> options = config_options("configs", "sharing");
  EXPECT_EQ(std::set<std::string>(options.begin(), options.end()), names);
  for (const std::string& option : options) {
    const Config config = parse_config(compose("configs", {"sharing=" + option}));
    EXPECT_EQ(config.sharing.strategy.substr(0, config.sharing.strategy.find(':')), option);
  }
}

// Tied embeddings counted once, as the checkpoints hold them.
TEST(ShippedConfigs, ThePublishedModelsHaveTheirPublishedNumberOfParameters) {
  EXPECT_EQ(counts("smollm2_135m").unique, 134515008);
  EXPECT_EQ(counts("gemma_2b").unique, 2506172416);
  EXPECT_EQ(counts("tinyllama_1b").unique, 1100048384);
  EXPECT_EQ(counts("pythia_1b").unique, 1011781632);
  EXPECT_EQ(counts("gpt2").unique, 124439808);
}

TEST(ShippedConfigs, ClustersSetEveryKeyThatThePlannerPricesWith) {
  for (const std::string& option : config_options("configs", "cluster")) {
    const Resolved resolved = compose("configs", {"cluster=" + option});
    for (const std::string& key : config_keys()) {
      const bool is_set = resolved.entries.contains(key);
      const bool is_price = key.starts_with("cluster.") && key != "cluster.measured";
      EXPECT_TRUE(is_set || !is_price) << option << " lacks " << key;
    }
  }
  EXPECT_EQ(parse_config(compose("configs", {"cluster=a100"})).cluster.device_tflops, 312.0);
  EXPECT_EQ(parse_config(compose("configs", {"cluster=h100"})).cluster.device_tflops, 989.0);
}

TEST(ShippedConfigs, TheRunsFitWorldsOfOneAndTwo) {
  for (const std::string run : {"default", "demo"}) {
    const Config config = parse_config(compose("configs", {"run=" + run}));
    for (const int world : {1, 2}) EXPECT_NO_THROW(check_for_world(config, world)) << run << world;
  }
}

}  // namespace
}  // namespace rondo
