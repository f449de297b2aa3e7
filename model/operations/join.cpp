#include "model/operations/join.h"

#include "model/operations/graph_parameter.h"

namespace rondo {

at::Tensor Join::operator()(const at::Tensor& y, const at::Tensor& x) const {
  if (!scales) return linear(y, last, x);  // one pass over memory less than a sum of its own
  return in_graph(scales->residual) * x + in_graph(scales->branch) * linear(y, last);
}

}  // namespace rondo
