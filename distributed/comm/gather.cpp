#include "distributed/comm/gather.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

namespace rondo {

namespace {

/// Each member adds zeros to the numbers of the others.
template <typename Number>
std::vector<Number> summed_rows(Communicator& ranks, Number mine, ElementType type) {
  std::vector<Number> all(static_cast<size_t>(ranks.size()), Number{0});
  all[ranks.rank()] = mine;
  ranks.all_reduce_sum({all.data(), ranks.size(), type});
  return all;
}

}  // namespace

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

std::vector<int64_t> everyones(Communicator& ranks, int64_t mine) {
  return summed_rows(ranks, mine, ElementType::int64);
}

std::vector<double> everyones(Communicator& ranks, double mine) {
  return summed_rows(ranks, mine, ElementType::float64);
}

std::vector<std::string> gather_texts(Communicator& ranks, const std::string& mine) {
  const std::vector<int64_t> sizes = everyones(ranks, static_cast<int64_t>(mine.size()));
  const int64_t longest = *std::max_element(sizes.begin(), sizes.end());
  // Messages are made of whole elements.
  const int64_t words = longest / static_cast<int64_t>(sizeof(int64_t)) + 1;
  std::vector<int64_t> own(static_cast<size_t>(words), 0);
  std::memcpy(own.data(), mine.data(), mine.size());
  std::vector<int64_t> all(ranks.rank() == 0 ? own.size() * sizes.size() : 0);
  gather_on_first(ranks, {own.data(), words, ElementType::int64}, all.data());
  std::vector<std::string> texts;
  for (size_t rank = 0; rank < sizes.size() && !all.empty(); ++rank) {
    const auto* begin = reinterpret_cast<const char*>(all.data() + rank * own.size());
    texts.emplace_back(begin, static_cast<size_t>(sizes[rank]));
  }
  return texts;
}

}  // namespace rondo
