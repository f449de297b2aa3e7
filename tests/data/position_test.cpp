// What a run reads after one of the values has changed that decide the order of its samples.
#include "data/dataset/position.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>

#include "data/dataset/batches.h"
#include "tests/data/scratch_folder.h"

namespace rondo {
namespace {

class Position : public ::testing::Test {
 protected:
  /// Tokens base, base + 1, …: a token tells its corpus and its place.
  Corpus corpus(const std::string& name, int64_t tokens, double weight = 1,
                int64_t base = 0) const {
    IndexedDatasetWriter writer(folder_.path(name), 1 << 30);
    std::vector<int64_t> values(static_cast<size_t>(tokens));
    std::iota(values.begin(), values.end(), base);
    writer.append(values);
    writer.finish();
    return {IndexedDataset(folder_.path(name)), weight};
  }

  ScratchFolder folder_;
};

/// A run that may stop and go on with other values.
struct Reader {
  int64_t samples = 0;
  DataPosition position = {};

  /// Reads `count` samples; returns their inputs.
  std::vector<int64_t> read(const std::vector<Corpus>& corpora, const SampleOptions& options,
                            int64_t count) {
    SampleSource source(corpora, options);
    source.resume(position_from_json(to_json(position), "test"));
    const Batch batch = source.batch(samples, 0, count);
    for (size_t i = 0; i < batch.inputs.size(); ++i) {
      EXPECT_EQ(batch.targets[i], batch.inputs[i] + 1);
    }
    samples += count;
    position = source.position(samples);
    EXPECT_EQ(samples_of(position), samples);
    return batch.inputs;
  }
};

std::vector<int64_t> counting(int64_t first, int64_t count) {
  std::vector<int64_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return values;
}

TEST_F(Position, InOrderAnotherSequenceGoesOnAtTheFirstTokenThatWasNotRead) {
  const std::vector<Corpus> a = {corpus("a", 1000)};
  Reader run;
  EXPECT_EQ(run.read(a, {.sequence = 16, .shuffle = false}, 5), counting(0, 80));
  EXPECT_EQ(run.read(a, {.sequence = 24, .shuffle = false}, 3), counting(80, 72));
  EXPECT_EQ(run.read(a, {.sequence = 7, .shuffle = false}, 10), counting(152, 70));
  EXPECT_EQ(run.read(a, {.sequence = 16, .shuffle = false}, 2), counting(222, 32));
}

TEST_F(Position, InOrderTheEpochThatFollowsIsWhole) {
  const std::vector<Corpus> a = {corpus("a", 101)};
  Reader run;
  run.read(a, {.sequence = 16, .shuffle = false}, 5);
  EXPECT_EQ(run.read(a, {.sequence = 30, .shuffle = false}, 4).front(), 0);
  EXPECT_EQ(run.read(a, {.sequence = 5, .shuffle = false}, 2), counting(30, 10));
}

TEST_F(Position, ShuffledAnotherSequenceReadsTheRestOfTheEpochOnce) {
  for (const int64_t after : {4, 8, 24, 32, 50}) {
    for (const int64_t before : {1, 17, 40, 62}) {
      const std::vector<Corpus> a = {corpus("a", 1001)};  // 62 samples of 16, and 8 tokens
      Reader run;
      const std::vector<int64_t> first = run.read(a, {.sequence = 16, .shuffle = true}, before);
      const std::vector<int64_t> second =
          run.read(a, {.sequence = after, .shuffle = true}, (1000 - before * 16) / after);
      std::set<int64_t> seen(first.begin(), first.end());
      for (const int64_t token : second) {
        EXPECT_TRUE(seen.insert(token).second) << token << " was read before";
      }
      EXPECT_GT(static_cast<int64_t>(seen.size()), 1000 - after) << "a whole sample was left out";
    }
  }
}

TEST_F(Position, ShuffledTheRestOfARestIsReadOnce) {
  const std::vector<Corpus> a = {corpus("a", 2001)};
  Reader run;
  std::multiset<int64_t> seen;
  const auto note = [&](const std::vector<int64_t>& tokens) {
    seen.insert(tokens.begin(), tokens.end());
  };
  note(run.read(a, {.sequence = 10, .shuffle = true}, 61));
  note(run.read(a, {.sequence = 30, .shuffle = true}, 13));
  note(run.read(a, {.sequence = 20, .shuffle = true, .seed = 9}, 20));
  note(run.read(a, {.sequence = 20, .shuffle = false}, 10));
  note(run.read(a, {.sequence = 40, .shuffle = true}, 10));
  EXPECT_EQ(seen.size(), 2000U);
  EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 2000U);
}

TEST_F(Position, AStopWithoutAChangeChangesNothing) {
  const std::vector<Corpus> corpora = {corpus("a", 999, 0.7), corpus("b", 333, 0.3, 5000)};
  for (const bool shuffle : {false, true}) {
    const SampleOptions options{.sequence = 8, .shuffle = shuffle};
    const std::vector<int64_t> straight = Reader().read(corpora, options, 400);
    Reader run;
    std::vector<int64_t> joined;
    for (const int64_t count : {3, 0, 130, 7, 260}) {
      const std::vector<int64_t> part = run.read(corpora, options, count);
      joined.insert(joined.end(), part.begin(), part.end());
    }
    EXPECT_EQ(joined, straight);
    EXPECT_EQ(run.position.size(), 1U);
  }
}

TEST_F(Position, AnotherBlendGoesOnInEachCorpusWhereItWas) {
  const Corpus a = corpus("a", 4001);
  const Corpus b = corpus("b", 4001, 1, 5000);
  const Corpus c = corpus("c", 4001, 1, 10000);
  Reader run;
  run.read({a, b}, {.sequence = 10, .shuffle = false}, 40);  // 20 samples of each
  const SampleOptions options{.sequence = 10, .shuffle = false};
  const std::vector<int64_t> next = run.read({c, b, {a.data, 2}}, options, 40);
  std::map<int64_t, std::vector<int64_t>> by_corpus;
  for (const int64_t token : next) by_corpus[token / 5000].push_back(token % 5000);
  EXPECT_EQ(by_corpus[0], counting(200, 200));
  EXPECT_EQ(by_corpus[1], counting(200, 100));
  EXPECT_EQ(by_corpus[2], counting(0, 100)) << "which was not read before";
}

TEST_F(Position, ACorpusMayMoveToAnotherFolder) {
  const SampleOptions options{.sequence = 10, .shuffle = true};
  const std::vector<int64_t> straight = Reader().read({corpus("a", 1001)}, options, 30);
  Reader run;
  std::vector<int64_t> joined = run.read({corpus("a", 1001)}, options, 10);
  std::filesystem::create_directory(folder_.path("new"));
  const std::vector<int64_t> rest = run.read({corpus("new/a", 1001)}, options, 20);
  joined.insert(joined.end(), rest.begin(), rest.end());
  EXPECT_EQ(joined, straight);
}

TEST_F(Position, WhatIsHeldOutStaysHeldOut) {
  const std::vector<Corpus> a = {corpus("a", 1001)};
  Reader run;
  std::vector<int64_t> seen = run.read(a, {.sequence = 10, .shuffle = true, .validation = 0.2}, 50);
  for (const int64_t token :
       run.read(a, {.sequence = 20, .shuffle = true, .validation = 0.2}, 60)) {
    seen.push_back(token);
  }
  for (const int64_t token : seen) EXPECT_LT(token, 800);
}

TEST(PositionJson, ThatIsDamagedIsRefused) {
  for (const char* text : {"", "{", "[1]", "[{\"sequence\": 4}]",
                           "[{\"sequence\": 4.5, \"shuffle\": true, \"seed\": 0, \"validation\": "
                           "0, \"corpora\": []}]",
                           "[{\"sequence\": 0, \"shuffle\": true, \"seed\": 0, \"validation\": 0, "
                           "\"corpora\": []}]"}) {
    EXPECT_TRUE(contains(user_error([&] { position_from_json(text, "f.h5"); }), "f.h5: its data"));
  }
}

}  // namespace
}  // namespace rondo
