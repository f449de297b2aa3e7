#include "training/machine/ranks.h"

#include "distributed/comm/agree.h"
#include "distributed/comm/mpi_communicator.h"
#include "distributed/comm/mpi_session.h"
#include "training/machine/devices.h"

#ifdef RONDO_CUDA
#include "distributed/comm/nccl_communicator.h"
#endif

namespace rondo {
namespace {

#ifdef RONDO_CUDA

std::unique_ptr<Communicator> make_tensor_world(Communicator& host, double deadline_s) {
  return make_nccl_world(host, {.deadline_s = deadline_s});
}

#else

std::unique_ptr<Communicator> make_tensor_world(Communicator&, double) { return nullptr; }

#endif

}  // namespace

Ranks::Ranks(const DistributedConfig& config, Communicator& host)
    : host_(make_mpi_world(config.deadline_s)) {
  if (config.backend != "nccl") return;
  agree(host, [&] {
    device_ = choose_device("cuda", rank_on_node(), "distributed.backend = \"nccl\"",
                            "set distributed.backend=mpi");
  });
  if (config.deterministic) add_in_one_order();
  tensors_ = make_tensor_world(*host_, config.deadline_s);
}

}  // namespace rondo
