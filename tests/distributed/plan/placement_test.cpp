#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/user_error.h"
#include "distributed/plan/route.h"
#include "model/definition/parameters.h"
#include "tests/distributed/plan/small_model.h"

namespace rondo {
namespace {

ModelDefinition model_of(const SharingOptions& sharing, int depth) {
  return small_model(make_sharing_map(sharing, depth));
}

std::string signs(const Placement& placement) { return signs_of(placement).value(); }

std::string message_of(const PlacementOptions& options, const ModelDefinition& model) {
  try {
    make_placement(options, model);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

/// Chunk and rank of each layer by the definition of a route, without the code under test.
int rank_of_layer(int layer, int layers_per_chunk, int pipeline, const std::string& route) {
  const int chunk = layer / layers_per_chunk;
  const int position = chunk % pipeline;
  const bool plus = route[chunk / pipeline] == '+';
  return plus ? position : pipeline - 1 - position;
}

bool one_copy_by_brute_force(const std::vector<int>& blocks, int layers_per_chunk, int pipeline,
                             const std::string& route) {
  std::map<int, std::set<int>> ranks;
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    ranks[blocks[layer]].insert(
        rank_of_layer(static_cast<int>(layer), layers_per_chunk, pipeline, route));
  }
  return std::all_of(ranks.begin(), ranks.end(),
                     [](const auto& entry) { return entry.second.size() == 1; });
}

/// One row of the table of placements without copies.
struct Row {
  std::string strategy;
  std::string route;
  bool exact;  ///< one copy exactly when the condition holds; else: whenever
  bool (*applies)(int depth, int unique, int passes);
  bool (*condition)(int layers_per_chunk, int pipeline, int unique);
};

bool fills_whole_passes(int c, int P, int M) { return M % (c * P) == 0; }
bool fills_even_passes(int c, int P, int M) { return M % (2 * c * P) == 0; }
bool always(int, int, int) { return true; }

const std::vector<Row> table = {
    // One pass, blocks of equal runs.
    {"sequence", "contiguous", true, [](int N, int M, int V) { return V == 1 && N % M == 0; },
     [](int, int P, int M) { return M % P == 0; }},
    {"cycle", "loop", true, [](int N, int M, int) { return N > M; }, fills_whole_passes},
    {"cycle", "vee", false, always, fills_even_passes},
    {"cycle_rev", "vee", false, [](int N, int M, int) { return N == 2 * M; }, fills_whole_passes},
    {"cycle_rev", "mixed", false, [](int N, int M, int) { return N > M; }, fills_whole_passes},
    {"zigzag", "vee", false, always, fills_whole_passes},
};

TEST(Placement, HasOneCopyOfEveryBlockWhereTheTableSaysSo) {
  int cases = 0;
  for (const Row& row : table) {
    int hits = 0;
    for (int P = 2; P <= 4; ++P) {
      for (int N = P; N <= 48; ++N) {
        for (int c = 1; c * P <= N; ++c) {
          if (N % (c * P) != 0) continue;
          for (int M = 1; M <= N; ++M) {
            const int V = N / (c * P);
            const bool condition = row.condition(c, P, M);
            if (!row.applies(N, M, V) || (!row.exact && !condition)) continue;
            const ModelDefinition model = model_of({row.strategy, M}, N);
            const Placement placement = make_placement({P, row.route, V}, model);
            const std::vector<int>& blocks = model.sharing.of(Slot::attention);
            const bool one_copy = copies(model, placement).empty();
            ASSERT_EQ(one_copy, one_copy_by_brute_force(blocks, c, P, signs(placement)));
            ASSERT_EQ(one_copy, condition) << row.strategy << " on " << signs(placement)
                                           << " N=" << N << " M=" << M << " P=" << P << " c=" << c;
            ++cases;
            hits += one_copy ? 1 : 0;
          }
        }
      }
    }
    EXPECT_GT(hits, 20) << row.strategy << " on " << row.route;
  }
  EXPECT_GT(cases, 2000);
}

TEST(Placement, KeepsATiedEmbeddingOnOneRankExactlyWhenTheRouteEndsWhereItBegan) {
  ModelDefinition model = model_of({"cycle", 4}, 24);
  model.spec.tie_embeddings = true;
  const auto embedding_ranks = [&](const std::string& route) {
    const Placement placement = make_placement({4, route}, model);
    return ranks_by_component(model, placement).at("embedding");
  };
  EXPECT_EQ(embedding_ranks("+-"), (std::vector<int>{0}));
  EXPECT_EQ(embedding_ranks("+-+-"), (std::vector<int>{0}));
  EXPECT_EQ(embedding_ranks("-+"), (std::vector<int>{3}));
  EXPECT_EQ(embedding_ranks("++"), (std::vector<int>{0, 3}));
  EXPECT_EQ(embedding_ranks("+-+"), (std::vector<int>{0, 3}));
}

TEST(Placement, ReturnsUnevenSharesToTheSameRank) {
  const ModelDefinition cycle = model_of({"cycle", 5}, 10);
  const Placement loop = make_placement({2, "loop", 2}, cycle);
  EXPECT_EQ(loop.cuts(), (std::vector<int>{0, 6, 10, 16, 20}));
  EXPECT_TRUE(copies(cycle, loop).empty());

  const ModelDefinition zigzag = model_of({"zigzag", 5}, 10);
  const Placement vee = make_placement({2, "vee", 2}, zigzag);
  EXPECT_EQ(vee.cuts(), (std::vector<int>{0, 6, 10, 14, 20}));
  EXPECT_TRUE(copies(zigzag, vee).empty());
}

TEST(Placement, GivesPreludeAndCodaToTheEndsWhenThatSavesCopies) {
  SharingOptions sharing{"cycle", 4};
  sharing.prelude = 1;
  sharing.coda = 1;
  const ModelDefinition model = model_of(sharing, 14);
  const Placement placement = make_placement({4, "loop", 3}, model);
  EXPECT_EQ(placement.chunk(0), (Chunk{{0, 4}, 0, true, false}));
  EXPECT_EQ(placement.chunk(11), (Chunk{{24, 28}, 3, false, true}));
  EXPECT_TRUE(copies(model, placement).empty());

  const ModelDefinition middle = model_of({"middle_cycle", 6}, 14);
  EXPECT_TRUE(copies(middle, make_placement({4, "loop", 3}, middle)).empty());
}

TEST(Placement, SplitsLayersInHalvesWhenBlocksAreFewerThanRanks) {
  const ModelDefinition model = model_of({"cycle", 2}, 8);
  PlacementOptions options{4, "loop", 4};
  EXPECT_NE(message_of(options, model), "");
  options.half_layers = true;
  const Placement placement = make_placement(options, model);
  EXPECT_TRUE(copies(model, placement).empty());
  const auto holder = [&](const std::string& name) {
    return ranks_by_component(model, placement).at(name);
  };
  EXPECT_EQ(holder("attention/0"), (std::vector<int>{0}));
  EXPECT_EQ(holder("feed_forward_norm/0"), (std::vector<int>{1}));
  EXPECT_EQ(holder("attention_norm/1"), (std::vector<int>{2}));
  EXPECT_EQ(holder("feed_forward/1"), (std::vector<int>{3}));
}

TEST(Placement, FollowsEverySlotsOwnMap) {
  SharingOptions sharing{"cycle", 4};
  sharing.feed_forward = "universal";
  const ModelDefinition model = model_of(sharing, 8);
  const Placement placement = make_placement({2, "loop", 2}, model);
  EXPECT_EQ(copies(model, placement), (std::vector<std::string>{"feed_forward/0"}));
}

TEST(Placement, PutsAdaptersBesideTheBlockThatTheyRelax) {
  ModelDefinition model = model_of({"cycle", 2}, 4);
  model.relaxation_rank = 1;
  const auto holders = [&](const Placement& placement) {
    return ranks_by_component(model, placement);
  };
  const Placement whole = make_placement({2, "loop", 2}, model);
  EXPECT_EQ(holders(whole)["adapters/2/feed_forward"], (std::vector<int>{0}));
  EXPECT_TRUE(copies(model, whole).empty());

  const Placement halves = make_placement({4, "loop", 2, true}, model);
  EXPECT_EQ(holders(halves)["adapters/2/attention"], holders(halves)["attention/0"]);
  EXPECT_EQ(holders(halves)["adapters/3/feed_forward"], holders(halves)["feed_forward/1"]);
  EXPECT_TRUE(copies(model, halves).empty());
}

TEST(Placement, ListsComponentsInTheOrderOfTheParameterList) {
  for (const bool tied : {false, true}) {
    const ModelDefinition model =
        small_model(make_sharing_map({"cycle", 3}, 6), tied, /*adapters=*/true);
    std::vector<Component> expected;
    for (const ParameterSpec& parameter : parameters(model)) {
      if (expected.empty() || expected.back() != parameter.component) {
        expected.push_back(parameter.component);
      }
    }
    std::vector<Component> listed;
    const Placement placement = make_placement({2, "loop", 2}, model);
    for (const Holders& own : holders(model, groups_of(model, placement, 1))) {
      listed.push_back(own.component);
    }
    EXPECT_EQ(listed, expected);
  }
}

TEST(Placement, TakesAsFewPassesAsGiveTheFewestCopiesWhenTheyAreOpen) {
  const ModelDefinition model = model_of({"cycle", 4}, 24);
  EXPECT_EQ(make_placement({4, "loop"}, model).passes(), 6);
  EXPECT_EQ(make_placement({2, "loop"}, model).passes(), 6);
  EXPECT_EQ(signs(make_placement({2, "vee"}, model)), "+-+-+-+-+-+-");
  EXPECT_EQ(signs(make_placement({4, "contiguous"}, model)), "+");
  const ModelDefinition reversed = model_of({"cycle_rev", 4}, 12);
  EXPECT_EQ(signs(make_placement({4, "mixed"}, reversed)), "++-");
  EXPECT_TRUE(copies(reversed, make_placement({4, "mixed"}, reversed)).empty());
}

TEST(Placement, RefusesWhatCannotBeAndNamesTheNearestThatCan) {
  const ModelDefinition model = model_of({"cycle", 4}, 12);
  EXPECT_EQ(
      message_of({4, "loop", 5}, model),
      "distributed.passes = 5: 20 chunks on 4 ranks, but there are 12 layers to cut; closest valid "
      "value: passes=3, or half-layer chunks");
  EXPECT_EQ(
      message_of({4, "+-+-"}, model),
      "distributed.route = +-+-: 4 passes over 4 ranks are 16 chunks, but there are 12 layers "
      "to cut; closest valid value: +-+, or half-layer chunks");
  EXPECT_EQ(
      message_of({16, "contiguous"}, model),
      "distributed.pipeline = 16: 12 layers can be cut for 1 to 12 ranks; closest valid value: "
      "12");
  EXPECT_EQ(
      message_of({2, "lop"}, model),
      "distributed.route = lop: write contiguous, loop, vee, mixed or one sign per pass as in "
      "++-; closest valid value: loop");
  EXPECT_EQ(message_of({2, "++", 3}, model),
            "distributed.route = ++ has 2 passes, but distributed.passes = 3; closest valid value: "
            "passes=2, or route=loop");
  EXPECT_EQ(message_of({4, "mixed", 2}, model),
            "distributed.route = mixed: with 2 passes over 4 ranks no pass begins where the layers "
            "that run backwards do; closest valid value: route=+-");
  EXPECT_EQ(message_of({2, "+", 0, false, {0, 24, 24}}, model),
            "distributed.cuts = [0, 24, 24]: 1 pass over 2 ranks need 3 rising cut points from 0 "
            "to 24 (in half layers); closest valid value: [0, 12, 24]");
}

}  // namespace
}  // namespace rondo
