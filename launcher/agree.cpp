#include "launcher/agree.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace rondo {

void agree(Communicator& world, const std::function<void()>& step) {
  std::optional<UserError> error;
  try {
    step();
  } catch (const UserError& caught) {
    error = caught;
  }
  std::vector<int64_t> failed(static_cast<size_t>(world.size()), 0);
  failed[static_cast<size_t>(world.rank())] = error ? 1 : 0;
  world.all_reduce_sum({failed.data(), world.size(), ElementType::int64});
  const auto lowest = std::find(failed.begin(), failed.end(), 1);
  if (lowest == failed.end()) return;
  if (lowest - failed.begin() == world.rank()) throw AgreedError(error->what());
  throw AgreedError("");
}

}  // namespace rondo
