#include "checkpoint/format/hyperslab.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace rondo {

std::vector<Hyperslab> hyperslabs(const std::vector<int64_t>& shape, int64_t begin, int64_t count) {
  std::vector<Hyperslab> boxes;
  const int64_t end = begin + count;
  while (begin < end) {
    // Of all axes whose whole rows start here and fit, the outermost gives the largest box.
    Hyperslab box{std::vector<int64_t>(shape.size(), 0), shape};
    int64_t row = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    int64_t rest = begin;
    size_t axis = 0;
    for (;; ++axis) {
      row /= shape[axis];
      box.start[axis] = rest / row;
      box.count[axis] = 1;
      rest %= row;
      if (rest == 0 && end - begin >= row) break;
    }
    box.count[axis] = std::min((end - begin) / row, shape[axis] - box.start[axis]);
    begin += box.count[axis] * row;
    boxes.push_back(std::move(box));
  }
  return boxes;
}

}  // namespace rondo
