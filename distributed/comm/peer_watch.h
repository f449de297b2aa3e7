// Says which rank has died, where its launcher says only that the job is over.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "distributed/comm/local_ranks.h"

namespace rondo {

/// Every rank of a node watches the next one there, the last one the first. Where that process ends
/// without a farewell (killed by a signal, or by the kernel for want of memory), its watcher prints
/// one line with its rank and ends the job, with the exit code of a killed program. Lives between
/// the start and the end of MPI.
class PeerWatch {
 public:
  /// Collective over the job.
  PeerWatch();
  /// No rank is missed from now on. Collective over the job.
  ~PeerWatch();
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;

 private:
  static void watch(const std::stop_token& stop, LocalRank next, int descriptor);

  std::jthread watcher_;
};

}  // namespace rondo
