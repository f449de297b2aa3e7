#include "training/frozen_model.h"

#include <fmt/format.h>

#include "base/user_error.h"

namespace rondo {
namespace {

/// All components in one buffer.
std::vector<BufferPlan> everything_frozen(const ModelDefinition& model) {
  BufferPlan plan{.components = {}, .trained = false};
  for (const Component& component : components(model)) {
    plan.components.push_back(to_string(component));
  }
  return {plan};
}

void check_positions(const CheckpointReader& reader, int64_t sequence) {
  const int64_t learned = reader.header().model.spec.positions;
  if (learned == 0 || sequence <= learned) return;
  throw UserError(fmt::format("{}: the model learned {} positions, fewer than the {} asked for",
                              reader.file(), learned, sequence));
}

CheckpointReader open_teacher(const std::string& file) {
  try {
    return CheckpointReader(file);
  } catch (const UserError& error) {
    throw UserError(fmt::format("train.distill = \"{}\": {}", file, error.what()));
  }
}

}  // namespace

FrozenModel::FrozenModel(const CheckpointReader& reader, Precision precision, int64_t sequence,
                         torch::Device device)
    : spec_((check_positions(reader, sequence), reader.header().model.spec)),
      store_(parameters(reader.header().model), everything_frozen(reader.header().model), precision,
             device),
      stage_(reader.header().model, store_,
             {.halves = {0, half_layers(reader.header().model)}, .sequence = sequence}) {
  const torch::NoGradGuard no_grad;
  check_parameters(reader, parameters(reader.header().model));
  for (const ParameterSpec& spec : store_.parameters()) {
    torch::Tensor value = store_.at(spec.path()).value;
    value.copy_(reader.read(parameter_dataset(spec)));
  }
}

int64_t check_teacher(const Config& config, const ModelSpec& student) {
  const std::string& file = config.train.distill;
  if (file.empty()) return 0;
  const CheckpointReader reader = open_teacher(file);
  const ModelSpec& teacher = reader.header().model.spec;
  if (teacher.vocab != student.vocab) {
    throw UserError(
        fmt::format("train.distill = \"{}\": the teacher knows {} tokens and the model {}; both "
                    "must use one tokenizer",
                    file, teacher.vocab, student.vocab));
  }
  check_positions(reader, config.data.sequence);
  check_parameters(reader, parameters(reader.header().model));
  const CheckpointHeader& header = reader.header();
  return count_parameters(header.model).unique;
}

Teach load_teacher(const Config& config, torch::Device device) {
  const TrainConfig& train = config.train;
  if (train.distill.empty()) return {};
  const auto teacher = std::make_shared<const FrozenModel>(
      open_teacher(train.distill), Precision::parse(train.precision), config.data.sequence, device);
  return [teacher, temperature = train.distill_temperature,
          weight = train.distill_weight](const Microbatch& batch) {
    const Stage& stage = teacher->stage();
    return SoftTargets{.x = stage.features(batch),
                       .head = stage.head().value,
                       .temperature = temperature,
                       .weight = weight};
  };
}

double teacher_flops_per_token(const Config& config) {
  if (config.train.distill.empty()) return 0.0;
  const CheckpointReader reader = open_teacher(config.train.distill);
  const CheckpointHeader& header = reader.header();
  constexpr double forward_share = 1.0 / 3.0;
  return forward_share * flops_per_token(header.model, config.data.sequence);
}

}  // namespace rondo
