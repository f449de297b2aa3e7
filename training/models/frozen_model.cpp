#include "training/models/frozen_model.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "base/user_error.h"

namespace rondo {
namespace {

/// All components in one buffer.
std::vector<BufferPlan> everything_frozen(const ModelDefinition& model) {
  return {{.components = components(model), .trained = false}};
}

/// The model of the file, which is known to be whole and to reach so far.
ModelSpec checked_spec(const CheckpointReader& reader, int64_t sequence) {
  check_positions(reader, sequence);
  check_parameters(reader, parameters(reader.header().model));
  return reader.header().model.spec;
}

}  // namespace

void check_positions(const CheckpointReader& reader, int64_t sequence) {
  const int64_t learned = reader.header().model.spec.positions;
  if (learned == 0 || sequence <= learned) return;
  throw UserError(
      fmt::format("{}: the model learned {} positions, fewer than the sequence of {}; "
                  "ask for {} or less",
                  reader.file(), learned, sequence, learned));
}

FrozenModel::FrozenModel(const CheckpointReader& reader, Precision precision, int64_t sequence,
                         at::Device device)
    : spec_(checked_spec(reader, sequence)),
      store_(parameters(reader.header().model), everything_frozen(reader.header().model), precision,
             device),
      stage_(reader.header().model, store_,
             {.halves = {0, half_layers(reader.header().model)}, .sequence = sequence}) {
  const at::NoGradGuard no_grad;
  for (const ParameterSpec& spec : store_.parameters()) {
    at::Tensor value = store_.at(spec.path()).value;
    value.copy_(reader.read(parameter_dataset(spec)));
  }
}

}  // namespace rondo
