#include "distributed/tensor_buffer.h"

#include <stdexcept>

namespace rondo {
namespace {

ElementType element_type(at::ScalarType type) {
  if (type == at::kFloat) return ElementType::float32;
  if (type == at::kDouble) return ElementType::float64;
  if (type == at::kBFloat16) return ElementType::bfloat16;
  if (type == at::kLong) return ElementType::int64;
  throw std::logic_error("no communicator moves this element type");
}

}  // namespace

Buffer buffer_of(const at::Tensor& t) {
  return {t.data_ptr(), t.numel(), element_type(t.scalar_type())};
}

}  // namespace rondo
