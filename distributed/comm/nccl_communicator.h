// Device memory between ranks, by NCCL. Built with RONDO_CUDA=ON only.
#pragma once

#include <memory>

#include "distributed/comm/communicator.h"

namespace rondo {

struct NcclOptions {
  double deadline_s = 600;  ///< seconds that a call may wait for its peers
  /// The cudaStream_t that all collectives of the world and its subgroups run on; not owned. Pass
  /// LibTorch's current stream; null is CUDA's default stream, which LibTorch starts on.
  void* stream = nullptr;
};

/// CUDA devices that this process sees; 0 where there is no driver.
int cuda_device_count();

/// All ranks of `host`, the MPI world, each with the CUDA device that is current when it calls; no
/// two ranks may share one. Collective over the ranks of `host`, which is needed for this call
/// only. Throws UserError where this process sees no device.
///
/// Streams and buffers: a collective is enqueued on the stream, after what the caller enqueued
/// there, and the call returns when the device has finished it. So the caller may read, write or
/// free the buffer on any stream as soon as the call is back and needs no event; what fills the
/// buffer on *another* stream must be ordered before the call by the caller.
///
/// A started call runs on a stream of the communicator's own, after what the caller's stream held
/// when it was started; several run in the order in which they were started. Pending::wait() orders
/// the caller's stream after the call and does not block the host. So a buffer may be reused by
/// work on the caller's stream, or handed back to LibTorch's caching allocator, from wait() on and
/// not before. A started call that never ends is noticed by the next call that blocks.
///
/// Order: ranks that share several communicators must use them in one order. One thread uses the
/// world and its subgroups. All must be gone before the MpiSession ends; none may be static.
///
/// Errors: std::runtime_error with operation, group and rank, and the communicator is aborted and
/// can no longer be used. A call that is late aborts it too and ends the job.
std::unique_ptr<Communicator> make_nccl_world(Communicator& host, const NcclOptions& options);

}  // namespace rondo
