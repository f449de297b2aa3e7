#include "data/tokenizers/tokenizer.h"

#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

#include <string>
#include <vector>

#include "base/proto_fields.h"
#include "data/prepare.h"
#include "tests/data/scratch_folder.h"
#include "tests/data/small_tokenizer.h"

namespace rondo {
namespace {

using Ids = std::vector<int64_t>;

class Tokenizers : public ::testing::Test {
 protected:
  PrepareReport prepare_with(const std::string& tokenizer, int64_t vocab = 0) {
    PrepareOptions options;
    options.inputs = {folder_.write("text.txt", text_)};
    options.output = prefix_;
    options.tokenizer = tokenizer;
    options.vocab = vocab;
    options.holdout = 0.3;
    return prepare(options);
  }
  static Ids encode(const Tokenizer& tokenizer, const std::string& text) {
    Ids ids;
    tokenizer.encode(text, ids);
    return ids;
  }

  ScratchFolder folder_;
  std::string prefix_ = folder_.path("corpus");
  std::string text_ = "  hello the 漢字 🎵\nhello there, the others\n the hello\n";
};

TEST_F(Tokenizers, OfAllKindsAreKeptBesideTheTokens) {
  const std::string json = folder_.write("t.json", small_tokenizer().dump());
  const std::string model = folder_.path("t.model");
  const std::vector<std::string> names = {"bytes", "hf:" + json, "sentencepiece:" + model};
  for (const std::string& name : names) {
    prepare_with(name, name.ends_with(".model") ? 300 : 0);
    for (const std::string& part : {prefix_, prefix_ + ".validation"}) {
      const auto kept = read_dataset_tokenizer(part);
      ASSERT_TRUE(kept.has_value()) << name;
      EXPECT_EQ(*kept, read_definition(request_tokenizer(name, 0)));
      const Tokenizer tokenizer = open_tokenizer(*kept, part);
      EXPECT_EQ(tokenizer.name, kept->kind);
      EXPECT_EQ(tokenizer.vocab, read_dataset_info(part)->vocab);
      EXPECT_EQ(tokenizer.decode(encode(tokenizer, text_)), text_);
    }
  }
}

TEST_F(Tokenizers, AreRemovedWithTheDataSetThatTheyBelongTo) {
  prepare_with("hf:" + folder_.write("t.json", small_tokenizer().dump()));
  EXPECT_TRUE(folder_.names().contains("corpus.tokenizer"));
  prepare_with("bytes");
  EXPECT_FALSE(folder_.names().contains("corpus.tokenizer"));
  EXPECT_FALSE(folder_.names().contains("corpus.validation.tokenizer"));
  EXPECT_EQ(read_dataset_tokenizer(prefix_), (TokenizerDefinition{"bytes", ""}));
}

TEST_F(Tokenizers, OfSentencePieceMayHaveTokensAddedToTheModel) {
  prepare_with("sentencepiece:" + folder_.path("t.model"), 300);
  TokenizerDefinition definition = *read_dataset_tokenizer(prefix_);
  const Tokenizer plain = open_tokenizer(definition, "test");
  definition.contents += proto_field(
      added_tokens_field, R"([{"id": 302, "content": "<|x|>", "lstrip": true}, {"id": 5}])");
  EXPECT_TRUE(contains(user_error([&] { open_tokenizer(definition, "t.h5"); }), "t.h5: its added"));
  definition = *read_dataset_tokenizer(prefix_);
  definition.contents +=
      proto_field(added_tokens_field, R"([{"id": 302, "content": "<|x|>", "lstrip": true}])");
  const Tokenizer tokenizer = open_tokenizer(definition, "test");
  EXPECT_EQ(tokenizer.vocab, 303);
  Ids expected = encode(plain, "hello");
  expected.push_back(302);
  for (const int64_t id : encode(plain, "there")) expected.push_back(id);
  EXPECT_EQ(encode(tokenizer, "hello <|x|>there"), expected);
  EXPECT_EQ(tokenizer.decode(expected), "hello<|x|>there");
  EXPECT_EQ(encode(tokenizer, text_), encode(plain, text_));
}

TEST_F(Tokenizers, OfOlderDataSetsAreUnknown) {
  EXPECT_EQ(read_dataset_tokenizer(prefix_), std::nullopt);
  prepare_with("hf:" + folder_.write("t.json", small_tokenizer().dump()));
  std::filesystem::remove(prefix_ + ".tokenizer");
  EXPECT_EQ(read_dataset_tokenizer(prefix_), std::nullopt);
}

TEST_F(Tokenizers, AreNotReplacedByTheOutput) {
  const std::string json = folder_.write("corpus.json", small_tokenizer().dump());
  EXPECT_TRUE(contains(user_error([&] { prepare_with("hf:" + json); }),
                       "would replace the tokenizer " + json));
  EXPECT_EQ(folder_.read("corpus.json"), small_tokenizer().dump());
}

TEST_F(Tokenizers, HaveTheSizeThatIsAskedFor) {
  const std::string name = "hf:" + folder_.write("t.json", small_tokenizer().dump());
  EXPECT_EQ(prepare_with(name, 262).train.vocab, 262);
  EXPECT_TRUE(contains(user_error([&] { prepare_with(name, 300); }), "has 262 pieces"));
}

TEST_F(Tokenizers, OfAKindFromTheFutureAreRefused) {
  EXPECT_TRUE(contains(user_error([] {
                         open_tokenizer({"runes", ""}, "step.h5");
                       }),
                       "step.h5: a tokenizer of the unknown kind 'runes'"));
}

TEST_F(Tokenizers, DecodeIdById) {
  prepare_with("sentencepiece:" + folder_.path("t.model"), 300);
  for (const TokenizerDefinition& definition :
       {TokenizerDefinition{"bytes", ""}, *read_dataset_tokenizer(prefix_),
        TokenizerDefinition{"hf", small_tokenizer().dump()}}) {
    const Tokenizer tokenizer = open_tokenizer(definition, "t");
    std::string text;
    for (const int64_t id : encode(tokenizer, text_)) text += tokenizer.decode(Ids{id});
    EXPECT_EQ(text, text_) << definition.kind;
    EXPECT_THROW(tokenizer.decode(Ids{tokenizer.vocab}), std::out_of_range);
    EXPECT_THROW(tokenizer.decode(Ids{-1}), std::out_of_range);
  }
}

TEST_F(Tokenizers, KnowTheEndOfAText) {
  EXPECT_EQ(open_tokenizer({"bytes", ""}, "").end, std::nullopt);
  prepare_with("sentencepiece:" + folder_.path("t.model"), 300);
  const Tokenizer tokenizer = open_tokenizer(*read_dataset_tokenizer(prefix_), "t");
  EXPECT_EQ(tokenizer.end, 2);
  EXPECT_EQ(tokenizer.decode(Ids{1, 2}), "");
}

TEST_F(Tokenizers, KeepTheSpaceThatASentencePieceModelPutsInFront) {
  folder_.write("text.txt", text_);
  const auto trained = sentencepiece::SentencePieceTrainer::Train(
      "--minloglevel=3 --model_type=unigram --vocab_size=30 --hard_vocab_limit=false --input=" +
      folder_.path("text.txt") + " --model_prefix=" + folder_.path("other"));
  ASSERT_TRUE(trained.ok()) << trained.ToString();
  const Tokenizer tokenizer = open_tokenizer({"sentencepiece", folder_.read("other.model")}, "t");
  EXPECT_EQ(tokenizer.decode(encode(tokenizer, "the hello")), " the hello");
  EXPECT_EQ(tokenizer.decode(encode(tokenizer, "the \u0416")), " the  \u2047 ");  // unknown
}

}  // namespace
}  // namespace rondo
