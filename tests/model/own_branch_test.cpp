// What a branch of one's own may get wrong, and what it is told.
#include <gtest/gtest.h>

#include "examples/own_half/own_half.h"
#include "tests/model/tiny_model.h"

namespace rondo {
namespace {

/// x + norm(x) ⊙ the sum of a kernel's rows: a tensor of two dimensions that is no matrix.
Branch kernel_branch(int64_t hidden) {
  return {.name = "kernel",
          .norm = Slot::feed_forward_norm,
          .weights = Slot::feed_forward,
          .tensors = {{"taps", {3, hidden}, Role::gain, {.mean = 1.0}}}};
}

HalfBuilders builders_with(const HalfBuilder& builder) {
  HalfBuilders builders = built_in_halves();
  builders["kernel"] = builder;
  return builders;
}

HalfFunction kernel_half(HalfWeights& weights) {
  return [norm = weights.norm(), taps = weights.parameter("taps")](const Stream& stream,
                                                                   const HalfContext&) -> Stream {
    return {.x = stream.x + taps.tensor().sum(0) * normalise(stream.x, norm)};
  };
}

ModelDefinition with_kernel(int64_t rank) {
  ModelDefinition model = tiny_model({.strategy = "cycle", .unique = 2}, 4, rank);
  model.branches[1] = kernel_branch(model.spec.hidden);
  return model;
}

/// What std::logic_error says of a model with this branch.
std::string error_of(const ModelDefinition& model, const HalfBuilder& builder) {
  try {
    const TinyModel tiny(model, false, "float64", builders_with(builder));
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "no error";
}

TEST(OwnBranch, HasLowRankTermsByTheRoleOfATensorNotByItsShape) {
  TinyModel tiny(with_kernel(2), false, "float64", builders_with(kernel_half));
  tiny.randomise();
  tiny.step(tiny_batch(2, 1), 1.0);
  EXPECT_EQ(tiny.gradient("adapters/3/feed_forward/taps").sizes(), at::IntArrayRef({3, 16}));
  EXPECT_GT(tiny.gradient("adapters/3/feed_forward/taps").abs().max().item<double>(), 0.0);
}

TEST(OwnBranch, IsToldWhichTensorsItHas) {
  EXPECT_EQ(error_of(with_kernel(0),
                     [](HalfWeights& weights) {
                       weights.parameter("tap");
                       return HalfFunction();
                     }),
            "the branch kernel has no tensor tap; it has taps");
}

TEST(OwnBranch, IsToldWhichSlotTheMapLacksOrNoBranchUses) {
  ModelDefinition model = with_kernel(0);
  model.branches[1].weights = Slot{first_own_order, "kernels"};
  EXPECT_EQ(error_of(model, kernel_half),
            "the sharing map has the slot feed_forward, which no branch uses");
  model.branches.push_back({"feed_forward", Slot::feed_forward_norm, Slot::feed_forward});
  EXPECT_EQ(error_of(model, kernel_half), "the sharing map has no slot kernels");
}

TEST(OwnBranch, MayNotLeaveScalesWithoutEffect) {
  ModelDefinition model = with_kernel(0);
  model.spec.branch_scales = true;
  EXPECT_NE(error_of(model, kernel_half).find("without HalfWeights::join"), std::string::npos)
      << error_of(model, kernel_half);
}

}  // namespace
}  // namespace rondo
