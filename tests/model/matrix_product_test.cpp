#include "model/matrix_product.h"

#include <gtest/gtest.h>

namespace rondo {
namespace {

using torch::Tensor;

/// A [rows, columns] matrix of one of the layouts that views have.
Tensor matrix(int64_t rows, int64_t columns, int layout, torch::Dtype type) {
  if (layout == 0) return torch::randn({rows, columns}, type);
  if (layout == 1) return torch::randn({columns, rows}, type).t();
  if (layout == 2) return torch::randn({rows, columns + 5}, type).narrow(1, 3, columns);
  return torch::randn({rows, 2 * columns}, type).slice(1, 0, 2 * columns, 2);  // no unit stride
}

TEST(MatrixProduct, AgreesWithDoublePrecisionInEveryLayout) {
  torch::manual_seed(1);
  for (const torch::Dtype type : {torch::kFloat32, torch::kFloat64}) {
    for (int layout = 0; layout < 64; ++layout) {
      const Tensor a = matrix(33, 17, layout % 4, type);
      const Tensor b = matrix(17, 29, layout / 4 % 4, type);
      Tensor out = matrix(33, 29, layout / 16, type);
      const Tensor expected = 0.5 * out.to(torch::kFloat64) +
                              2.0 * torch::mm(a.to(torch::kFloat64), b.to(torch::kFloat64));
      matrix_product_into(out, a, b, 0.5, 2.0);
      EXPECT_LT((out.to(torch::kFloat64) - expected).abs().max().item<double>(), 1e-4)
          << "layout " << layout;
    }
  }
}

TEST(MatrixProduct, WithoutBetaDoesNotReadItsTarget) {
  const Tensor a = torch::ones({8, 4});
  const Tensor b = torch::ones({4, 8});
  Tensor out = torch::full({8, 8}, std::numeric_limits<float>::quiet_NaN());
  matrix_product_into(out, a, b, 0.0);
  EXPECT_TRUE(out.equal(torch::full({8, 8}, 4.0F)));
  EXPECT_TRUE(matrix_product(a, b).equal(out));
}

TEST(MatrixProduct, AddsBfloat16FactorsInFloat32) {
  torch::manual_seed(2);
  const Tensor a = torch::randn({64, 128}).to(torch::kBFloat16);
  const Tensor b = torch::randn({128, 64}).to(torch::kBFloat16);
  Tensor out = torch::full({64, 64}, 1000.0F);
  matrix_product_into(out, a, b, 1.0, 0.25);
  const Tensor exact = 1000.0 + 0.25 * torch::mm(a.to(torch::kFloat32), b.to(torch::kFloat32));
  EXPECT_LT((out - exact).abs().max().item<float>(), 0.1F);
}

}  // namespace
}  // namespace rondo
