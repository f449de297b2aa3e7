#include "model/operations/linear.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <functional>
#include <utility>

#include "model/operations/autograd_state.h"
#include "model/operations/matrix_product.h"

namespace rondo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  /// What backward reads besides x.
  struct State {
    Linear use;
    bool has_residual;
  };

  static Tensor forward(AutogradContext* context, const Tensor& x,
                        const std::optional<Tensor>& residual, const Linear& use) {
    context->save_for_backward({x});
    keep(context, State{use, residual.has_value()});
    const Tensor transposed = use.weight.value.t();  // [in, out]
    Tensor y =
        residual ? residual->clone() : at::empty({x.size(0), transposed.size(1)}, x.options());
    matrix_product_into(y, x, transposed, residual ? 1.0 : 0.0);
    if (use.bias) y.add_(use.bias->value());
    for (const Adapter& adapter : use.adapters) {
      const Tensor low = matrix_product(x, adapter.a.value.t());  // [tokens, r]
      Tensor rows = y.narrow(1, adapter.row, adapter.b.value.size(0));
      matrix_product_into(rows, low, adapter.b.value.t(), 1.0);
    }
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& [use, has_residual] = kept<State>(context);
    // Detached: weight gradients that wait must not keep the graph.
    const Tensor g = gradients[0].detach();                       // [tokens, out]
    const Tensor x = context->get_saved_variables()[0].detach();  // [tokens, in]
    Tensor gx = matrix_product(g, use.weight.value);
    hand_over(use, weight_gradient(use, g, x));
    for (const Adapter& adapter : use.adapters) {
      const Tensor g_rows = g.narrow(1, adapter.row, adapter.b.value.size(0));  // [tokens, rows]
      const Tensor g_low = matrix_product(g_rows, adapter.b.value);             // [tokens, r]
      matrix_product_into(gx, g_low, adapter.a.value, 1.0);
      hand_over(use, [=] {
        accumulate_product(adapter.b.gradient, g_rows, matrix_product(x, adapter.a.value.t()), 1.0);
        accumulate_product(adapter.a.gradient, g_low, x, 1.0);
      });
    }
    return {gx, has_residual ? g : Tensor(), Tensor()};
  }

 private:
  static std::function<void()> weight_gradient(const Linear& use, const Tensor& g,
                                               const Tensor& x) {
    return [gradient = use.weight.gradient, weight = use.gradient_weight,
            biases = use.bias ? use.bias->gradients() : std::vector<Tensor>(), g, x] {
      accumulate_product(gradient, g, x, weight);
      if (biases.empty()) return;
      add_gradient(biases, g.sum(0, false, biases[0].scalar_type()), weight);  // [out]
    };
  }

  static void hand_over(const Linear& use, std::function<void()> work) {
    if (use.gradients) {
      use.gradients->add(std::move(work));
    } else {
      work();
    }
  }
};

}  // namespace

void accumulate_product(const Tensor& gradient, const Tensor& a, const Tensor& b, double weight) {
  if (weight == 0.0) return;
  Tensor target = gradient;
  matrix_product_into(target, a.t(), b, 1.0, weight);
}

Tensor linear(const Tensor& x, const Linear& use, const std::optional<Tensor>& residual) {
  return LinearFunction::apply(x, residual, use);
}

}  // namespace rondo
