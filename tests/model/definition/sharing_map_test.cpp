#include "model/definition/sharing_map.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "base/user_error.h"

namespace rondo {
namespace {

/// 1-based digits of an assignment, as the papers print them.
std::string digits(const std::vector<int>& list) {
  std::string text;
  for (int id : list) text += static_cast<char>('1' + id);
  return text;
}

struct Golden {
  int depth, unique;
  std::string sequence, cycle, cycle_rev;
};

// Takase & Kiyono's released code, executed for these N and k = ceil(N / M).
const std::vector<Golden> goldens = {
    {6, 3, "112233", "123123", "123321"},
    {12, 6, "112233445566", "123456123456", "123456654321"},
    {18, 6, "111222333444555666", "123456123456123456", "123456123456654321"},
    {6, 2, "111222", "121212", "121221"},
    {8, 3, "11122233", "12312312", "12312321"},
    {5, 3, "11223", "12312", "12332"},
    {7, 4, "1122334", "1234123", "1234432"},
    {7, 3, "1112223", "1231231", "1231321"},
    {10, 3, "1111222233", "1231231231", "1231231321"},
};

TEST(SharingMap, AgreesWithTheReleasedCodeOfTakaseAndKiyono) {
  for (const Golden& golden : goldens) {
    EXPECT_EQ(digits(assign_blocks("sequence", golden.depth, golden.unique)), golden.sequence);
    EXPECT_EQ(digits(assign_blocks("cycle", golden.depth, golden.unique)), golden.cycle);
    EXPECT_EQ(digits(assign_blocks("cycle_rev", golden.depth, golden.unique)), golden.cycle_rev);
  }
}

TEST(SharingMap, MiddleStrategiesFollowMixtureOfRecursions) {
  const int depth = 14;
  const int unique = 5;  // 3 blocks in the middle, 4 recursions
  const std::vector<int> cycle = assign_blocks("middle_cycle", depth, unique);
  const std::vector<int> sequence = assign_blocks("middle_sequence", depth, unique);
  for (int layer = 1; layer < depth - 1; ++layer) {
    EXPECT_EQ(cycle[layer], (layer - 1) % 3 + 1);
    EXPECT_EQ(sequence[layer], (layer - 1) / 4 + 1);
  }
  EXPECT_EQ(cycle.front(), 0);
  EXPECT_EQ(cycle.back(), unique - 1);
  EXPECT_EQ(sequence.back(), unique - 1);
}

TEST(SharingMap, KnowsTheOtherStrategies) {
  EXPECT_EQ(digits(assign_blocks("none", 4, 0)), "1234");
  EXPECT_EQ(digits(assign_blocks("universal", 4, 0)), "1111");
  EXPECT_EQ(digits(assign_blocks("zigzag", 9, 3)), "123321123");
  EXPECT_EQ(digits(assign_blocks("interleaved", 7, 0)), "1232425");
  EXPECT_EQ(digits(assign_blocks("skip:1", 6, 0)), "112233");
  EXPECT_EQ(digits(assign_blocks("skip:2", 8, 0)), "12123434");
}

TEST(SharingMap, EveryStrategyUsesExactlyTheBlocksItPromises) {
  for (const std::string strategy :
       {"sequence", "cycle", "cycle_rev", "zigzag", "middle_cycle", "middle_sequence"}) {
    for (int depth = 1; depth <= 30; ++depth) {
      for (int unique = 1; unique <= depth; ++unique) {
        std::vector<int> list;
        try {
          list = assign_blocks(strategy, depth, unique);
        } catch (const UserError&) {
          continue;
        }
        const std::set<int> used(list.begin(), list.end());
        EXPECT_EQ(used.size(), static_cast<size_t>(unique)) << strategy << depth << "/" << unique;
        EXPECT_EQ(*used.rbegin(), unique - 1);
        EXPECT_EQ(list.size(), static_cast<size_t>(depth));
      }
    }
  }
}

TEST(SharingMap, PreludeAndCodaSurroundTheStrategy) {
  SharingOptions options{.strategy = "cycle", .unique = 2, .prelude = 2, .coda = 1};
  EXPECT_EQ(digits(make_sharing_map(options, 7).of(Slot::attention)), "1234345");
  options = {.strategy = "cycle", .unique = 3, .prelude = 1, .coda = 1};
  EXPECT_EQ(make_sharing_map(options, 11).of(Slot::attention),
            assign_blocks("middle_cycle", 11, 5));
}

TEST(SharingMap, ASlotMayBeSharedInAWayOfItsOwn) {
  SharingOptions options{.strategy = "cycle", .unique = 2};
  options.feed_forward = "universal";
  options.norms = "none";
  const SharingMap map = make_sharing_map(options, 4);
  EXPECT_EQ(digits(map.of(Slot::attention)), "1212");
  EXPECT_EQ(digits(map.of(Slot::feed_forward)), "1111");
  EXPECT_EQ(digits(map.of(Slot::attention_norm)), "1234");
  EXPECT_EQ(digits(map.of(Slot::feed_forward_norm)), "1234");
  options.attention = "sequence:4";
  EXPECT_EQ(digits(make_sharing_map(options, 4).of(Slot::attention)), "1234");
}

TEST(SharingMap, TakesAnExplicitMap) {
  SharingOptions options{.strategy = "explicit", .map = {0, 1, 2, 0}};
  EXPECT_EQ(digits(make_sharing_map(options, 4).of(Slot::feed_forward)), "1231");
}

std::string error_of(const SharingOptions& options, int depth) {
  try {
    make_sharing_map(options, depth);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

TEST(SharingMap, SaysWhatWouldWork) {
  EXPECT_EQ(error_of({.strategy = "sequence", .unique = 5}, 8),
            "sharing.unique = 5: no sequence of 5 blocks over 8 layers; possible: 1, 2, 3, 4, 8");
  EXPECT_EQ(error_of({.strategy = "cycle", .unique = 9}, 8),
            "sharing.unique = 9: strategy 'cycle' over 8 layers takes 1 to 8");
  EXPECT_NE(error_of({.strategy = "cyle", .unique = 2}, 8).find("known: cycle"), std::string::npos);
  EXPECT_NE(error_of({.strategy = "explicit", .map = {0, 2}}, 2).find("number them 0 to 1"),
            std::string::npos);
  EXPECT_NE(error_of({.strategy = "explicit", .map = {0}}, 2)
                .find("the blocks of 1 layer, but there are 2"),
            std::string::npos);
  EXPECT_NE(error_of({.strategy = "none", .unique = 3}, 8).find("has 8 blocks"), std::string::npos);
  EXPECT_NE(error_of({.strategy = "skip:x"}, 8).find("skip:2"), std::string::npos);
  EXPECT_NE(
      error_of({.strategy = "cycle", .unique = 1, .prelude = 4, .coda = 4}, 8).find("no layer"),
      std::string::npos);
}

TEST(SharingMap, SaysWhichLayersPreludeAndCodaLeave) {
  EXPECT_EQ(
      error_of({.strategy = "cycle", .unique = 4, .prelude = 3, .coda = 3}, 8),
      "sharing.unique = 4: strategy 'cycle' over 2 layers takes 1 to 2 (2 of 8 layers between "
      "sharing.prelude = 3 and sharing.coda = 3)");
  EXPECT_NE(error_of({.strategy = "explicit", .map = {0}, .prelude = 1}, 4).find("(3 of 4 layers"),
            std::string::npos);
}

TEST(SharingMap, WeighsEachUseByTheGradientPolicy) {
  const std::vector<int> list = {0, 1, 0, 0};
  EXPECT_EQ(gradient_weights(list, "sum"), (std::vector<double>{1, 1, 1, 1}));
  EXPECT_EQ(gradient_weights(list, "mean"), (std::vector<double>{1.0 / 3, 1, 1.0 / 3, 1.0 / 3}));
  EXPECT_EQ(gradient_weights(list, "owner"), (std::vector<double>{1, 1, 0, 0}));
  EXPECT_THROW(gradient_weights(list, "max"), UserError);
}

TEST(SharingMap, IsDrawnWithLayersAcrossAndComponentsAsLetters) {
  EXPECT_EQ(draw(make_sharing_map({.strategy = "cycle", .unique = 2}, 4)),
            "layer               0  1  2  3\n"
            "block               A  B  A  B\n");
  SharingOptions options{.strategy = "cycle", .unique = 2};
  options.feed_forward = "universal";
  EXPECT_NE(draw(make_sharing_map(options, 4)).find("feed_forward        A  A  A  A\n"),
            std::string::npos);
}

TEST(SharingMap, IsDrawnInEqualStripsWhereItIsWiderThanAPage) {
  const std::string picture = draw(make_sharing_map({.strategy = "cycle", .unique = 10}, 30));
  EXPECT_EQ(picture,
            "layer               0  1  2  3  4  5  6  7  8  9 10 11 12 13 14\n"
            "block               A  B  C  D  E  F  G  H  I  J  A  B  C  D  E\n"
            "layer              15 16 17 18 19 20 21 22 23 24 25 26 27 28 29\n"
            "block               F  G  H  I  J  A  B  C  D  E  F  G  H  I  J\n");
  for (const int depth : {20, 21, 61, 101}) {
    std::istringstream lines(draw(make_sharing_map({}, depth)));
    int layers = 0;
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), 80u);
      std::istringstream words(line);
      std::string word;
      words >> word;
      while (word == "layer" && words >> layers) {
      }
    }
    EXPECT_EQ(layers, depth - 1);
  }
}

}  // namespace
}  // namespace rondo
