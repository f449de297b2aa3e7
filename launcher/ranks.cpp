#include "launcher/ranks.h"

#include <fmt/format.h>

#include "base/user_error.h"
#include "distributed/comm/mpi_communicator.h"
#include "launcher/agree.h"

#ifdef RONDO_CUDA
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "distributed/comm/nccl_communicator.h"
#endif

namespace rondo {
namespace {

#ifdef RONDO_CUDA

/// Makes this rank's device current.
torch::Device choose_device() {
  const int index = rank_on_node();
  const int count = cuda_device_count();
  if (index >= count) {
    throw UserError(
        fmt::format("distributed.backend = \"nccl\": rank {} of this node finds {} CUDA "
                    "device(s); start as many ranks a node as it has devices, or set "
                    "distributed.backend=mpi",
                    index, count));
  }
  const torch::Device device(torch::kCUDA, static_cast<c10::DeviceIndex>(index));
  c10::impl::getDeviceGuardImpl(torch::kCUDA)->setDevice(device);
  return device;
}

std::unique_ptr<Communicator> make_tensor_world(Communicator& host, double deadline_s) {
  return make_nccl_world(host, {.deadline_s = deadline_s});
}

#else

torch::Device choose_device() {
  throw UserError(
      "distributed.backend = \"nccl\": this rondo was built without CUDA; build it with "
      "-DRONDO_CUDA=ON, or set distributed.backend=mpi");
}

std::unique_ptr<Communicator> make_tensor_world(Communicator&, double) { return nullptr; }

#endif

}  // namespace

Ranks::Ranks(const DistributedConfig& config, Communicator& host)
    : host_(make_mpi_world(config.deadline_s)) {
  if (config.backend != "nccl") return;
  agree(host, [&] { device_ = choose_device(); });
  tensors_ = make_tensor_world(*host_, config.deadline_s);
}

}  // namespace rondo
