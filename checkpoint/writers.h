// The ranks that write one file together, and how they agree that it went well.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rondo {

/// MPI_COMM_WORLD, or this process alone: when `parallel` is false or MPI is not running.
class Writers {
 public:
  explicit Writers(bool parallel);

  bool parallel() const { return parallel_; }
  int rank() const { return rank_; }

  /// Collective. When any rank brings an error, every rank throws the UserError of the lowest such
  /// rank; so none goes on alone.
  void agree(const std::string& error) const;

  /// Collective. The values of rank 0.
  std::vector<int64_t> of_first(std::vector<int64_t> values) const;

  /// Collective. Elementwise sum over the ranks, modulo 2^64.
  std::vector<uint64_t> sum(std::vector<uint64_t> values) const;

 private:
  bool parallel_ = false;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace rondo
