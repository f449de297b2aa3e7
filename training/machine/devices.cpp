#include "training/machine/devices.h"

#include <ATen/Context.h>
#include <fmt/format.h>

#include <cstdlib>

#include "base/user_error.h"

#ifdef RONDO_CUDA
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "distributed/comm/nccl_communicator.h"
#endif

namespace rondo {
namespace {

#ifdef RONDO_CUDA

at::Device choose_cuda_device(int index, const std::string& asked, const std::string& otherwise) {
  const int count = cuda_device_count();
  if (index >= count) {
    throw UserError(
        fmt::format("{}: rank {} of this node finds {} CUDA device(s); start as many ranks a node "
                    "as it has devices, or {}",
                    asked, index, count, otherwise));
  }
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
  c10::impl::getDeviceGuardImpl(at::kCUDA)->setDevice(device);
  return device;
}

#else

at::Device choose_cuda_device(int /*index*/, const std::string& asked,
                              const std::string& otherwise) {
  throw UserError(
      fmt::format("{}: this rondo was built without CUDA; build it with -DRONDO_CUDA=ON, or {}",
                  asked, otherwise));
}

#endif

}  // namespace

at::Device choose_device(const std::string& kind, int rank_on_node, const std::string& asked,
                         const std::string& otherwise) {
  return kind == "cuda" ? choose_cuda_device(rank_on_node, asked, otherwise) : at::kCPU;
}

// With warnings in the place of errors LibTorch leaves cuDNN's attention as it is.
// To fill what is only made would cost a pass over it.
void add_in_one_order() {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

}  // namespace rondo
