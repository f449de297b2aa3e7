#include "training/microbatches.h"

#include <ATen/ops/tensor.h>

#include <algorithm>

namespace rondo {
namespace {

/// Inputs and targets, both [rows·sequence] int64.
Microbatch to_microbatch(const Batch& batch, at::Device device) {
  return {at::tensor(batch.inputs, at::kLong).to(device),
          at::tensor(batch.targets, at::kLong).to(device)};
}

}  // namespace

MicrobatchSource microbatches_of(const SampleSource& source, const SampleRange& range,
                                 at::Device device) {
  const auto first = [range](int i) { return range.first + i * range.stride; };
  const auto samples = [range, first](int i) {
    return std::min(range.micro_batch, range.end - first(i));
  };
  return {[=, &source](int i) {
            return to_microbatch(source.batch(range.position, first(i), samples(i)), device);
          },
          [=](int i) { return samples(i) * range.sequence; }};
}

MicrobatchSource microbatches_from(const MicrobatchSource& source, int first) {
  return {[&source, first](int i) { return source.load(first + i); },
          [&source, first](int i) { return source.rows(first + i); }};
}

}  // namespace rondo
