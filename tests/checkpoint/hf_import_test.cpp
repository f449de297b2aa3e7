#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/user_error.h"
#include "checkpoint/conversion/convert.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/huggingface/hf_config.h"
#include "tests/checkpoint/hugging_face_example.h"

namespace rondo {
namespace {

using Json = nlohmann::json;

std::string config_error(const TemporaryFolder& folder, const Json& config) {
  write_file(folder.file("config.json"), config.dump());
  return error_of<UserError>([&] { read_hugging_face_config(folder.path()); });
}

TEST(HuggingFaceConfig, IsReadAsTransformersFourAndFiveWriteIt) {
  const TemporaryFolder folder;
  Json config = tiny_config();
  EXPECT_EQ(config_error(folder, config), "");
  ModelSpec model = read_hugging_face_config(folder.path());
  ModelSpec expected;
  expected.hidden = 8;
  expected.depth = 4;
  expected.heads = 2;
  expected.kv_heads = 1;
  expected.head_dim = 4;
  expected.ffn = 12;
  expected.vocab = 16;
  expected.rope_theta = 100000.0;
  expected.norm_eps = 1e-5;
  expected.tie_embeddings = true;
  EXPECT_EQ(model, expected);
  config.erase("rope_theta");
  config.erase("tie_word_embeddings");
  config.erase("num_key_value_heads");
  config["head_dim"] = 6;
  config["rope_scaling"] = nullptr;
  config["rope_parameters"] = {{"rope_theta", 500000.0}, {"rope_type", "default"}};
  EXPECT_EQ(config_error(folder, config), "");
  model = read_hugging_face_config(folder.path());
  EXPECT_EQ(model.rope_theta, 500000.0);
  EXPECT_FALSE(model.tie_embeddings);
  EXPECT_EQ(model.kv_heads, 2);
  EXPECT_EQ(model.head_dim, 6);
}

TEST(HuggingFaceConfig, RefusesByNameWhatCannotBeRepresented) {
  const TemporaryFolder folder;
  const std::pair<const char*, Json> refused[] = {
      {"model_type", "gptj"},         {"attention_bias", true}, {"mlp_bias", true},
      {"hidden_act", "gelu"},         {"sliding_window", 4096}, {"rope_interleaved", true},
      {"partial_rotary_factor", 0.5}, {"hidden_size", 0},       {"hidden_size", "8"},
      {"hidden_size", nullptr},       {"vocab_size", -16},      {"num_hidden_layers", 1e30},
      {"num_key_value_heads", 3},     {"head_dim", 3},          {"rms_norm_eps", "tiny"},
      {"rope_parameters", 3}};
  for (const auto& [key, value] : refused) {
    Json config = tiny_config();
    config[key] = value;
    const std::string error = config_error(folder, config);
    EXPECT_NE(error.find(std::string("config.json: ") + key + " = "), std::string::npos)
        << key << ": " << error;
  }
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    for (const char* type : {"type", "rope_type"}) {
      Json config = tiny_config();
      config[key] = {{type, "llama3"}, {"factor", 8.0}};
      EXPECT_NE(config_error(folder, config).find("\"llama3\""), std::string::npos);
    }
  }
  write_file(folder.file("config.json"), "{");
  EXPECT_NE(error_of<UserError>([&] { read_hugging_face_config(folder.path()); }), "");
  EXPECT_NE(error_of<UserError>([&] { read_hugging_face_config(folder.file("none")); }), "");
}

/// Which layer each component of 3 over 8 layers (112 233 …) starts from.
TEST(SharingInitialisation, PicksTheLayersOfEachScheme) {
  const SharingMap map = make_sharing_map({.strategy = "sequence", .unique = 3}, 8);
  const auto layers = [&](SharingInit init) {
    std::vector<std::vector<int>> picked;
    for (int id = 0; id < 3; ++id) picked.push_back(source_layers(map, Slot::attention, id, init));
    return picked;
  };
  using Layers = std::vector<std::vector<int>>;
  EXPECT_EQ(layers(SharingInit::stepwise), (Layers{{0}, {3}, {7}}));
  EXPECT_EQ(layers(SharingInit::stepwise_rounded), (Layers{{0}, {4}, {7}}));
  EXPECT_EQ(layers(SharingInit::lower), (Layers{{0}, {1}, {2}}));
  EXPECT_EQ(layers(SharingInit::random), (Layers{{}, {}, {}}));
  EXPECT_EQ(layers(SharingInit::upper), (Layers{{5}, {6}, {7}}));
  EXPECT_EQ(layers(SharingInit::average), (Layers{{0, 1, 2}, {3, 4, 5}, {6, 7}}));
}

TEST(SharingInitialisation, CountsEachSlotsComponentsOnItsOwn) {
  const SharingMap map = make_sharing_map(
      {.strategy = "cycle", .unique = 2, .feed_forward = "universal", .norms = "none"}, 4);
  EXPECT_EQ(source_layers(map, Slot::attention, 1, SharingInit::stepwise), std::vector{3});
  EXPECT_EQ(source_layers(map, Slot::feed_forward, 0, SharingInit::stepwise), std::vector{0});
  EXPECT_EQ(source_layers(map, Slot::feed_forward, 0, SharingInit::upper), std::vector{3});
  EXPECT_EQ(source_layers(map, Slot::feed_forward_norm, 2, SharingInit::stepwise), std::vector{2});
  EXPECT_EQ(source_layers(map, Slot::attention, 1, SharingInit::average), (std::vector{1, 3}));
}

TEST(SharingInitialisation, NamesTheSchemesThereAre) {
  EXPECT_EQ(parse_sharing_init("upper"), SharingInit::upper);
  EXPECT_NE(error_of<UserError>([] {
              parse_sharing_init("steps");
            }).find("use one of stepwise, stepwise_rounded, lower"),
            std::string::npos);
}

TEST(HuggingFaceImport, WritesASharedModel) {
  const TemporaryFolder folder;
  write_tiny(folder, tiny_config(), tiny_tensors(4));
  convert({.from = "hf:" + folder.path(),
           .to = folder.file("a.h5"),
           .sharing = SharingOptions{.strategy = "cycle", .unique = 2},
           .init = SharingInit::average,
           .dtype = at::kDouble});
  const CheckpointReader reader(folder.file("a.h5"));
  const CheckpointHeader& header = reader.header();
  EXPECT_EQ(header.step, 0);
  EXPECT_EQ(header.model.spec, read_hugging_face_config(folder.path()));
  EXPECT_NE(header.config.find("[model]\nfamily = \"llama\"\nhidden = 8\n"), std::string::npos);
  EXPECT_NO_THROW(check_parameters(reader, parameters(header.model)));
  const auto value = [&](const std::string& path) {
    const at::Tensor tensor = reader.read("/parameters/" + path);
    EXPECT_EQ(tensor.scalar_type(), at::kDouble);
    EXPECT_EQ(tensor.min().item<double>(), tensor.max().item<double>());
    return tensor.max().item<double>();
  };
  EXPECT_EQ(value("attention/0/k_proj/weight"), 2.0);
  EXPECT_EQ(value("attention/1/k_proj/weight"), 3.0);
  EXPECT_EQ(value("feed_forward/1/down_proj/weight"), 3.0);
  EXPECT_EQ(value("attention_norm/0/weight"), 2.0);
  EXPECT_EQ(value("embedding/weight"), 10.0);
  EXPECT_EQ(value("final_norm/weight"), 20.0);
  EXPECT_FALSE(reader.has("/parameters/head/weight"));
}

TEST(HuggingFaceImport, RefusesTensorsThatDoNotMatchTheConfigAndLeavesNothing) {
  const TemporaryFolder folder;
  const auto complaint = [&](const Json& config, const auto& tensors) {
    write_tiny(folder, config, tensors);
    const std::string error = error_of<UserError>(
        [&] { convert({.from = "hf:" + folder.path(), .to = folder.file("a.h5")}); });
    EXPECT_FALSE(std::filesystem::exists(folder.file("a.h5")));
    EXPECT_FALSE(has_partial(folder.path()));
    return error;
  };
  auto tensors = tiny_tensors(4);
  tensors["model.layers.2.self_attn.q_proj.bias"] = at::ones({8});
  EXPECT_NE(complaint(tiny_config(), tensors).find("q_proj.bias, which the model"),
            std::string::npos);
  tensors = tiny_tensors(4);
  tensors["model.norm.weight"] = at::ones({9});
  EXPECT_NE(complaint(tiny_config(), tensors)
                .find("tensor model.norm.weight has shape [9], config.json asks for [8]"),
            std::string::npos);
  tensors = tiny_tensors(4);
  tensors["model.norm.weight"] = at::ones({8}, at::kLong);
  EXPECT_NE(complaint(tiny_config(), tensors)
                .find("tensor model.norm.weight is I64: expected F32, F64, F16 or BF16"),
            std::string::npos);
  tensors = tiny_tensors(4);
  Json untied = tiny_config();
  untied["tie_word_embeddings"] = false;
  EXPECT_NE(complaint(untied, tensors).find("lacks tensor lm_head.weight of shape [16, 8]"),
            std::string::npos);
  EXPECT_NE(complaint(tiny_config(), tiny_tensors(5)).find("model.layers.4."), std::string::npos);
  tensors = tiny_tensors(4);
  tensors["lm_head.weight"] = at::full({16, 8}, 30.0);
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({2});
  write_tiny(folder, untied, tensors);
  convert({.from = "hf:" + folder.path(), .to = folder.file("a.h5")});
  EXPECT_TRUE(at::equal(CheckpointReader(folder.file("a.h5")).read("/parameters/head/weight"),
                        at::full({16, 8}, 30.0)));
}

TEST(HuggingFaceImport, RefusesATiedHeadThatIsNotTheEmbedding) {
  const TemporaryFolder folder;
  auto tensors = tiny_tensors(4);
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone();
  write_tiny(folder, tiny_config(), tensors);
  EXPECT_NO_THROW(open_hugging_face(folder.path()));
  tensors["lm_head.weight"][15][7] = 10.5;
  write_tiny(folder, tiny_config(), tensors);
  EXPECT_EQ(error_of<UserError>([&] { open_hugging_face(folder.path()); }),
            folder.path() +
                ": tensor lm_head.weight differs from model.embed_tokens.weight, although "
                "config.json says that they are tied: set tie_word_embeddings to false there to "
                "keep both, or delete lm_head.weight");
}

}  // namespace
}  // namespace rondo
