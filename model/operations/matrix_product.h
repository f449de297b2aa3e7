// The matrix products of the model: where nearly all of its arithmetic is.
#pragma once

#include <ATen/core/Tensor.h>

namespace rondo {

/// out [m, n] = beta · out + alpha · a·b for a [m, k], b [k, n] of one type; each may be a
/// transposed view. `out` may be of a wider type than the factors, and is then added to in that
/// type.
///
/// float32 on the CPU goes to oneDNN, which generates code for the processor it finds; the BLAS
/// inside LibTorch falls back to AVX2 on processors that are not Intel's, at half the speed on one
/// with AVX-512. Everything else goes to LibTorch.
void matrix_product_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, double beta,
                         double alpha = 1.0);

/// a·b as a new tensor [m, n].
at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b);

}  // namespace rondo
