#include "data/dataset/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "base/run_error.h"
#include "base/splitmix64.h"
#include "data/dataset/permutation.h"
#include "tests/data/scratch_folder.h"

namespace rondo {
namespace {

class Batches : public ::testing::Test {
 protected:
  /// Tokens base, base + 1, …: a token tells its corpus and its position.
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

SampleOptions options(int64_t sequence, bool shuffle) {
  return {.sequence = sequence, .shuffle = shuffle};
}

TEST_F(Batches, HoldSamplesInOrderWithTargetsShiftedByOne) {
  const SampleSource source({corpus("a", 100)}, options(4, false));
  const Batch batch = source.batch(6, 0, 2);
  EXPECT_EQ(batch.rows, 2);
  EXPECT_EQ(batch.sequence, 4);
  EXPECT_EQ(batch.inputs, (std::vector<int64_t>{24, 25, 26, 27, 28, 29, 30, 31}));
  EXPECT_EQ(batch.targets, (std::vector<int64_t>{25, 26, 27, 28, 29, 30, 31, 32}));
}

TEST_F(Batches, WrapAroundAfterTheLastWholeSample) {
  // 12 tokens are 2 samples of 4 and their targets: (12 − 1) / 4. 13 tokens are 3.
  const SampleSource two({corpus("a", 12)}, options(4, false));
  EXPECT_EQ(two.samples(), 2);
  EXPECT_EQ(two.batch(2, 0, 1).inputs, (std::vector<int64_t>{0, 1, 2, 3}));
  const SampleSource three({corpus("b", 13)}, options(4, false));
  EXPECT_EQ(three.samples(), 3);
  EXPECT_EQ(three.batch(2, 0, 2).inputs, (std::vector<int64_t>{8, 9, 10, 11, 0, 1, 2, 3}));
  EXPECT_EQ(three.batch(2, 0, 1).targets, (std::vector<int64_t>{9, 10, 11, 12}));
}

TEST_F(Batches, BeginAStrideApart) {
  SampleOptions apart = options(4, false);
  apart.stride = 5;
  const SampleSource two({corpus("a", 14)}, apart);  // the third would need token 14
  EXPECT_EQ(two.samples(), 2);
  EXPECT_EQ(two.batch(1, 0, 1).inputs, (std::vector<int64_t>{5, 6, 7, 8}));
  EXPECT_EQ(two.batch(1, 0, 1).targets, (std::vector<int64_t>{6, 7, 8, 9}));
  EXPECT_EQ(SampleSource({corpus("b", 15)}, apart).samples(), 3);
}

TEST_F(Batches, DoNotDependOnHowRowsAreSplitOverReplicas) {
  for (const bool shuffle : {false, true}) {
    const SampleSource source({corpus("a", 999, 0.7), corpus("b", 333, 0.3, 5000)},
                              options(8, shuffle));
    for (int64_t step = 0; step < 20; ++step) {
      const Batch whole = source.batch(12 * step, 0, 12);
      for (const int64_t replicas : {2, 3, 4, 12}) {
        Batch joined;
        for (int64_t r = 0; r < replicas; ++r) {
          const Batch part = source.batch(12 * step, r * 12 / replicas, 12 / replicas);
          joined.inputs.insert(joined.inputs.end(), part.inputs.begin(), part.inputs.end());
          joined.targets.insert(joined.targets.end(), part.targets.begin(), part.targets.end());
        }
        EXPECT_EQ(joined.inputs, whole.inputs);
        EXPECT_EQ(joined.targets, whole.targets);
      }
    }
  }
}

TEST_F(Batches, VisitEverySampleOnceAnEpochWhenShuffled) {
  const SampleSource source({corpus("a", 402)}, options(4, true));
  ASSERT_EQ(source.samples(), 100);
  std::vector<std::vector<int64_t>> epochs;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> order;
    for (int64_t i = 0; i < 100; ++i) order.push_back(source.address(100 * epoch + i).sample);
    EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), 100U);
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
    epochs.push_back(order);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
}

TEST_F(Batches, ShuffleEachCorpusInAnOrderOfItsOwn) {
  const SampleSource source({corpus("a", 402), corpus("b", 402)}, options(4, true));
  std::vector<std::vector<int64_t>> orders(2);
  for (int64_t i = 0; i < 200; ++i) {
    orders[source.address(i).corpus].push_back(source.address(i).sample);
  }
  EXPECT_NE(orders[0], orders[1]);
}

TEST_F(Batches, FollowTheSeed) {
  const auto order = [&](uint64_t seed) {
    SampleOptions chosen = options(4, true);
    chosen.seed = seed;
    const SampleSource source({corpus("a", 402)}, chosen);
    std::vector<int64_t> samples;
    for (int64_t i = 0; i < 100; ++i) samples.push_back(source.address(i).sample);
    return samples;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
}

TEST_F(Batches, BlendInExactProportionsAndEvenly) {
  const SampleSource source({corpus("a", 101, 7), corpus("b", 101, 2), corpus("c", 101, 1)},
                            options(4, false));
  const std::vector<int64_t> shares = {7, 2, 1};
  std::vector<int64_t> used(3, 0);
  for (int64_t i = 1; i <= 5000; ++i) {
    ++used[source.address(i - 1).corpus];
    for (size_t c = 0; c < 3; ++c) {
      // Never a whole sample away from the ideal share, at any moment.
      EXPECT_LE(std::abs(10 * used[c] - shares[c] * i), 10) << i;
    }
  }
  EXPECT_EQ(used, (std::vector<int64_t>{3500, 1000, 500}));
}

TEST_F(Batches, GiveNextToNoWeightNoShare) {
  const Corpus a = corpus("a", 101);
  const Corpus b = corpus("b", 101);
  const SampleSource source({{a.data, 1e-300}, {b.data, 1e300}}, options(10, true));
  int64_t of_a = 0;
  for (int64_t i = 0; i < 1000; ++i) of_a += source.address(i).corpus == 0 ? 1 : 0;
  EXPECT_LE(of_a, 1);
}

TEST_F(Batches, GiveEqualSharesInTurn) {
  const SampleSource source({corpus("a", 101), corpus("b", 101), corpus("c", 101)},
                            options(4, false));
  std::map<size_t, int64_t> used;
  for (int64_t i = 0; i < 1000; ++i) ++used[source.address(i).corpus];
  EXPECT_EQ(used, (std::map<size_t, int64_t>{{0, 334}, {1, 333}, {2, 333}}));
}

TEST_F(Batches, ConsumeEachCorpusInItsOwnOrderWithoutGaps) {
  const SampleSource source({corpus("a", 4001, 0.613), corpus("b", 41, 0.387)}, options(4, false));
  const std::vector<int64_t> samples = {1000, 10};
  std::vector<int64_t> next(2, 0);
  for (int64_t i = 0; i < 10000; ++i) {
    const auto address = source.address(i);
    EXPECT_EQ(address.sample, next[address.corpus]);
    next[address.corpus] = (next[address.corpus] + 1) % samples[address.corpus];
  }
}

TEST_F(Batches, ReadTheCorpusThatTheAddressNames) {
  const SampleSource source({corpus("a", 101, 1), corpus("b", 101, 1, 1000)}, options(4, true));
  for (int64_t i = 0; i < 100; ++i) {
    const auto address = source.address(i);
    const int64_t first = static_cast<int64_t>(address.corpus) * 1000 + address.sample * 4;
    EXPECT_EQ(source.batch(i - i % 2, i % 2, 1).inputs[0], first);
  }
}

TEST_F(Batches, KeepTheTailOfEachCorpusForValidation) {
  for (const bool shuffle : {false, true}) {
    SampleOptions chosen = options(4, shuffle);
    chosen.validation = 0.1;
    const std::vector<Corpus> corpora = {corpus("a", 401), corpus("b", 41)};
    const SampleSource train(corpora, chosen);
    chosen.split = DataSplit::validation;
    const SampleSource held_out(corpora, chosen);
    EXPECT_EQ(train.samples(), 90 + 9);
    EXPECT_EQ(held_out.samples(), 10 + 1);
    const std::vector<int64_t> bound = {90, 9};
    for (int64_t i = 0; i < 3000; ++i) {
      EXPECT_LT(train.address(i).sample, bound[train.address(i).corpus]);
      EXPECT_GE(held_out.address(i).sample, bound[held_out.address(i).corpus]);
    }
  }
}

TEST_F(Batches, RefuseWhatHoldsNoSample) {
  const auto error = [&](std::vector<Corpus> corpora, const SampleOptions& chosen) {
    return user_error([&] { SampleSource source(corpora, chosen); });
  };
  const Corpus a = corpus("a", 100);
  EXPECT_TRUE(contains(error({a}, options(100, true)), "100 tokens are too few"));
  EXPECT_TRUE(contains(error({a}, options(0, true)), "data.sequence"));
  EXPECT_TRUE(contains(error({}, options(4, true)), "no corpus"));
  for (const double weight : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    EXPECT_TRUE(contains(error({a, {a.data, weight}}, options(4, true)), "weight"));
  }
  SampleOptions chosen = options(50, true);
  chosen.validation = 0.5;
  EXPECT_TRUE(contains(error({a}, chosen), "none for training"));
  chosen.validation = 1.0;
  EXPECT_TRUE(contains(error({a}, chosen), "data.validation = 1"));
  chosen.validation = 0;
  chosen.split = DataSplit::validation;
  EXPECT_TRUE(contains(error({a}, chosen), "none for validation"));
}

TEST_F(Batches, NameTheTokenThatTheModelDoesNotKnowAndWhetherTheFileHasChanged) {
  SampleOptions chosen = options(4, false);
  chosen.vocab = 1025;
  const SampleSource source({corpus("a", 101), corpus("b", 101, 1, 1000)}, chosen);
  EXPECT_EQ(source.batch(10, 0, 2).targets.back(), 1024) << "the last that fits";
  const std::string fault =
      "b.bin: token 1025 at position 25 is outside the model's vocabulary of 1025";
  EXPECT_TRUE(contains(user_error([&] { source.batch(12, 0, 2); }), fault));
  const std::filesystem::path file = folder_.path("b.bin");
  last_write_time(file, last_write_time(file) + std::chrono::seconds(1));
  try {
    source.batch(12, 0, 2);
    ADD_FAILURE() << "no error";
  } catch (const RunError& error) {
    EXPECT_TRUE(contains(error.what(), fault + ": the file has changed since it was opened"));
  }
}

/// The largest distance of a corpus from its share over all beginnings of the order.
double largest_lag(BlendOrder order, const std::vector<double>& weights, int64_t turns) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> used(weights.size(), 0);
  double largest = 0;
  for (int64_t i = 1; i <= turns; ++i) {
    ++used[order.turn(i - 1).corpus];
    for (size_t c = 0; c < weights.size(); ++c) {
      const double share = static_cast<double>(i) * weights[c] / sum;
      largest = std::max(largest, std::abs(static_cast<double>(used[c]) - share));
    }
  }
  return largest;
}

TEST(BlendOrder, KeepsEveryCorpusWithinOneSampleOfItsShare) {
  std::vector<std::vector<double>> blends = {{0.9994, 0.0006}, {1, 1, 1},       {7, 2, 1},
                                             {1e-7, 1},        {1, 1e-3, 1e-5}, {3, 3, 3, 1, 1e6}};
  std::mt19937_64 generator(3);
  for (const size_t corpora : {2, 3, 5, 17, 300}) {
    for (int i = 0; i < 4; ++i) {
      std::vector<double> weights(corpora);
      for (double& weight : weights) {
        weight = std::pow(10.0, -4.0 * static_cast<double>(generator() % 1000) / 1000);
      }
      blends.push_back(weights);
    }
  }
  // Many light corpora beside a heavy one fall due together.
  std::vector<double> light(400, 1.0);
  light.push_back(399);
  blends.push_back(light);
  for (const auto& weights : blends) {
    EXPECT_LT(largest_lag(BlendOrder(weights), weights, 20000), 1 + 1e-6) << weights.size();
  }
}

TEST(BlendOrder, GivesARareCorpusItsExactNumberOfTurns) {
  BlendOrder order({0.9994, 0.0006});
  EXPECT_EQ(order.uses(100000), (std::vector<int64_t>{99940, 60}));
  EXPECT_EQ(order.uses(10000), (std::vector<int64_t>{9994, 6})) << "asked for backwards";
  EXPECT_EQ(order.uses(0), (std::vector<int64_t>{0, 0}));
}

TEST(BlendOrder, IsTheSameWhereverCountingStarts) {
  const std::vector<double> weights = {0.31, 0.0701, 0.5, 0.1199};
  BlendOrder straight(weights);
  BlendOrder saved(weights);
  saved.start_from(straight.uses(12345));
  for (const int64_t index : {12345, 12346, 300000, 12350, 700000, 299999, 5, 12344, 0}) {
    EXPECT_EQ(saved.turn(index).corpus, straight.turn(index).corpus) << index;
    EXPECT_EQ(saved.turn(index).earlier, straight.turn(index).earlier) << index;
  }
}

TEST(Permutation, IsABijectionOfEverySmallRange) {
  for (uint64_t n = 1; n <= 300; ++n) {
    for (const uint64_t key : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
      std::vector<bool> hit(n, false);
      for (uint64_t i = 0; i < n; ++i) {
        const uint64_t to = permute(i, n, key);
        ASSERT_LT(to, n);
        ASSERT_FALSE(hit[to]) << n;
        hit[to] = true;
      }
    }
  }
}

TEST(Permutation, IsABijectionAroundPowersOfTwo) {
  for (const uint64_t n : {4095, 4096, 4097, 65535, 65536, 65537, 100003}) {
    std::vector<bool> hit(n, false);
    for (uint64_t i = 0; i < n; ++i) hit[permute(i, n, 17)] = true;
    EXPECT_EQ(std::count(hit.begin(), hit.end(), true), static_cast<int64_t>(n));
  }
}

TEST(Permutation, StaysInHugeRanges) {
  const uint64_t n = (uint64_t{1} << 61) + 5;
  for (uint64_t i = 0; i < 1000; ++i) EXPECT_LT(permute(n - 1 - i, n, i), n);
}

TEST(Permutation, SendsEveryIndexEverywhereAlike) {
  // 10 × 10 counts over 20000 keys: 2000 expected in each, with a standard deviation of 42.
  std::vector<int64_t> counts(100, 0);
  for (uint64_t key = 0; key < 20000; ++key) {
    for (uint64_t i = 0; i < 10; ++i) ++counts[10 * i + permute(i, 10, splitmix64(key))];
  }
  for (const int64_t count : counts) EXPECT_NEAR(static_cast<double>(count), 2000, 6 * 42.4);
}

TEST(SplitMix64, GivesThePublishedSequence) {
  // First outputs of the reference implementation with seed 1234567.
  EXPECT_EQ(splitmix64(1234567), 6457827717110365317U);
  EXPECT_EQ(splitmix64(1234567 + 0x9E3779B97F4A7C15), 3203168211198807973U);
}

}  // namespace
}  // namespace rondo
