#include "model/sampling.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <vector>

namespace rondo {
namespace {

/// Logits whose softmax is this.
at::Tensor logits_of(const std::vector<double>& probabilities) {
  return at::tensor(probabilities, at::kDouble).log() + 3.0;
}

/// How often each token is chosen.
std::vector<double> shares(const std::vector<double>& probabilities, const Sampling& sampling) {
  constexpr int draws = 20000;
  std::mt19937_64 generator(7);
  std::vector<double> counted(probabilities.size());
  for (int i = 0; i < draws; ++i) {
    const int64_t token = choose_token(logits_of(probabilities), sampling, generator);
    counted.at(static_cast<size_t>(token)) += 1.0 / draws;
  }
  return counted;
}

// Four standard deviations of a share of 20000 draws are 0.014 at most.
constexpr double margin = 0.015;

void expect_near(const std::vector<double>& found, const std::vector<double>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], margin) << i;
}

TEST(Sampling, OfTemperatureZeroTakesTheLikeliest) {
  expect_near(shares({0.2, 0.5, 0.3}, {}), {0.0, 1.0, 0.0});
}

TEST(Sampling, FollowsTheProbabilities) {
  expect_near(shares({0.2, 0.5, 0.3}, {.temperature = 1.0}), {0.2, 0.5, 0.3});
}

/// softmax(log p / T) is p^(1/T), normalised.
TEST(Sampling, OfHighTemperatureIsFlatter) {
  expect_near(shares({0.64, 0.04, 0.32}, {.temperature = 2.0}), {0.5110, 0.1277, 0.3613});
}

TEST(Sampling, FromTheNucleusLeavesOutTheRest) {
  // The fewest whose sum reaches it: 0.4 + 0.3 reach 0.65, and 0.4 alone reaches 0.4.
  expect_near(shares({0.1, 0.4, 0.2, 0.3}, {1.0, 0.65}), {0.0, 0.4 / 0.7, 0.0, 0.3 / 0.7});
  expect_near(shares({0.1, 0.4, 0.2, 0.3}, {1.0, 0.39}), {0.0, 1.0, 0.0, 0.0});
  expect_near(shares({0.1, 0.4, 0.2, 0.3}, {1.0, 0.85}), {0.0, 4. / 9, 2. / 9, 3. / 9});
}

}  // namespace
}  // namespace rondo
