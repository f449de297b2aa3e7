#include <ATen/ops/ones.h>
#include <fmt/format.h>

#include "base/counted.h"
#include "base/user_error.h"
#include "distributed/tensor_buffer.h"
#include "training/doctor/checks.h"
#include "training/machine/ranks.h"

namespace rondo {

Findings check_devices(const Config& config, Communicator& host) {
  if (config.distributed.backend != "nccl") return {};
  try {
    Ranks ranks(config.distributed, host);
    at::Tensor ones = at::ones({1024}, at::dtype(at::kFloat).device(ranks.device()));
    ranks.world().tensors.all_reduce_sum(buffer_of(ones));
    const auto sum = ones.sum().item<double>();
    if (sum == 1024.0 * host.size()) {
      return {{Grade::fine, "devices",
               fmt::format("a device for each of {}; NCCL sums over all",
                           counted(int64_t{host.size()}, "rank"))}};
    }
    return {{Grade::failure, "devices",
             fmt::format("NCCL's sum over all devices is {}, not {}: NCCL_DEBUG=INFO tells which "
                         "links it takes",
                         sum / 1024.0, host.size())}};
  } catch (const UserError& error) {  // the same on every rank
    return {{Grade::failure, "devices", error.what()}};
  }
}

}  // namespace rondo
