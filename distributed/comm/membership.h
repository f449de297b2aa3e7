// Who takes part in a call, and the words in which every backend reports one that went wrong.
#pragma once

#include <cstdint>
#include <string>

#include "distributed/comm/communicator.h"

namespace rondo {

/// A group in world ranks, and the place of this process in it.
struct Membership {
  Group group;    ///< ranks are world ranks, ascending
  int rank = -1;  ///< index of this process in group.ranks; -1 where it is no member

  int size() const { return static_cast<int>(group.ranks.size()); }
  bool is_member() const { return rank >= 0; }
  int world_rank() const { return group.ranks[rank]; }
};

/// Ranks 0 … size−1 under the name "world".
Membership world_membership(int rank, int size);

/// `group` holds ranks of `parent`. Throws std::invalid_argument where they are not ascending or
/// `parent` does not have them.
Membership member_of(const Membership& parent, const Group& group);

/// "rank 3 waited 600 s in all_reduce_sum on replica group 0 (ranks 0 1 2 3); a peer has …".
/// `nodes`, by world rank, are named where the members are on several: "… between the nodes a and
/// b".
std::string overdue_line(const Membership& members, const std::string& operation, double waited_s,
                         const std::vector<std::string>& nodes = {});

/// "all_reduce_sum on replica group 0 failed at rank 3: <reason>"
std::string failure_line(const Membership& members, const std::string& operation,
                         const std::string& reason);

/// Throws std::invalid_argument unless `type` is one that can be summed.
void require_summable(ElementType type);

/// Elements of one of the members' equal parts of `whole`. Throws std::invalid_argument where
/// `whole.count` is no multiple of their number.
int64_t equal_part(const Membership& members, const Buffer& whole);

/// Throws std::invalid_argument unless `root` is the index of a member.
void require_root(const Membership& members, int root);

/// What one rank sends when `passes` times (size−1)/size of `buffer` go around a ring, in bytes,
/// rounded down.
int64_t ring_bytes(const Membership& members, const Buffer& buffer, int64_t passes);

}  // namespace rondo
