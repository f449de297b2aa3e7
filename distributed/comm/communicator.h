// Moves bytes between ranks and decides nothing. The only virtual interface of the project.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "distributed/comm/sent_bytes.h"

namespace rondo {

enum class ElementType { float32, float64, bfloat16, int64 };

/// Bytes of one element.
int64_t element_size(ElementType type);

/// A contiguous run of elements; not owned. `data` is host memory for MPI, device memory for NCCL.
struct Buffer {
  void* data = nullptr;
  int64_t count = 0;
  ElementType type = ElementType::float32;
};

/// A call that was started and may still be under way. Its buffer must stay alive and untouched
/// until wait() is back; with NCCL, what is enqueued on LibTorch's current stream after wait() runs
/// after the call.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual void wait() = 0;
  /// Whether wait() would return at once.
  virtual bool done() = 0;
};

/// A named set of ranks.
struct Group {
  std::string name;        ///< for error messages: "replica group 0"
  std::vector<int> ranks;  ///< ranks of the communicator it is cut from, ascending
  bool operator==(const Group&) const = default;
};

/// Every call but send and receive is collective over the members and must be made in the same
/// order by all of them; where ranks share several communicators, in one order over all of these.
/// A call that is not finished within the deadline ends the job: one line names the operation, the
/// group and the rank that waited. Sums take float32, float64 and int64.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const std::string& name() const = 0;

  /// Collective over all members of *this*, whichever groups they belong to. One entry per group,
  /// in order; null where this rank is no member. A group of one rank costs no communication.
  virtual std::vector<std::unique_ptr<Communicator>> subgroups(
      const std::vector<Group>& groups) = 0;

  /// In place: every member ends with the sum over the members. Bitwise equal on all of them.
  virtual void all_reduce_sum(Buffer buffer) = 0;

  /// In place: `whole` holds size() equal parts; afterwards part rank() holds the sum over the
  /// members and the rest is unspecified. `whole.count` must be a multiple of size().
  virtual void reduce_scatter_sum(Buffer whole) = 0;

  /// In place: every member contributes part rank() of `whole` and ends with all parts.
  virtual void all_gather(Buffer whole) = 0;

  virtual void broadcast(Buffer buffer, int root) = 0;
  virtual void barrier() = 0;

  /// The same calls, which run behind the caller's back, in the order in which they were started.
  virtual std::unique_ptr<Pending> start_all_reduce_sum(Buffer buffer) = 0;
  virtual std::unique_ptr<Pending> start_reduce_scatter_sum(Buffer whole) = 0;
  virtual std::unique_ptr<Pending> start_all_gather(Buffer whole) = 0;

  /// One message of `buffer` to the member `to`. The n-th message to a member is its n-th from
  /// here, and both sides give the same number of bytes.
  virtual std::unique_ptr<Pending> start_send(Buffer buffer, int to) = 0;
  virtual std::unique_ptr<Pending> start_receive(Buffer buffer, int from) = 0;

  /// Bytes that this rank has handed to the network in messages, reductions and gathers of this
  /// communicator (its subgroups apart) so far, those that were only started included; reductions
  /// and gathers by the volume a ring needs, rounded down: all_reduce 2·(n−1)/n, reduce_scatter and
  /// all_gather (n−1)/n of the buffer.
  virtual SentBytes traffic() const = 0;
};

}  // namespace rondo
