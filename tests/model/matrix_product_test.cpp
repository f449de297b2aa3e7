#include "model/operations/matrix_product.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

namespace rondo {
namespace {

using at::Tensor;

/// A [rows, columns] matrix of one of the layouts that views have.
Tensor matrix(int64_t rows, int64_t columns, int layout, at::ScalarType type) {
  if (layout == 0) return at::randn({rows, columns}, type);
  if (layout == 1) return at::randn({columns, rows}, type).t();
  if (layout == 2) return at::randn({rows, columns + 5}, type).narrow(1, 3, columns);
  return at::randn({rows, 2 * columns}, type).slice(1, 0, 2 * columns, 2);  // no unit stride
}

TEST(MatrixProduct, AgreesWithDoublePrecisionInEveryLayout) {
  at::manual_seed(1);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (int layout = 0; layout < 64; ++layout) {
      const Tensor a = matrix(33, 17, layout % 4, type);
      const Tensor b = matrix(17, 29, layout / 4 % 4, type);
      Tensor out = matrix(33, 29, layout / 16, type);
      const Tensor expected =
          0.5 * out.to(at::kDouble) + 2.0 * at::mm(a.to(at::kDouble), b.to(at::kDouble));
      matrix_product_into(out, a, b, 0.5, 2.0);
      EXPECT_LT((out.to(at::kDouble) - expected).abs().max().item<double>(), 1e-4)
          << "layout " << layout;
    }
  }
}

TEST(MatrixProduct, WithoutBetaDoesNotReadItsTarget) {
  const Tensor a = at::ones({8, 4});
  const Tensor b = at::ones({4, 8});
  Tensor out = at::full({8, 8}, std::numeric_limits<float>::quiet_NaN());
  matrix_product_into(out, a, b, 0.0);
  EXPECT_TRUE(out.equal(at::full({8, 8}, 4.0F)));
  EXPECT_TRUE(matrix_product(a, b).equal(out));
}

TEST(MatrixProduct, AddsBfloat16FactorsInFloat32) {
  at::manual_seed(2);
  const Tensor a = at::randn({64, 128}).to(at::kBFloat16);
  const Tensor b = at::randn({128, 64}).to(at::kBFloat16);
  Tensor out = at::ones({64, 64});
  matrix_product_into(out, a, b, 1.0, 0.25);
  const Tensor exact = 1.0 + 0.25 * at::mm(a.to(at::kDouble), b.to(at::kDouble));
  EXPECT_LT((out - exact).abs().max().item<double>(), 1e-5) << "bfloat16 alone would be 0.05 off";
}

}  // namespace
}  // namespace rondo
