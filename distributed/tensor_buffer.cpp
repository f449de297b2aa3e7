#include "distributed/tensor_buffer.h"

#include <stdexcept>

namespace rondo {
namespace {

ElementType element_type(torch::Dtype type) {
  if (type == torch::kFloat32) return ElementType::float32;
  if (type == torch::kFloat64) return ElementType::float64;
  if (type == torch::kBFloat16) return ElementType::bfloat16;
  if (type == torch::kInt64) return ElementType::int64;
  throw std::logic_error("no communicator moves this element type");
}

}  // namespace

Buffer buffer_of(const torch::Tensor& t) {
  return {t.data_ptr(), t.numel(), element_type(t.scalar_type())};
}

}  // namespace rondo
