// logits FILE.h5 PRECISION WAY TOKEN…: what the model says after each token, as float32 or float64,
// which is PRECISION, on standard output; WAY is whole (all tokens at once) or step (one after the
// other).
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "checkpoint/format/checkpoint_reader.h"
#include "training/models/frozen_model.h"

namespace {

using namespace rondo;

/// [tokens, vocab]
at::Tensor logits_of(const Stage& stage, const at::Tensor& tokens, bool step) {
  const at::NoGradGuard no_grad;
  if (!step) return stage.features({tokens, {}}).mm(stage.head().value.t());
  SequenceMemory memory = stage.empty_memory();
  std::vector<at::Tensor> rows;
  for (const at::Tensor& token : tokens.split(1)) {
    rows.push_back(stage.next_features(token, memory).mm(stage.head().value.t()));
  }
  return at::cat(rows);
}

}  // namespace

int main(int count, char** words) {
  std::vector<int64_t> ids;
  for (int i = 4; i < count; ++i) ids.push_back(std::stoll(words[i]));
  const FrozenModel model(CheckpointReader(words[1]), Precision::parse(words[2]),
                          static_cast<int64_t>(ids.size()), at::kCPU);
  const at::Tensor tokens = at::tensor(ids, at::kLong);
  const at::Tensor logits =
      logits_of(model.stage(), tokens, std::string(words[3]) == "step").contiguous();
  std::fwrite(logits.data_ptr(), 1, logits.nbytes(), stdout);
  return 0;
}
