#include "model/optimizer/adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>

namespace rondo {

void adamw_update(AdamWRun& run, const AdamWOptions& options, double lr, int64_t step) {
  const at::NoGradGuard no_grad;
  for (const bool decays : {true, false}) {
    std::vector<at::Tensor> master, gradient, exp_avg, exp_avg_sq, steps;
    for (const DecaySpan& span : run.spans) {
      if (span.decays != decays || span.begin == span.end) continue;
      const auto part = [&](const at::Tensor& t) {
        return t.narrow(0, span.begin, span.end - span.begin);
      };
      master.push_back(part(run.master));
      gradient.push_back(part(run.gradient));
      exp_avg.push_back(part(run.exp_avg));
      exp_avg_sq.push_back(part(run.exp_avg_sq));
      steps.push_back(
          at::full({}, static_cast<double>(step), run.master.options().dtype(at::kFloat)));
    }
    if (master.empty()) continue;
    at::_fused_adamw_(master, gradient, exp_avg, exp_avg_sq, /*max_exp_avg_sqs=*/{}, steps, lr,
                      options.beta1, options.beta2, decays ? options.weight_decay : 0.0,
                      options.eps, /*amsgrad=*/false, /*maximize=*/false);
  }
}

}  // namespace rondo
