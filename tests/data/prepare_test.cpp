#include "data/prepare.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "data/dataset/indexed_dataset.h"
#include "data/tokenizers/tokenizer.h"
#include "data/tokenizers/utf8.h"
#include "tests/data/scratch_folder.h"

namespace rondo {
namespace {

std::vector<int64_t> tokens_of(const std::string& prefix) {
  const IndexedDataset data(prefix);
  std::vector<int64_t> tokens(static_cast<size_t>(data.tokens()));
  data.read(0, tokens);
  return tokens;
}

std::string as_text(const std::vector<int64_t>& tokens) { return {tokens.begin(), tokens.end()}; }

std::string decode(const std::string& model, const std::vector<int64_t>& tokens) {
  sentencepiece::SentencePieceProcessor processor;
  EXPECT_TRUE(processor.Load(model).ok());
  std::string text;
  EXPECT_TRUE(processor.Decode(std::vector<int>(tokens.begin(), tokens.end()), &text).ok());
  return text;
}

/// Lines of words that repeat, with whitespace and characters that normalisers like to change.
std::string prose(int lines) {
  const std::vector<std::string> words = {"the",  "refrain", "comes", "back",  "again", "and",
                                          "each", "block",   "turns", "naïve", "ﬁnal",  "½"};
  std::string text;
  size_t state = 1;
  for (int line = 0; line < lines; ++line) {
    text += line % 3 == 0 ? "  " : "";
    for (int word = 0; word < 9; ++word) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      text += words[(state >> 33) % words.size()] + " ";
    }
    text += "\n";
  }
  return text;
}

class Prepare : public ::testing::Test {
 protected:
  PrepareOptions options(std::vector<std::string> inputs) const {
    PrepareOptions options;
    options.inputs = std::move(inputs);
    options.output = prefix_;
    return options;
  }
  std::string error(const PrepareOptions& options) const {
    const auto before = folder_.names();
    const std::string line = user_error([&] { prepare(options); });
    EXPECT_EQ(folder_.names(), before) << "something was left behind";
    return line;
  }

  ScratchFolder folder_;
  std::string prefix_ = folder_.path("corpus");
};

TEST_F(Prepare, WritesBytesAsTokensAndFilesAsDocuments) {
  const PrepareReport report =
      prepare(options({folder_.write("a.txt", "a\xFFz"), folder_.write("b.txt", "bb")}));
  EXPECT_EQ(tokens_of(prefix_), (std::vector<int64_t>{'a', 255, 'z', 'b', 'b'}));
  EXPECT_EQ(IndexedDataset(prefix_).documents(), 2);
  EXPECT_EQ(IndexedDataset(prefix_).document(0).end, 3);
  EXPECT_EQ(folder_.names(),
            (std::set<std::string>{"a.txt", "b.txt", "corpus.bin", "corpus.idx", "corpus.json"}));
  EXPECT_EQ(report.train.tokens, 5);
  EXPECT_FALSE(report.validation.has_value());
}

TEST_F(Prepare, DescribesTheCorpusBesideIt) {
  const PrepareReport report = prepare(options({folder_.write("a.txt", "aabbccdd")}));
  const DatasetInfo expected{"bytes", 256, 8, 8, 1, 2.0};
  EXPECT_EQ(report.train, expected);
  EXPECT_EQ(read_dataset_info(prefix_), expected);
  EXPECT_EQ(read_dataset_info(folder_.path("absent")), std::nullopt);
  folder_.write("corpus.json", "{\"tokenizer\": 7");
  EXPECT_TRUE(contains(user_error([&] { read_dataset_info(prefix_); }), "corpus.json: damaged"));
  folder_.write("corpus.json", "{\"tokenizer\": \"bytes\"}");
  EXPECT_TRUE(contains(user_error([&] { read_dataset_info(prefix_); }), "corpus.json: damaged"));
}

TEST_F(Prepare, HoldsOutTheEndOfEachDocumentAtALine) {
  PrepareOptions chosen =
      options({folder_.write("a.txt", "11\n22\n33\n44\n55\n66\n77\n88\n99\n00\n"),
               folder_.write("b.txt", "one\ntwo\nthree and a long end\n")});
  chosen.holdout = 0.25;
  const PrepareReport report = prepare(chosen);
  EXPECT_EQ(as_text(tokens_of(prefix_)), "11\n22\n33\n44\n55\n66\n77\none\ntwo\n");
  EXPECT_EQ(as_text(tokens_of(prefix_ + ".validation")), "88\n99\n00\nthree and a long end\n");
  EXPECT_EQ(report.train.documents, 2);
  ASSERT_TRUE(report.validation.has_value());
  EXPECT_EQ(report.validation->bytes, 9 + 21);
  EXPECT_EQ(read_dataset_info(prefix_ + ".validation"), report.validation);
}

TEST_F(Prepare, HoldsOutFromTheNearestLine) {
  PrepareOptions chosen = options({folder_.write("a.txt", "1\n2345678\n90abcdefghi\n")});
  chosen.holdout = 0.6;  // byte 8 of 22, where 2 and 10 begin lines
  prepare(chosen);
  EXPECT_EQ(as_text(tokens_of(prefix_ + ".validation")), "90abcdefghi\n");
  chosen.holdout = 0.8;  // byte 4
  prepare(chosen);
  EXPECT_EQ(as_text(tokens_of(prefix_)), "1\n");
}

TEST_F(Prepare, HoldsOutAtACharacterWhereNoLineEnds) {
  PrepareOptions chosen = options({folder_.write("a.txt", "ééééé")});
  chosen.holdout = 0.5;
  prepare(chosen);
  EXPECT_EQ(as_text(tokens_of(prefix_)), "éé");
  EXPECT_EQ(as_text(tokens_of(prefix_ + ".validation")), "ééé");
}

TEST_F(Prepare, ReportsProgressUpToTheLastByte) {
  const std::string text = prose(5000);
  ASSERT_GT(text.size(), 200000U);
  PrepareOptions chosen = options({folder_.write("a.txt", text), folder_.write("b.txt", "b")});
  chosen.holdout = 0.1;
  std::vector<int64_t> done;
  prepare(chosen, [&](int64_t bytes, int64_t total) {
    EXPECT_EQ(total, static_cast<int64_t>(text.size()) + 1);
    done.push_back(bytes);
  });
  EXPECT_GT(done.size(), 3U);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), static_cast<int64_t>(text.size()) + 1);
  EXPECT_EQ(as_text(tokens_of(prefix_)) + as_text(tokens_of(prefix_ + ".validation")), text + "b");
}

TEST_F(Prepare, TrainsATokenizerThatLosesNothing) {
  const std::string model = folder_.path("small.model");
  const std::string text = prose(3000) + "\n\n\tnever seen: 漢字 \xF0\x9F\x8E\xB5  \r\n end";
  PrepareOptions chosen = options({folder_.write("a.txt", text)});
  chosen.tokenizer = "sentencepiece:" + model;
  chosen.vocab = 320;
  const PrepareReport report = prepare(chosen);
  EXPECT_TRUE(report.trained_tokenizer);
  EXPECT_EQ(report.train.vocab, 320);
  EXPECT_EQ(report.train.tokenizer, chosen.tokenizer);
  EXPECT_LT(report.train.tokens * 2, report.train.bytes);
  EXPECT_EQ(decode(model, tokens_of(prefix_)), text);
  EXPECT_EQ(folder_.names(),
            (std::set<std::string>{"a.txt", "corpus.bin", "corpus.idx", "corpus.json",
                                   "corpus.tokenizer", "small.model"}));
}

TEST_F(Prepare, EncodesWithATokenizerThatExists) {
  const std::string model = folder_.path("small.model");
  PrepareOptions chosen = options({folder_.write("a.txt", prose(3000))});
  chosen.tokenizer = "sentencepiece:" + model;
  chosen.vocab = 320;
  prepare(chosen);
  const std::string bytes = folder_.read("small.model");
  chosen.vocab = 0;
  chosen.inputs = {folder_.write("b.txt", "again and again\n")};
  EXPECT_FALSE(prepare(chosen).trained_tokenizer);
  EXPECT_EQ(decode(model, tokens_of(prefix_)), "again and again\n");
  EXPECT_EQ(folder_.read("small.model"), bytes);
  chosen.vocab = 400;
  EXPECT_TRUE(contains(error(chosen), "has 320 pieces but --vocab asks for 400"));
}

TEST_F(Prepare, TrainsNoTokenizerOnHeldOutText) {
  const std::string text = prose(500);
  PrepareOptions chosen = options({folder_.write("a.txt", text)});
  chosen.vocab = 300;
  chosen.tokenizer = "sentencepiece:" + folder_.path("one.model");
  prepare(chosen);
  std::string upper = text;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  chosen.inputs = {folder_.write("b.txt", text + upper)};
  chosen.holdout = 0.5;
  chosen.tokenizer = "sentencepiece:" + folder_.path("two.model");
  prepare(chosen);
  EXPECT_EQ(folder_.read("one.model"), folder_.read("two.model"));
}

TEST_F(Prepare, TrainsTheSameTokenizerTwice) {
  PrepareOptions chosen = options({folder_.write("a.txt", prose(500))});
  chosen.vocab = 300;
  for (const char* name : {"one.model", "two.model"}) {
    chosen.tokenizer = "sentencepiece:" + folder_.path(name);
    prepare(chosen);
  }
  EXPECT_EQ(folder_.read("one.model"), folder_.read("two.model"));
}

TEST_F(Prepare, TakesFilesFromAList) {
  const std::string a = folder_.write("a.txt", "first\n");
  const std::string b = folder_.write("b.txt", "second\n");
  PrepareOptions listed = options({a});
  listed.input_list = folder_.write("list", b + "\r\n\n" + a);
  prepare(listed);
  EXPECT_EQ(as_text(tokens_of(prefix_)), "first\nsecond\nfirst\n");
  EXPECT_EQ(IndexedDataset(prefix_).documents(), 3);
  listed.input_list = folder_.write("list", "\n\n");
  EXPECT_TRUE(contains(user_error([&] { prepare(listed); }), "names no file"));
}

TEST_F(Prepare, OpensOneFileAtATime) {
  const auto mappings = [] {
    std::ifstream maps("/proc/self/maps");
    return std::count(std::istreambuf_iterator<char>(maps), {}, '\n');
  };
  std::string list;
  for (int i = 0; i < 400; ++i) {
    list += folder_.write(std::to_string(i) + ".txt", "a line\n") + "\n";
  }
  PrepareOptions many = options({});
  many.input_list = folder_.write("list", list);
  const auto before = mappings();
  auto most = before;
  prepare(many, [&](int64_t, int64_t) { most = std::max(most, mappings()); });
  EXPECT_LT(most, before + 50);
  EXPECT_EQ(IndexedDataset(prefix_).documents(), 400);
}

TEST_F(Prepare, ReadsTheTextsOfJsonLines) {
  PrepareOptions lines = options({folder_.write(
      "a.jsonl",
      "{\"text\": \"na\\u00efve\\n\", \"id\": 1}\n\n{\"text\": \"\"}\r\n{\"text\": \"two\"}")});
  lines.jsonl_key = "text";
  const PrepareReport report = prepare(lines);
  EXPECT_EQ(as_text(tokens_of(prefix_)), "na\xC3\xAFve\ntwo");
  EXPECT_EQ(report.train.documents, 2) << "an empty text is none";
  EXPECT_EQ(report.train.bytes, 10);
  for (const char* line : {"{\"text\": 1}", "[1]", "{\"text\": \"a", "{\"other\": \"a\"}"}) {
    lines.inputs = {folder_.write("b.jsonl", "{\"text\": \"a\"}\n" + std::string(line))};
    EXPECT_TRUE(contains(user_error([&] { prepare(lines); }),
                         "b.jsonl:2: not a JSON object with a text under \"text\""));
  }
}

TEST_F(Prepare, HoldsOutTheEndOfEachTextOfJsonLines) {
  PrepareOptions lines =
      options({folder_.write("a.jsonl", "{\"t\": \"1\\n2\\n3\\n4\\n\"}\n{\"t\": \"5\\n6\\n\"}\n")});
  lines.jsonl_key = "t";
  lines.holdout = 0.5;
  prepare(lines);
  EXPECT_EQ(as_text(tokens_of(prefix_)), "1\n2\n5\n");
  EXPECT_EQ(as_text(tokens_of(prefix_ + ".validation")), "3\n4\n6\n");
}

TEST_F(Prepare, RefusesTextThatIsNotUtf8) {
  const std::string text = prose(5000);
  PrepareOptions chosen =
      options({folder_.write("good.txt", text), folder_.write("bad.txt", text + "\xC3(" + text)});
  chosen.tokenizer = "sentencepiece:" + folder_.path("small.model");
  chosen.vocab = 320;
  const std::string line = error(chosen);
  EXPECT_TRUE(contains(line, "bad.txt: not UTF-8 at byte " + std::to_string(text.size()))) << line;
  EXPECT_TRUE(contains(line, "0xC3"));
}

TEST_F(Prepare, RefusesBadInputs) {
  EXPECT_TRUE(contains(error(options({})), "no input"));
  EXPECT_TRUE(contains(error(options({folder_.path("absent.txt")})), "absent.txt: cannot open"));
  EXPECT_TRUE(contains(error(options({folder_.path("")})), "not a regular file"));
  const std::string good = folder_.write("good.txt", "text\n");
  EXPECT_TRUE(
      contains(error(options({good, folder_.write("e.txt", "")})), "e.txt: the file is empty"));
  EXPECT_TRUE(contains(error(options({good, folder_.write("corpus.json", "{}")})),
                       "would replace the input"));
}

TEST_F(Prepare, RefusesBadOptions) {
  const PrepareOptions good = options({folder_.write("good.txt", "text\n")});
  PrepareOptions bad = good;
  bad.output = "";
  EXPECT_TRUE(contains(error(bad), "no output"));
  bad.output = folder_.path("absent/corpus");
  EXPECT_TRUE(contains(error(bad), "does not exist"));
  for (const double holdout : {-0.1, 1.0, std::nan("")}) {
    bad = good;
    bad.holdout = holdout;
    EXPECT_TRUE(contains(error(bad), "--holdout"));
  }
  bad.holdout = 0.5;
  bad.inputs = {folder_.write("short.txt", "t")};
  EXPECT_TRUE(contains(error(bad), "no token"));
}

TEST_F(Prepare, NamesTheSizesThatATextCanTrain) {
  PrepareOptions chosen = options({folder_.write("a.txt", prose(100))});
  chosen.tokenizer = "sentencepiece:" + folder_.path("small.model");
  const auto number_behind = [&](int64_t vocab, const std::string& words) {
    chosen.vocab = vocab;
    const std::string line = error(chosen);
    const size_t at = line.find(words);
    EXPECT_NE(at, std::string::npos) << line;
    return at == std::string::npos ? 0 : std::stoll(line.substr(at + words.size()));
  };
  const int64_t least = number_behind(261, "raise --vocab to at least ");
  const int64_t most = number_behind(100000, "lower --vocab to at most ");
  EXPECT_LT(least, most);
  number_behind(least - 1, "raise --vocab to at least ");
  number_behind(most + 1, "lower --vocab to at most ");
  for (const int64_t possible : {least, most}) {
    chosen.vocab = possible;
    EXPECT_TRUE(prepare(chosen).trained_tokenizer);
    std::filesystem::remove(folder_.path("small.model"));
  }
}

TEST_F(Prepare, RefusesTokenizersThatItDoesNotHave) {
  PrepareOptions bad = options({folder_.write("good.txt", "text\n")});
  const auto refused = [&](const std::string& name, int64_t vocab, std::string_view why) {
    bad.tokenizer = name;
    bad.vocab = vocab;
    const std::string line = error(bad);
    EXPECT_TRUE(contains(line, why)) << line;
  };
  for (const char* name : {"byte", "sentencepiece:", "hf:", "bytes:file", ""}) {
    refused(name, 0, "use bytes, sentencepiece:FILE or hf:tokenizer.json");
  }
  refused("hf:" + folder_.path("absent.json"), 300, "absent.json: no such file");
  refused("bytes", 300, "bytes has 256");
  refused("bytes", -1, "positive");
  const std::string absent = folder_.path("absent.model");
  refused("sentencepiece:" + absent, 0, "absent.model: no such file");
  refused("sentencepiece:" + absent, 255, "more than 259");
  refused("sentencepiece:" + absent, 100000, "--vocab 100000: more than this text makes; lower");
  refused("sentencepiece:" + folder_.path("no/folder.model"), 300, "cannot write");
  const std::string damaged = folder_.write("damaged.model", "not a model");
  refused("sentencepiece:" + damaged, 0, "damaged.model: not a SentencePiece model");
  refused("sentencepiece:" + folder_.write("empty.model", ""), 0, "not a SentencePiece model");
}

TEST(Utf8, AcceptsTheBoundsOfEveryFormAndNothingBeyond) {
  for (const char* good :
       {"\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(first_invalid_utf8(good), std::nullopt) << good;
  }
  for (const char* bad :
       {"\x80", "\xC1\xBF", "\xC2", "\xC2\xC2", "\xE0\x9F\xBF", "\xE1\x80", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF1\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_EQ(first_invalid_utf8("é" + std::string(bad)), 2U) << bad;
  }
  EXPECT_EQ(first_invalid_utf8(""), std::nullopt);
  EXPECT_EQ(first_invalid_utf8(std::string(1, '\0')), std::nullopt);
}

TEST(Utf8, FindsTheBoundaryBeforeACharacter) {
  const std::string text = "a\xF0\x9F\x8E\xB5";
  EXPECT_EQ(character_boundary(text, 0), 0U);
  EXPECT_EQ(character_boundary(text, 1), 1U);
  for (const size_t inside : {2, 3, 4}) EXPECT_EQ(character_boundary(text, inside), 1U);
  EXPECT_EQ(character_boundary(text, 5), 5U);
}

}  // namespace
}  // namespace rondo
