#include "training/machine/memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/quantity.h"
#include "base/user_error.h"
#include "model/component_store.h"
#include "model/definition/parameters.h"

namespace rondo {

MemoryNeed memory_need(const Config& config, const ModelDefinition& model, int world_size,
                       double teacher) {
  double elements = 0;
  for (const ParameterSpec& spec : parameters(model)) {
    double count = 1;
    for (const int64_t size : spec.shape) count *= static_cast<double>(size);
    elements += count;
  }
  const Precision precision = Precision::parse(config.train.precision);
  const auto master = static_cast<double>(at::elementSize(precision.master));
  // At least: copies on several pipeline ranks come on top, and the planner knows them.
  const auto pipeline = static_cast<double>(
      config.distributed.pipeline == 0 ? world_size : config.distributed.pipeline);
  const double saved = elements * 3 * master / world_size;
  elements /= pipeline;
  const double share =
      elements / (config.distributed.zero > 0 ? static_cast<double>(world_size) / pipeline : 1.0);
  const auto value = static_cast<double>(at::elementSize(precision.compute));
  const bool copies = config.checkpoint.async && config.checkpoint.every > 0;
  return {.weights = elements * value,
          .gradients = elements * master,
          .optimizer = share * master * (precision.compute == precision.master ? 2 : 3),
          .teacher = teacher / pipeline * value,
          .copy = copies ? saved : 0.0};
}

namespace {

std::string for_ranks(int ranks) {
  return ranks == 1 ? "" : fmt::format(" for the {} ranks of this machine", ranks);
}

}  // namespace

void check_fits(const MemoryNeed& need, double physical, int ranks) {
  if (need.total() * ranks <= physical) return;
  std::string more;
  if (need.teacher > 0) more += fmt::format(", teacher {}B", format_si(need.teacher));
  if (need.copy > 0) more += fmt::format(", copy for saves {}B", format_si(need.copy));
  throw UserError(fmt::format(
      "the model takes {}B on each rank (weights {}B, gradients {}B, optimizer {}B{}) and this "
      "machine has {}B{}; set smaller model sizes, share more layers (sharing.unique), {}or "
      "spread the optimizer over ranks (distributed.zero=1)",
      format_si(need.total()), format_si(need.weights), format_si(need.gradients),
      format_si(need.optimizer), more, format_si(physical), for_ranks(ranks),
      need.copy > 0 ? "save without a copy (checkpoint.async=false), " : ""));
}

void check_plan_fits(double planned, double physical, int ranks) {
  if (planned * ranks <= physical) return;
  throw UserError(fmt::format(
      "a rank takes about {}B with the activations of its microbatches and this machine has {}B{}; "
      "lower data.sequence or train.micro_batch, or keep fewer activations (train.recompute=layer)",
      format_si(planned), format_si(physical), for_ranks(ranks)));
}

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

}  // namespace rondo
