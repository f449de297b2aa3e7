#include "training/models/teacher.h"

#include <fmt/format.h>

#include <memory>

#include "base/user_error.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "training/models/frozen_model.h"

namespace rondo {
namespace {

CheckpointReader open_teacher(const std::string& file) {
  try {
    return CheckpointReader(file);
  } catch (const UserError& error) {
    throw UserError(fmt::format("train.distill = \"{}\": {}", file, error.what()));
  }
}

}  // namespace

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

Teach load_teacher(const Config& config, at::Device device) {
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
