// train.distill: another checkpoint's model teaches.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/stage.h"
#include "training/config.h"

namespace rondo {

/// Throws UserError where `train.distill` names no model that could teach one of `student`'s
/// vocabulary. Returns the number of the teacher's parameters, 0 without one.
int64_t check_teacher(const Config& config, const ModelSpec& student);

/// What the model of `train.distill` says of each microbatch; null without one.
Teach load_teacher(const Config& config, at::Device device);

/// Forward floating-point operations that the teacher adds to each token; 0 without one.
double teacher_flops_per_token(const Config& config);

}  // namespace rondo
