#include "model/operations/loss.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "model/operations/linear.h"
#include "model/operations/matrix_product.h"

namespace rondo {
namespace {

using at::Tensor;

/// Logits held at a time: enough rows for an efficient product, few enough to stay near the caches;
/// on a device enough to keep it busy while the host launches the next kernel.
int64_t chunk_rows(const Tensor& x, int64_t vocab) {
  constexpr int64_t least_rows = 64;
  const int64_t elements = int64_t{1} << (x.is_cuda() ? 26 : 20);
  return std::max(least_rows, elements / vocab);
}

/// While it lives LibTorch may add in any order. Where it must keep to one it sorts the places that
/// it scatters to, at half the speed of a training step on an H200; those that differ need no sort.
class AnyOrder {
 public:
  AnyOrder() { at::globalContext().setDeterministicAlgorithms(false, false); }
  ~AnyOrder() { at::globalContext().setDeterministicAlgorithms(strict_, warns_); }
  AnyOrder(const AnyOrder&) = delete;
  AnyOrder& operator=(const AnyOrder&) = delete;

 private:
  bool strict_ = at::globalContext().deterministicAlgorithms();
  bool warns_ = at::globalContext().deterministicAlgorithmsWarnOnly();
};

/// values [rows, n] += amount at `columns` [rows, 1].
void add_at(const Tensor& values, const Tensor& columns, double amount) {
  const AnyOrder each_row_has_one;
  const Tensor amounts = at::full(columns.sizes(), amount, values.options());
  values.scatter_add_(1, columns, amounts);
}

/// log softmax of x·headᵀ / temperature, [rows, vocab], in `type`.
Tensor log_probabilities(const Tensor& x, const Tensor& head, double temperature,
                         at::ScalarType type) {
  return at::log_softmax(matrix_product(x, head.t()).to(type).div_(temperature), 1);
}

/// Adds the divergence from the teacher to `losses`; returns the gradient with respect to `logits`
/// [rows, vocab] of w·T²·divergence: w·T·(q − p).
Tensor diverge(const Tensor& logits, const Tensor& teacher_x, const SoftTargets& soft,
               const Tensor& losses) {
  const Tensor log_p =
      log_probabilities(teacher_x, soft.head, soft.temperature, logits.scalar_type());
  const Tensor log_q = at::log_softmax(logits / soft.temperature, 1);
  const Tensor p = log_p.exp();
  losses[1].add_((p * (log_p - log_q)).sum(at::kDouble));
  return log_q.exp().sub_(p).mul_(soft.weight * soft.temperature);
}

}  // namespace

HeadResult head_loss(const Tensor& x, const Parameter& head, const HeadTargets& targets,
                     double gradient_scale) {
  const at::NoGradGuard no_grad;
  const int64_t tokens = x.size(0);
  const int64_t rows = chunk_rows(x, head.value.size(0));
  const auto wide = master_of(x.scalar_type());
  const double hard = targets.soft ? 1.0 - targets.soft->weight : 1.0;
  HeadResult result{at::zeros({2}, x.options().dtype(at::kDouble)), {}};
  if (gradient_scale != 0.0) result.gradient_x = at::empty_like(x);
  for (int64_t begin = 0; begin < tokens; begin += rows) {
    const int64_t count = std::min(rows, tokens - begin);
    const Tensor part = x.narrow(0, begin, count);                              // [count, hidden]
    const Tensor target = targets.tokens.narrow(0, begin, count).unsqueeze(1);  // [count, 1]
    Tensor logits = matrix_product(part, head.value.t()).to(wide);              // [count, vocab]
    const Tensor total = at::logsumexp(logits, 1, /*keepdim=*/true);            // [count, 1]
    result.losses[0].add_((total - logits.gather(1, target)).sum(at::kDouble));
    Tensor from_teacher;  // [count, vocab]
    if (targets.soft) {
      const Tensor teacher_x = targets.soft->x.narrow(0, begin, count);
      from_teacher = diverge(logits, teacher_x, *targets.soft, result.losses);
    }
    if (gradient_scale == 0.0) continue;
    // ∂ = scale · hard · (softmax − one-hot), in place of the logits.
    logits.sub_(total).exp_().mul_(gradient_scale * hard);
    add_at(logits, target, -gradient_scale * hard);
    if (from_teacher.defined()) logits.add_(from_teacher, gradient_scale);
    const Tensor gradient = logits.to(x.scalar_type());
    Tensor gradient_part = result.gradient_x.narrow(0, begin, count);
    matrix_product_into(gradient_part, gradient, head.value, 0.0);
    accumulate_product(head.gradient, gradient, part, 1.0);
  }
  return result;
}

}  // namespace rondo
