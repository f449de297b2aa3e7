// The ranks that write one file together, and how they agree that it went well.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rondo {

/// Ranks with a communicator of their own, so that they may write while the rest of the program
/// communicates. Waiting sleeps: the cores belong to whoever computes. Copies are the same ranks.
class Writers {
 public:
  /// This process.
  static Writers alone();
  /// Every rank of the job; this process where MPI is not running. Collective; MPI must still be
  /// running when the last copy goes.
  static Writers world();

  bool parallel() const { return group_ != nullptr; }
  int rank() const;

  /// Collective. When any rank brings an error, every rank throws the UserError of the lowest such
  /// rank; so none goes on alone.
  void agree(const std::string& error) const;

  /// Collective. The values of rank 0.
  std::vector<int64_t> of_first(std::vector<int64_t> values) const;

  /// Collective. Elementwise sum over the ranks, modulo 2^64.
  std::vector<uint64_t> sum(std::vector<uint64_t> values) const;

 private:
  struct Group;
  std::shared_ptr<const Group> group_;  ///< null: this process
};

}  // namespace rondo
