#include "model/sampling.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/softmax.h>

#include <algorithm>

namespace rondo {
namespace {

using at::Tensor;

/// In [0, 1), from the upper 53 bits: std::uniform_real_distribution differs between libraries.
double uniform(std::mt19937_64& generator) {
  return static_cast<double>(generator() >> 11) * 0x1p-53;
}

}  // namespace

int64_t choose_token(const Tensor& logits, const Sampling& sampling, std::mt19937_64& generator) {
  if (sampling.temperature == 0.0) return logits.argmax().item<int64_t>();
  const Tensor wide = logits.to(at::kCPU, at::kDouble);
  const Tensor probabilities = at::softmax(wide / sampling.temperature, 0);  // [vocab]
  auto [sorted, order] = probabilities.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  const Tensor up_to = sorted.cumsum(0);  // [vocab]
  // Those before which less than top_p has been gathered; the first is always among them.
  const int64_t kept = (up_to - sorted < sampling.top_p).sum().item<int64_t>();
  const double target = uniform(generator) * up_to[kept - 1].item<double>();
  const Tensor place = at::searchsorted(up_to.narrow(0, 0, kept), target, /*out_int32=*/false,
                                        /*right=*/true);
  return order[std::min(place.item<int64_t>(), kept - 1)].item<int64_t>();
}

}  // namespace rondo
