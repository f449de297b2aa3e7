#include "distributed/comm/gather.h"

#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

namespace rondo {

void gather_on_first(Communicator& ranks, Buffer mine, void* all) {
  if (ranks.rank() > 0) return ranks.start_send(mine, 0)->wait();
  const int64_t bytes = mine.count * element_size(mine.type);
  auto* to = static_cast<std::byte*>(all);
  std::memcpy(to, mine.data, static_cast<size_t>(bytes));
  std::vector<std::unique_ptr<Pending>> under_way;
  for (int rank = 1; rank < ranks.size(); ++rank) {
    to += bytes;
    under_way.push_back(ranks.start_receive({to, mine.count, mine.type}, rank));
  }
  for (const auto& message : under_way) message->wait();
}

}  // namespace rondo
