#include "model/loss.h"

#include <algorithm>

#include "model/linear.h"
#include "model/matrix_product.h"

namespace rondo {
namespace {

using torch::Tensor;

/// Logits held at a time: enough rows for an efficient product, few enough to stay near the caches.
constexpr int64_t chunk_elements = int64_t{1} << 20;
constexpr int64_t least_rows = 64;

}  // namespace

HeadResult head_loss(const Tensor& x, const Parameter& head, const Tensor& targets,
                     double gradient_scale) {
  const torch::NoGradGuard no_grad;
  const int64_t tokens = x.size(0);
  const int64_t rows = std::max(least_rows, chunk_elements / head.value.size(0));
  const auto master = head.gradient.scalar_type();
  HeadResult result{torch::zeros({}, x.options().dtype(torch::kFloat64)), {}};
  if (gradient_scale != 0.0) result.gradient_x = at::empty_like(x);
  for (int64_t begin = 0; begin < tokens; begin += rows) {
    const int64_t count = std::min(rows, tokens - begin);
    const Tensor part = x.narrow(0, begin, count);                       // [count, hidden]
    const Tensor target = targets.narrow(0, begin, count).unsqueeze(1);  // [count, 1]
    Tensor logits = matrix_product(part, head.value.t()).to(master);     // [count, vocab]
    const Tensor total = at::logsumexp(logits, 1, /*keepdim=*/true);     // [count, 1]
    result.loss.add_((total - logits.gather(1, target)).sum(torch::kFloat64));
    if (gradient_scale == 0.0) continue;
    // ∂ = scale · (softmax − one-hot), in place of the logits.
    logits.sub_(total).exp_().mul_(gradient_scale);
    logits.scatter_add_(1, target, at::full_like(total, -gradient_scale));
    const Tensor gradient = logits.to(x.scalar_type());
    Tensor gradient_part = result.gradient_x.narrow(0, begin, count);
    matrix_product_into(gradient_part, gradient, head.value, 0.0);
    accumulate_product(head.gradient, gradient, part, 1.0);
  }
  return result;
}

}  // namespace rondo
