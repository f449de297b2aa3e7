#include "distributed/comm/segments.h"

#include <algorithm>

#include "distributed/comm/membership.h"

namespace rondo {
namespace {

template <class T>
void add_elements(std::byte* to, const std::byte* from, int64_t bytes) {
  T* const sums = reinterpret_cast<T*>(to);
  const T* const terms = reinterpret_cast<const T*>(from);
  const int64_t count = bytes / static_cast<int64_t>(sizeof(T));
  for (int64_t i = 0; i < count; ++i) sums[i] += terms[i];
}

}  // namespace

Bytes bytes_of(const Buffer& buffer) {
  return {static_cast<std::byte*>(buffer.data), buffer.count * element_size(buffer.type)};
}

Bytes segment_of(Bytes bytes, int64_t segment, int64_t index) {
  const int64_t begin = std::min(index * segment, bytes.size);
  return {bytes.data + begin, std::min(segment, bytes.size - begin)};
}

int64_t segments_in(Bytes bytes, int64_t segment) { return (bytes.size + segment - 1) / segment; }

Bytes part_of(const Buffer& buffer, int index, int size) {
  const auto begin_of = [&](int64_t part) {
    return (buffer.count / size * part + buffer.count % size * part / size) *
           element_size(buffer.type);
  };
  return {static_cast<std::byte*>(buffer.data) + begin_of(index),
          begin_of(index + 1) - begin_of(index)};
}

Add add_of(ElementType type) {
  require_summable(type);
  if (type == ElementType::float32) return add_elements<float>;
  if (type == ElementType::float64) return add_elements<double>;
  return add_elements<int64_t>;
}

}  // namespace rondo
