#include "launcher/replica.h"

#include <numeric>

#include "checkpoint/checkpoint_writer.h"
#include "model/initial_values.h"

namespace rondo {
namespace {

/// Without a pipeline every rank holds every component.
std::vector<ReplicaGroup> groups_of(const std::vector<ParameterSpec>& parameters, int world_size) {
  std::vector<int> everyone(static_cast<size_t>(world_size));
  std::iota(everyone.begin(), everyone.end(), 0);
  std::vector<ComponentHolders> holders;
  for (const ParameterSpec& spec : parameters) {
    if (!holders.empty() && holders.back().component == spec.component) continue;
    holders.push_back({spec.component, everyone});
  }
  return replica_groups(holders);
}

torch::Tensor on_host(const torch::Tensor& t) { return t.cpu().contiguous(); }

}  // namespace

Replica::Replica(const ModelDefinition& model, const ReplicaOptions& options, World world)
    : model_(model),
      parameters_(parameter_list(model.spec, model.sharing, model.relaxation_rank)),
      groups_(groups_of(parameters_, world.size())),
      store_(parameters_, buffer_plans(groups_, world.rank()), options.precision, options.device),
      buffers_(store_, groups_, world, options.zero),
      stage_(model, store_,
             {.halves = {0, 2 * model.sharing.depth()},
              .sequence = options.sequence,
              .recompute = options.recompute}) {
  check_ties(stage_.layers(), model.sharing);
}

void Replica::draw(uint64_t seed) {
  draw_initial_values(store_, model_, seed);
  buffers_.adopt_values();
}

void Replica::load(const CheckpointReader& reader, bool optimizer) {
  for (OwnedSlice& slice : buffers_.needed_slices()) {
    const auto read = [&](const std::string& dataset, torch::Tensor& target) {
      target.copy_(reader.read_range(dataset, slice.begin, target.numel()));
    };
    read(parameter_dataset(slice.parameter), slice.master);
    if (!optimizer) continue;
    read(exp_avg_dataset(slice.parameter), slice.exp_avg);
    read(exp_avg_sq_dataset(slice.parameter), slice.exp_avg_sq);
  }
  buffers_.publish_values();
  buffers_.wait_for_values();
}

void Replica::save(const std::string& file, const CheckpointHeader& header) {
  check_ties(stage_.layers(), model_.sharing);
  buffers_.check_replicas_equal();
  std::vector<DatasetSpec> all;
  for (const ParameterSpec& spec : parameters_) {
    for (const std::string& path :
         {parameter_dataset(spec), exp_avg_dataset(spec), exp_avg_sq_dataset(spec)}) {
      all.push_back({path, spec.shape, store_.precision().master});
    }
  }
  std::vector<DatasetSlice> mine;
  for (const OwnedSlice& slice : buffers_.checkpoint_slices()) {
    const auto write = [&](const std::string& dataset, const torch::Tensor& values) {
      mine.push_back({dataset, slice.begin, on_host(values)});
    };
    write(parameter_dataset(slice.parameter), slice.master);
    write(exp_avg_dataset(slice.parameter), slice.exp_avg);
    write(exp_avg_sq_dataset(slice.parameter), slice.exp_avg_sq);
  }
  save_checkpoint(file, header, all, mine, /*parallel=*/true);
}

}  // namespace rondo
