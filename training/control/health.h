// Whether a model is still one: numbers that are not finite, and the way back from them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "checkpoint/format/checkpoint.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "distributed/comm/communicator.h"

namespace rondo {

/// Whether all of `values`, of any shape and device, are finite.
bool all_finite(const at::Tensor& values);

/// The dataset of the first of `slices` that holds a number that is not finite, or a weight whose
/// square is not; empty for none.
std::string first_not_finite(const std::vector<DatasetSlice>& slices);

/// The same of a checkpoint's weights. Throws UserError where they cannot be read.
std::string first_not_finite(const CheckpointReader& reader);

/// One clause: which checkpoint of `folder` is the newest with finite weights, and how a run goes
/// on from it.
std::string way_back(const std::string& folder);

/// Ends a run that came apart: throws AgreedRunError with `what`, the usual cures and the way back.
/// No save may be under way. Collective.
void end_not_finite(Communicator& host, const std::string& what, const std::string& folder);

}  // namespace rondo
