#include "data/tokenizers/hf_tokenizer.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "data/tokenizers/text_blocks.h"
#include "tests/data/scratch_folder.h"
#include "tests/data/small_tokenizer.h"

namespace rondo {
namespace {

using nlohmann::json;
using Ids = std::vector<int64_t>;

Tokenizer open(const json& root) { return open_hf_tokenizer(root.dump(), "small.json"); }

Ids encode(const Tokenizer& tokenizer, std::string_view text) {
  Ids ids;
  tokenizer.encode(text, ids);
  return ids;
}

std::string character(uint32_t point) {
  const auto low = [&](int shift) { return static_cast<char>(0x80 | (point >> shift & 0x3F)); };
  if (point < 0x80) return {static_cast<char>(point)};
  if (point < 0x800) return {static_cast<char>(0xC0 | point >> 6), low(0)};
  if (point < 0x10000) return {static_cast<char>(0xE0 | point >> 12), low(6), low(0)};
  return {static_cast<char>(0xF0 | point >> 18), low(12), low(6), low(0)};
}

/// Random characters among words, white space and special tokens.
std::string random_text(std::mt19937& random, int pieces) {
  const std::vector<std::string> known = {"hello", " the",          "  ", "\n", "\n\n", "12",
                                          "\r\n",  "<|endoftext|>", "."};
  std::string text;
  for (int piece = 0; piece < pieces; ++piece) {
    const uint32_t point = random() % 0x110000;
    const bool surrogate = point >= 0xD800 && point < 0xE000;
    text += random() % 2 == 0 && !surrogate ? character(point) : known[random() % known.size()];
  }
  return text;
}

TEST(HfTokenizer, DoesTheMergeFirstThatComesFirst) {
  const Tokenizer tokenizer = open(small_tokenizer());
  EXPECT_EQ(tokenizer.vocab, 262);
  EXPECT_EQ(encode(tokenizer, "hello"), (Ids{256, 258, 'o'}));  // not hel, lo
  EXPECT_EQ(encode(tokenizer, "helo"), (Ids{256, 259}));
  EXPECT_EQ(encode(tokenizer, "llll lll"), (Ids{258, 258, ' ', 258, 'l'}));
  EXPECT_EQ(encode(tokenizer, ""), Ids{});
}

TEST(HfTokenizer, MergesWithinWordsOnly) {
  const Tokenizer tokenizer = open(small_tokenizer());
  EXPECT_EQ(encode(tokenizer, "the to"), (Ids{'t', 256, 260, 'o'}));
  EXPECT_EQ(encode(tokenizer, "  t"), (Ids{' ', 260}));
  json root = small_tokenizer();
  root["model"]["vocab"]["12"] = 262;
  root["model"]["merges"].push_back("1 2");
  EXPECT_EQ(encode(open(root), "12"), (Ids{'1', '2'}));
  root["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = false;
  EXPECT_EQ(encode(open(root), "12"), (Ids{262}));
}

TEST(HfTokenizer, TakesWholeWordsWhereMergesAreIgnored) {
  json root = small_tokenizer();
  root["model"]["vocab"]["hello"] = 262;
  EXPECT_EQ(encode(open(root), "hello"), (Ids{256, 258, 'o'}));
  root["model"]["ignore_merges"] = true;
  EXPECT_EQ(encode(open(root), "hello"), (Ids{262}));
  EXPECT_EQ(encode(open(root), "helloo"), (Ids{256, 258, 'o', 'o'}));
}

TEST(HfTokenizer, FindsAddedTokensBeforeWords) {
  json root = small_tokenizer();
  root["added_tokens"].push_back({{"id", 262}, {"content", "<|end"}});
  root["added_tokens"].push_back(
      {{"id", 263}, {"content", "[M]"}, {"lstrip", true}, {"rstrip", true}});
  const Tokenizer tokenizer = open(root);
  EXPECT_EQ(encode(tokenizer, "l<|endoftext|>l"), (Ids{'l', 261, 'l'}));
  EXPECT_EQ(encode(tokenizer, "<|end<|endoftext|>"), (Ids{262, 261}));
  EXPECT_EQ(encode(tokenizer, "a \u3000[M]\n b"), (Ids{'a', 263, 'b'}));
  EXPECT_EQ(tokenizer.decode(Ids{263, 261, 260}), "[M]<|endoftext|> t");
  EXPECT_EQ(tokenizer.end, 261);
  root["added_tokens"] = {{{"id", 3}, {"content", "<|im_end|>"}}, {{"id", 4}, {"content", "</s>"}}};
  EXPECT_EQ(open(root).end, 4);
  root["added_tokens"] = json::array();
  EXPECT_EQ(open(root).end, std::nullopt);
}

TEST(HfTokenizer, ComposesWhereTheFileSaysSo) {
  json root = small_tokenizer();
  root["added_tokens"].push_back({{"id", 262}, {"content", "e\u0301"}, {"normalized", false}});
  EXPECT_EQ(open(root).decode(encode(open(root), "o\u0308")), "o\u0308");
  root["normalizer"] = {{"type", "NFC"}};
  EXPECT_EQ(open(root).decode(encode(open(root), "o\u0308")), "\u00F6");
  EXPECT_EQ(encode(open(root), "e\u0301"), (Ids{262}));
  root["added_tokens"].back()["normalized"] = true;
  EXPECT_EQ(encode(open(root), "\u00E9"), (Ids{262}));
}

TEST(HfTokenizer, GivesBackEveryText) {
  const Tokenizer tokenizer = open(small_tokenizer());
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_text(random, round);
    const Ids ids = encode(tokenizer, text);
    EXPECT_EQ(tokenizer.decode(ids), text);
    const std::span<const int64_t> all(ids);
    const size_t cut = ids.empty() ? 0 : random() % ids.size();
    EXPECT_EQ(tokenizer.decode(all.first(cut)) + tokenizer.decode(all.subspan(cut)), text);
  }
}

TEST(HfTokenizer, LeavesOutBytesWithoutAPieceOrMakesThemUnknown) {
  json root = small_tokenizer();
  root["model"]["vocab"].erase(byte_letter(1));
  EXPECT_EQ(encode(open(root),
                   "h\x01"
                   "e \x01"),
            (Ids{'h', 'e', ' '}));
  EXPECT_EQ(open(root).decode(Ids{1, 2}), "\x02");
  root["model"]["vocab"]["?!"] = 262;
  root["model"]["unk_token"] = "?!";
  EXPECT_EQ(encode(open(root), "h\x01"), (Ids{'h', 262}));
}

TEST(HfTokenizer, RefusesTextThatIsNotUtf8AndIdsThatItDoesNotHave) {
  const Tokenizer tokenizer = open(small_tokenizer());
  EXPECT_THROW(encode(tokenizer, "a\xE2\x82"), std::invalid_argument);
  EXPECT_THROW(tokenizer.decode(Ids{262}), std::out_of_range);
  EXPECT_THROW(tokenizer.decode(Ids{-1}), std::out_of_range);
}

TEST(HfTokenizer, MakesTheSameOfBlocksAsOfTheWhole) {
  json root = small_tokenizer();
  json& model = root["model"];
  model["vocab"]["ĊĊ"] = 262;
  model["merges"].push_back("Ċ Ċ");
  std::string indented = "Ċ";  // a line feed and up to 24 spaces are one piece
  for (int64_t id = 263; id < 263 + 24; ++id) {
    model["merges"].push_back(indented + " Ġ");
    model["vocab"][indented += "Ġ"] = id;
  }
  const Tokenizer tokenizer = open(root);
  for (const std::string& paragraph :
       std::vector<std::string>{"he told\n\n", "he told\n\n  the", " one line", "he.\n", "\n\n\nl",
                                std::string(24, ' ') + "the {\n"}) {
    std::string text;
    while (text.size() < 5 * block_bytes) text += paragraph;
    Ids ids;
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view block = next_block(rest, tokenizer);
      ASSERT_TRUE(!block.empty() && block.size() <= block_bytes);
      tokenizer.encode(block, ids);
      rest.remove_prefix(block.size());
    }
    EXPECT_TRUE(ids == encode(tokenizer, text)) << paragraph;
  }
}

TEST(HfTokenizer, RefusesInOneLineWhatItCannotRead) {
  const auto refused = [](const std::function<void(json&)>& bend, std::string_view why) {
    json root = small_tokenizer();
    bend(root);
    const std::string line = user_error([&] { open(root); });
    EXPECT_TRUE(line.starts_with("small.json: ")) << line;
    EXPECT_TRUE(contains(line, why)) << line;
  };
  const std::string_view advice = "use sentencepiece:tokenizer.model";
  refused([](json& t) { t.erase("model"); }, "no \"model\"");
  refused([](json& t) { t = json::array(); }, "not a tokenizer.json");
  refused([](json& t) { t["model"].erase("vocab"); }, "key 'vocab' not found");
  refused([](json& t) { t["model"].erase("merges"); }, "key 'merges' not found");
  refused([](json& t) { t["model"]["vocab"]["a"] = "b"; }, "\"b\" stands where an integer");
  refused([](json& t) { t["model"]["vocab"]["a"] = 1.5; }, "1.5 stands where an integer");
  refused([](json& t) { t["model"]["vocab"]["a"] = 7e20; }, "7e+20 stands where an integer");
  refused([](json& t) { t["model"]["vocab"]["a"] = UINT64_MAX; }, "beyond its range");
  refused([](json& t) { t["model"]["vocab"]["a"] = -1; }, "token id -1 is out of range");
  refused([](json& t) { t["model"]["vocab"] = {1, 2}; }, "not a tokenizer.json");
  refused([](json& t) { t["model"]["type"] = "Unigram"; }, advice);
  refused([](json& t) { t["model"]["type"] = "WordPiece"; }, "only BPE");
  refused([](json& t) { t["model"]["byte_fallback"] = true; }, "byte_fallback");
  refused([](json& t) { t["model"]["dropout"] = 0.1; }, "dropout");
  refused([](json& t) { t["model"]["end_of_word_suffix"] = "</w>"; }, "end_of_word_suffix");
  refused([](json& t) { t["model"]["merges"].push_back("x y"); }, "the piece 'xy'");
  refused([](json& t) { t["model"]["merges"].push_back("xy"); }, "\"xy\" is not a pair");
  refused([](json& t) { t["model"]["merges"].push_back({"x", "y", "z"}); }, "is not a pair");
  refused([](json& t) { t["model"]["unk_token"] = "a\nb"; }, "needs the piece 'a b'");
  refused(
      [](json& t) {
        t["normalizer"] = {{"type", "NFKC"}};
      },
      "normalizer NFKC is not supported");
  refused([](json& t) { t["pre_tokenizer"] = {{"type", "Metaspace"}}; }, "'replacement' not found");
  refused(
      [](json& t) {
        t["pre_tokenizer"]["pretokenizers"][0] = {{"type", "Punctuation"}};
      },
      "Punctuation is not supported");
  refused([](json& t) { t["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; },
          "add_prefix_space");
  refused([](json& t) { t["added_tokens"][0]["single_word"] = true; }, "single_word");
  const auto split = [](const char* expression, const char* behavior) {
    return json{{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", behavior}};
  };
  refused([&](json& t) { t["pre_tokenizer"]["pretokenizers"][0] = split("a", "Sideways"); },
          "Split is Sideways");
  refused([&](json& t) { t["pre_tokenizer"]["pretokenizers"][0] = split("(a", "Isolated"); },
          "the regular expression (a has at offset 2: missing closing parenthesis");
  EXPECT_TRUE(contains(user_error([] { open_hf_tokenizer("{\"model\"", "cut.json"); }),
                       "cut.json: not a tokenizer.json of Hugging Face, or damaged"));
  EXPECT_TRUE(contains(user_error([] { open_hf_tokenizer("", "empty.json"); }), "empty.json: "));
}

}  // namespace
}  // namespace rondo
