#include "model/operations/matrix_product.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <dnnl.h>

#include <optional>
#include <stdexcept>

namespace rondo {
namespace {

using at::Tensor;

/// A float32 matrix as BLAS wants it: rows or columns contiguous.
struct Operand {
  const float* data;
  char transposed;
  int64_t leading;
};

std::optional<Operand> operand(const Tensor& t) {
  if (t.scalar_type() != at::kFloat || !t.is_cpu()) return std::nullopt;
  if (t.stride(1) == 1) return Operand{t.const_data_ptr<float>(), 'N', t.stride(0)};
  if (t.stride(0) == 1) return Operand{t.const_data_ptr<float>(), 'T', t.stride(1)};
  return std::nullopt;
}

bool multiply_by_onednn(const Tensor& out, const Tensor& a, const Tensor& b, double beta,
                        double alpha) {
  const std::optional<Operand> left = operand(a);
  const std::optional<Operand> right = operand(b);
  const std::optional<Operand> target = operand(out);
  if (!left || !right || !target || target->transposed == 'T') return false;
  const dnnl_status_t status =
      dnnl_sgemm(left->transposed, right->transposed, a.size(0), b.size(1), a.size(1),
                 static_cast<float>(alpha), left->data, left->leading, right->data, right->leading,
                 static_cast<float>(beta), out.data_ptr<float>(), target->leading);
  if (status != dnnl_success) throw std::runtime_error("oneDNN refused a matrix product");
  return true;
}

}  // namespace

void matrix_product_into(Tensor& out, const Tensor& a, const Tensor& b, double beta, double alpha) {
  if (a.scalar_type() != out.scalar_type()) {
    if (a.is_cuda()) {
      // cuBLAS multiplies in bfloat16 and adds in float32.
      at::addmm_out(out, out, a, b, out.scalar_type(), beta, alpha);
    } else {
      // A product in the factors' type would round before it is added.
      matrix_product_into(out, a.to(out.scalar_type()), b.to(out.scalar_type()), beta, alpha);
    }
  } else if (!multiply_by_onednn(out, a, b, beta, alpha)) {
    at::addmm_out(out, out, a, b, beta, alpha);
  }
}

Tensor matrix_product(const Tensor& a, const Tensor& b) {
  Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  matrix_product_into(out, a, b, 0.0);
  return out;
}

}  // namespace rondo
