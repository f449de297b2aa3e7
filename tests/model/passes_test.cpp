// Norms and encodings of passes, and scalars of each use of a branch.
#include <gtest/gtest.h>

#include "base/user_error.h"
#include "tests/model/tiny_model.h"

namespace rondo {
namespace {

ModelDefinition looped(const SharingOptions& sharing, int depth) {
  ModelDefinition model = tiny_model(sharing, depth);
  model.spec.pass_norm = "own";
  model.spec.pass_encoding = true;
  model.spec.branch_scales = true;
  return model;
}

std::vector<std::string> names_of(const std::vector<Component>& list) {
  std::vector<std::string> names;
  for (const Component& component : list) names.push_back(to_string(component));
  return names;
}

TEST(Passes, HaveAVectorWhereTheyBeginAndANormWhereTheyEnd) {
  const ModelDefinition model =
      looped({.strategy = "cycle", .unique = 2, .prelude = 1, .coda = 1}, 6);
  std::vector<std::string> encodings;
  std::vector<std::string> norms;
  for (int half = 0; half < half_layers(model); ++half) {
    const auto before = encoding_before(model, half);
    const auto after = norm_after(model, half);
    if (before) encodings.push_back(std::to_string(half) + " " + to_string(*before));
    if (after) norms.push_back(std::to_string(half) + " " + to_string(*after));
  }
  EXPECT_EQ(encodings, (std::vector<std::string>{"2 pass_encoding/0", "6 pass_encoding/1"}));
  EXPECT_EQ(norms, (std::vector<std::string>{"5 pass_norm/0", "9 pass_norm/1"}));
}

/// Without a coda the final norm follows the last pass at once: that pass has no norm of its own.
TEST(Passes, OfAModelWithoutCodaEndInTheFinalNorm) {
  ModelDefinition model = looped({.strategy = "cycle", .unique = 2}, 6);
  EXPECT_EQ(names_of(components_of(model, 3)),
            (std::vector<std::string>{"feed_forward_norm/1", "feed_forward/1",
                                      "scales/1/feed_forward", "pass_norm/0"}));
  EXPECT_FALSE(norm_after(model, 11));
  model.executed = {0, 1};  // a step of one pass
  EXPECT_FALSE(norm_after(model, 3));
  model.spec.pass_norm = "shared";
  model.executed = {};
  EXPECT_EQ(norm_after(model, 3), Component{Kind::final_norm});
}

TEST(Passes, AreRefusedWhereNothingRecurs) {
  ModelDefinition model = looped({.strategy = "none"}, 4);
  EXPECT_THROW(check_passes(model), UserError);
  model.spec.pass_norm = "none";
  EXPECT_THROW(check_passes(model), UserError);
  model.spec.pass_encoding = false;
  EXPECT_NO_THROW(check_passes(model));
  model.spec.pass_norm = "sometimes";
  EXPECT_THROW(check_passes(model), UserError);
}

/// The parameters are those of all components, and each is used by a half, the entrance or the
/// exit.
TEST(Passes, ListEveryComponentThatAHalfReads) {
  for (const char* pass_norm : {"none", "shared", "own"}) {
    for (const int coda : {0, 1}) {
      ModelDefinition model = looped({.strategy = "universal", .coda = coda}, 4);
      model.spec.pass_norm = pass_norm;
      std::set<Component> used;
      for (const auto& list : {entrance_components(model), exit_components(model)}) {
        used.insert(list.begin(), list.end());
      }
      for (int half = 0; half < half_layers(model); ++half) {
        for (const Component& component : components_of(model, half)) used.insert(component);
      }
      const std::vector<Component> all = components(model);
      EXPECT_EQ(used, std::set<Component>(all.begin(), all.end())) << pass_norm << coda;
    }
  }
}

TEST(Passes, StartAsTheModelWithoutEncodingsAndScales) {
  const ModelDefinition plain = tiny_model({.strategy = "cycle", .unique = 2}, 4);
  ModelDefinition model = plain;
  model.spec.pass_encoding = true;
  model.spec.branch_scales = true;
  TinyModel with(model);
  TinyModel without(plain);
  draw_initial_values(with.store, 1);
  draw_initial_values(without.store, 1);
  const double expected = loss_of(without.stage.evaluate(tiny_batch(), {}));
  EXPECT_NEAR(loss_of(with.stage.evaluate(tiny_batch(), {})), expected, 1e-12);
}

/// By central differences, in every kind of parameter.
TEST(Passes, HaveTheGradientsOfFiniteDifferences) {
  for (const char* family : {"llama", "gpt_neox"}) {
    ModelDefinition model = looped({.strategy = "cycle", .unique = 2, .coda = 1}, 5);
    model.spec.family = family;
    TinyModel tiny(model);
    tiny.randomise();
    const Microbatch batch = tiny_batch();
    tiny.step(batch);
    for (const char* path :
         {"scales/1/attention/branch", "scales/1/attention/residual",
          "scales/4/feed_forward/branch", "pass_encoding/0/weight", "pass_encoding/1/weight",
          "pass_norm/0/weight", "pass_norm/1/weight", "attention/0/q_proj/weight"}) {
      at::Tensor value = tiny.value(path).view(-1);
      const double at = value[0].item<double>();
      constexpr double step = 1e-5;
      const auto loss_at = [&](double x) {
        value[0] = x;
        return loss_of(tiny.stage.evaluate(batch, {}));
      };
      const double slope = (loss_at(at + step) - loss_at(at - step)) / (2 * step);
      value[0] = at;
      EXPECT_NEAR(tiny.gradient(path).view(-1)[0].item<double>(), slope, 1e-6) << path << family;
    }
  }
}

}  // namespace
}  // namespace rondo
