#include "model/operations/graph_parameter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/operations/autograd_state.h"

namespace rondo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct InGraphFunction : torch::autograd::Function<InGraphFunction> {
  /// What backward adds to, and how much of it.
  struct State {
    Tensor gradient;
    double weight;
  };

  static Tensor forward(AutogradContext* context, const Tensor& /*anchor*/,
                        const Parameter& parameter, double weight) {
    keep(context, State{parameter.gradient, weight});
    return parameter.value.variable_data();
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const State& state = kept<State>(context);
    if (gradients[0].defined() && state.weight != 0.0) {
      Tensor(state.gradient).add_(gradients[0], state.weight);
    }
    return {Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor in_graph(const Parameter& parameter, double gradient_weight) {
  // A function is part of the graph when one of its inputs is. Parameters are not, so that the flat
  // buffer alone holds their gradients.
  const Tensor anchor = at::empty({0}, parameter.value.options()).requires_grad_(true);
  return InGraphFunction::apply(anchor, parameter, gradient_weight);
}

Tensor GraphParameter::tensor() const {
  Tensor value = in_graph(shared, gradient_weight);
  if (own) value = value + in_graph(*own);
  if (b) value = value + in_graph(*b).mm(in_graph(*a));
  return value;
}

}  // namespace rondo
