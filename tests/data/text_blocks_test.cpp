// Long texts have the tokens of one call of the library over the whole text.
#include "data/tokenizers/text_blocks.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace rondo {
namespace {

using Ids = std::vector<int64_t>;
using Arguments = std::unordered_map<std::string, std::string>;

class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(std::vector<std::string> lines) : lines_(std::move(lines)) {}
  bool done() const override { return at_ >= lines_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return lines_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> lines_;
  size_t at_ = 0;
};

std::string train(Arguments arguments) {
  const Arguments common = {{"vocab_size", "330"},
                            {"byte_fallback", "true"},
                            {"minloglevel", "3"},
                            {"character_coverage", "1.0"},
                            {"hard_vocab_limit", "false"}};
  arguments.insert(common.begin(), common.end());
  Sentences lines({"the cat sat on the mat", "one  two   three", "a dog, a cat; the end.",
                   "they sat then the others came", "x = y + z; // code", "漢字かな 交じり文"});
  std::string model;
  EXPECT_TRUE(sentencepiece::SentencePieceTrainer::Train(arguments, &lines, &model).ok());
  return model;
}

std::string drawn_text(size_t bytes) {
  const std::vector<std::string> words = {"the", "cat", "sat",   "mat,",     "then", "others", "x",
                                          "=",   "12",  "naïve", "漢字かな", "🎵",    ";"};
  const std::vector<std::string> gaps = {" ",  " ",    " ",  " ",      "  ",
                                         "\n", "\n\n", "\t", "\n    ", ""};
  std::mt19937 generator(5);
  std::string text;
  while (text.size() < bytes) {
    text += words[generator() % words.size()] + gaps[generator() % gaps.size()];
  }
  return text;
}

std::string repeated(const std::string& piece, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += piece;
  return text;
}

std::vector<std::string> long_texts() {
  const size_t bytes = 5 * block_bytes / 2;
  return {repeated("the cat sat\n", bytes),
          repeated("cat\n", bytes),
          repeated("  the cat  sat ", bytes),
          repeated("漢字かな交じり文", bytes),
          repeated("a", block_bytes + 77),
          std::string(block_bytes + 5, '\n') + "the cat",
          repeated("the cat sat on the mat then ", bytes),
          drawn_text(bytes)};
}

void expect_tokens_of_one_call(const std::string& model) {
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(model).ok());
  const Tokenizer tokenizer = open_tokenizer({"sentencepiece", model}, "test");
  for (const std::string& text : long_texts()) {
    Ids ids;
    std::string joined;
    encode_text(text, tokenizer, [&](std::string_view block, const Ids& tokens) {
      ids.insert(ids.end(), tokens.begin(), tokens.end());
      joined += block;
    });
    EXPECT_EQ(joined, text);
    std::vector<int> whole;
    ASSERT_TRUE(library.Encode(text, &whole).ok());
    EXPECT_TRUE(ids == Ids(whole.begin(), whole.end())) << text.substr(0, 40);
  }
}

TEST(TextBlocks, HaveTheTokensOfOneCallWithADummyPrefix) {
  expect_tokens_of_one_call(train({{"model_type", "bpe"},
                                   {"normalization_rule_name", "identity"},
                                   {"remove_extra_whitespaces", "false"},
                                   {"allow_whitespace_only_pieces", "true"}}));
}

TEST(TextBlocks, HaveTheTokensOfOneCallWithNormalisedSpaces) {
  expect_tokens_of_one_call(train({{"model_type", "unigram"}}));
  expect_tokens_of_one_call(train({{"model_type", "bpe"}, {"add_dummy_prefix", "false"}}));
  expect_tokens_of_one_call(train({{"model_type", "bpe"}, {"remove_extra_whitespaces", "false"}}));
}

TEST(TextBlocks, HaveTheTokensOfOneCallWherePiecesReachAcrossWords) {
  expect_tokens_of_one_call(train({{"model_type", "bpe"}, {"split_by_whitespace", "false"}}));
  expect_tokens_of_one_call(train({{"model_type", "unigram"}, {"split_by_whitespace", "false"}}));
  expect_tokens_of_one_call(train({{"model_type", "bpe"}, {"treat_whitespace_as_suffix", "true"}}));
}

TEST(TextBlocks, HaveTheTokensOfOneCallWithPiecesOfLineFeeds) {
  const Arguments arguments = {{"model_type", "bpe"},
                               {"normalization_rule_name", "identity"},
                               {"remove_extra_whitespaces", "false"},
                               {"user_defined_symbols", "\n,\n\n,cat\nsat"}};
  expect_tokens_of_one_call(train(arguments));
}

TEST(TextBlocks, AreShortWhereTheTextAllowsIt) {
  const Tokenizer bytes = open_tokenizer({"bytes", ""}, "test");
  const std::string text = repeated("the cat sat\n", 10 * block_bytes);
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view block = next_block(rest, bytes);
    EXPECT_LE(block.size(), block_bytes);
    rest.remove_prefix(block.size());
  }
}

}  // namespace
}  // namespace rondo
