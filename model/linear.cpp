#include "model/linear.h"

#include <functional>
#include <utility>

#include "model/matrix_product.h"

namespace rondo {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Adapters as the flat list that an autograd context can keep: a, b, ∂a, ∂b of each.
std::vector<Tensor> pack(const std::vector<Adapter>& adapters) {
  std::vector<Tensor> list;
  for (const Adapter& adapter : adapters) {
    list.insert(list.end(),
                {adapter.a.value, adapter.b.value, adapter.a.gradient, adapter.b.gradient});
  }
  return list;
}

std::vector<int64_t> rows_of(const std::vector<Adapter>& adapters) {
  std::vector<int64_t> rows;
  for (const Adapter& adapter : adapters) rows.push_back(adapter.row);
  return rows;
}

/// The parameters travel in saved_data: as saved variables their in-place updates would be taken
/// for a mistake.
struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x,
                        const std::optional<Tensor>& residual, const Linear& use) {
    context->save_for_backward({x});
    context->saved_data["weight"] = use.weight.value;
    context->saved_data["gradient"] = use.weight.gradient;
    context->saved_data["gradient_weight"] = use.gradient_weight;
    context->saved_data["bias_gradients"] =
        use.bias ? use.bias->gradients() : std::vector<Tensor>();
    context->saved_data["adapters"] = pack(use.adapters);
    context->saved_data["rows"] = rows_of(use.adapters);
    context->saved_data["has_residual"] = residual.has_value();
    if (use.gradients) {
      context->saved_data["gradients"] = torch::IValue::make_capsule(use.gradients);
    }
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
    // Detached: weight gradients that wait must not keep the graph.
    const Tensor g = gradients[0].detach();                       // [tokens, out]
    const Tensor x = context->get_saved_variables()[0].detach();  // [tokens, in]
    Tensor gx = matrix_product(g, context->saved_data["weight"].toTensor());
    std::vector<std::function<void()>> work = {weight_gradient(context, g, x)};
    const std::vector<Tensor> adapters = context->saved_data["adapters"].toTensorVector();
    const std::vector<int64_t> rows = context->saved_data["rows"].toIntVector();
    for (size_t i = 0; i < rows.size(); ++i) {
      const Tensor& a = adapters[4 * i];
      const Tensor& b = adapters[4 * i + 1];
      const Tensor g_rows = g.narrow(1, rows[i], b.size(0));  // [tokens, rows]
      const Tensor g_low = matrix_product(g_rows, b);         // [tokens, r]
      matrix_product_into(gx, g_low, a, 1.0);
      work.push_back([=, ga = adapters[4 * i + 2], gb = adapters[4 * i + 3]] {
        accumulate_product(gb, g_rows, matrix_product(x, a.t()), 1.0);
        accumulate_product(ga, g_low, x, 1.0);
      });
    }
    hand_over(context, std::move(work));
    return {gx, context->saved_data["has_residual"].toBool() ? g : Tensor(), Tensor()};
  }

 private:
  static std::function<void()> weight_gradient(AutogradContext* context, const Tensor& g,
                                               const Tensor& x) {
    const Tensor gradient = context->saved_data["gradient"].toTensor();
    const double weight = context->saved_data["gradient_weight"].toDouble();
    const std::vector<Tensor> biases = context->saved_data["bias_gradients"].toTensorVector();
    return [=] {
      accumulate_product(gradient, g, x, weight);
      if (biases.empty()) return;
      add_gradient(biases, g.sum(0, false, biases[0].scalar_type()), weight);  // [out]
    };
  }

  static void hand_over(AutogradContext* context, std::vector<std::function<void()>> work) {
    const auto found = context->saved_data.find("gradients");
    for (std::function<void()>& part : work) {
      if (found == context->saved_data.end()) {
        part();
      } else {
        static_cast<WeightGradients&>(*found->second.toCapsule()).add(std::move(part));
      }
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
