#include "launcher/config/reference.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "launcher/config/compose.h"
#include "launcher/config/schema.h"
#include "tests/launcher/config/config_test_folder.h"

namespace rondo {
namespace {

std::string reference(const std::string& prefix) { return config_reference("configs", prefix, 80); }

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Schema, EveryKeyIsDescribedInSentences) {
  std::set<std::string> seen;
  for (const ConfigField& field : config_schema()) {
    EXPECT_TRUE(seen.insert(field.key).second) << field.key;
    EXPECT_FALSE(field.type.empty()) << field.key;
    EXPECT_TRUE(field.about.ends_with('.')) << field.key;
  }
}

TEST(Schema, EveryDefaultThatIsNotRequiredIsAValueThatTheKeyTakes) {
  const std::set<std::string> required = {"model.hidden", "model.depth", "model.heads", "model.ffn",
                                          "model.vocab"};
  for (const ConfigField& field : config_schema()) {
    Config config;
    const auto read = [&] {
      field.read({field.write(Config{}), "default value", -1, false}, config);
    };
    if (required.contains(field.key)) {
      EXPECT_THROW(read(), UserError) << field.key;
    } else {
      EXPECT_NO_THROW(read()) << field.key;
    }
  }
}

TEST(Reference, AKeyShowsDescriptionTypeLimitsUnitAndDefault) {
  const std::string text = reference("optimizer.warmup");
  EXPECT_TRUE(has(text, "[optimizer]\n  optimizer.warmup = ")) << text;
  EXPECT_TRUE(has(text, "Steps over which the rate rises")) << text;
  EXPECT_TRUE(has(text, "an integer, at least 0; in steps")) << text;
  EXPECT_FALSE(has(text, "optimizer.lr =")) << text;
  EXPECT_FALSE(has(text, "adamw_trapezoid")) << "no options where one key is asked for" << text;
}

TEST(Reference, ADefaultThatAGroupSetsNamesTheGroup) {
  EXPECT_TRUE(has(reference("model.hidden"), "set by model=llama_tiny, else 0"));
}

TEST(Reference, APrefixShowsItsTableWithTheOptionsOfItsGroup) {
  const std::string text = reference("optimizer");
  for (const char* part : {"optimizer=adamw  (unless another is chosen)", "optimizer=adamw_trape",
                           "optimizer.betas = [0.9, 0.95]", "optimizer.clip"}) {
    EXPECT_TRUE(has(text, part)) << part << "\n" << text;
  }
  EXPECT_FALSE(has(text, "[train]"));
  EXPECT_TRUE(has(reference("run"), "run=demo")) << "a group without a table";
  EXPECT_TRUE(has(reference("micro_batch"), "train.micro_batch"));
  EXPECT_TRUE(has(reference("train.e"), "train.eval_batches"));
}

TEST(Reference, EveryKeyAndGroupIsListedInLinesThatFit) {
  const std::string text = reference("");
  for (const std::string& key : config_keys()) EXPECT_TRUE(has(text, "  " + key + " = ")) << key;
  for (const ConfigGroup& group : config_groups("configs")) {
    for (const GroupOption& option : group.options) {
      EXPECT_TRUE(has(text, "  " + group.name + "=" + option.name)) << option.name;
      EXPECT_FALSE(option.about.empty()) << group.name << "=" << option.name;
    }
  }
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

TEST(Reference, AMisspelledPrefixIsAnsweredWithTheNearestAndAFarOneWithTheTables) {
  const auto refusal = [](const std::string& prefix) {
    return error_of([&] { reference(prefix); });
  };
  EXPECT_TRUE(has(refusal("optimzer"), "did you mean optimizer?"));
  EXPECT_TRUE(has(refusal("train.mirco_batch"), "did you mean train.micro_batch?"));
  EXPECT_FALSE(has(refusal("zzzzzzzz"), "did you mean"));
  EXPECT_TRUE(has(refusal("zzzzzzzz"), "tables: model, sharing"));
}

TEST(Reference, ThePageInDocsIsCurrent) {
  std::ifstream file("docs/configuration.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(page == config_page("configs"))
      << "docs/configuration.md is not what the schema says; write it again with\n"
         "  build/rondo train --help-config=markdown > docs/configuration.md";
}

}  // namespace
}  // namespace rondo
