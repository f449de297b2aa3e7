#include "model/definition/attention_window.h"

#include <gtest/gtest.h>

#include "base/user_error.h"

namespace rondo {
namespace {

using Layers = std::vector<bool>;

TEST(AttentionWindow, ReadsAllFromAndPatterns) {
  EXPECT_EQ(sliding_layers("all", 3), (Layers{true, true, true}));
  EXPECT_EQ(sliding_layers("from:0", 2), (Layers{true, true}));
  EXPECT_EQ(sliding_layers("from:2", 3), (Layers{false, false, true}));
  EXPECT_EQ(sliding_layers("ssf", 5), (Layers{true, true, false, true, true}));
  for (const char* text :
       {"", "none", "from:", "from:3", "from:-1", "from:1x", "ff", "ffffs", "Sf"}) {
    EXPECT_FALSE(sliding_layers(text, 3)) << text;
  }
}

TEST(AttentionWindow, WritesTheShortestTextOfAnyLayers) {
  EXPECT_EQ(window_layers_text({true, true}), "all");
  EXPECT_EQ(window_layers_text({false, false, true}), "from:2");
  EXPECT_EQ(window_layers_text({true, false, true, false, true}), "sf");
  EXPECT_EQ(window_layers_text({false, true, false}), "fs");
  EXPECT_EQ(window_layers_text({true, true, false, false}), "ssff");
  for (size_t depth = 1; depth <= 8; ++depth) {
    for (size_t bits = 1; bits < size_t{1} << depth; ++bits) {
      Layers slides;
      for (size_t layer = 0; layer < depth; ++layer) slides.push_back((bits >> layer & 1) == 1);
      EXPECT_EQ(sliding_layers(window_layers_text(slides), static_cast<int64_t>(depth)), slides);
    }
  }
}

TEST(AttentionWindow, BelongsToALayerOfTheWholeModel) {
  ModelSpec model{.depth = 6, .window = 4, .window_layers = "ffs"};
  EXPECT_EQ(window_of(model, 2), 4);
  EXPECT_EQ(window_of(model, 3), 0);
  model.depth = 2;  // what times a machine cuts the depth
  EXPECT_EQ(window_of(model, 5), 4);
  model.window = 0;
  EXPECT_EQ(window_of(model, 2), 0);
  model = {.depth = 6, .window = 4, .window_layers = "every"};
  EXPECT_THROW(window_of(model, 0), UserError);
}

/// Pairs of query and key and their mirror images, the diagonal once, for each token: half of a
/// square counts as half of it, and the other border of a band as less than one key.
TEST(AttentionWindow, CountsTheKeysThatQueriesSee) {
  for (const int64_t sequence : {1, 5, 16}) {
    for (const int64_t window : {0, 1, 4, 5, 16, 99}) {
      int64_t seen = 0;
      for (int64_t query = 0; query < sequence; ++query) {
        for (int64_t key = 0; key <= query; ++key) {
          const bool visible = window == 0 || key > query - window;
          seen += !visible ? 0 : key == query ? 1 : 2;
        }
      }
      const bool hides = window > 0 && window < sequence;
      EXPECT_NEAR(attended_tokens({.depth = 1, .window = window}, 0, sequence),
                  static_cast<double>(seen) / static_cast<double>(sequence), hides ? 1.0 : 1e-12);
    }
  }
}

}  // namespace
}  // namespace rondo
