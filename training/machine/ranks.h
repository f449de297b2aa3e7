// The communicators and the device that a run's `distributed.backend` asks for.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "distributed/comm/world.h"
#include "training/config.h"

namespace rondo {

/// Owns the communicators of one run; they end before MPI does.
class Ranks {
 public:
  /// "mpi": tensors in host memory. "nccl": one CUDA device per rank of a node, made current here;
  /// throws UserError in a build without CUDA or on a node with fewer devices than ranks. `host` is
  /// the world that the run was set up with. Collective.
  Ranks(const DistributedConfig& config, Communicator& host);

  World world() { return {*host_, tensors_ ? *tensors_ : *host_}; }
  at::Device device() const { return device_; }

 private:
  std::unique_ptr<Communicator> host_;
  std::unique_ptr<Communicator> tensors_;  ///< null: as `host_`
  at::Device device_ = at::kCPU;
};

}  // namespace rondo
