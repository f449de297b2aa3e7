#include "training/held_out.h"

#include "training/models/evaluation.h"

namespace rondo {

std::vector<int64_t> samples_to_measure(const Config& config, const Corpora& corpora) {
  const int64_t most = config.train.eval_batches * config.train.global_batch;
  if (config.data.validation > 0.0) return held_out_counts(corpora.validation, most);
  std::vector<int64_t> counts;
  for (const HeldOut& set : corpora.validation) counts.push_back(held_out_counts({set}, most)[0]);
  return counts;
}

std::optional<HeldOutLoss> measure_held_out(const Config& config, const Corpora& corpora,
                                            LocalModel& model, World world,
                                            const std::function<bool()>& stop) {
  const std::vector<int64_t> counts = samples_to_measure(config, corpora);
  HeldOutLoss result;
  double weights = 0.0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const HeldOut& corpus = corpora.validation[i];
    const std::optional<double> loss = evaluate(model, corpus.samples,
                                                {.samples = counts[i],
                                                 .micro_batch = config.train.micro_batch,
                                                 .sequence = config.data.sequence},
                                                world, stop);
    if (!loss) return std::nullopt;
    result.mean += *loss * corpus.weight;
    weights += corpus.weight;
    if (counts.size() > 1) result.each.emplace_back(corpus.name, *loss);
  }
  result.mean /= weights;
  return result;
}

}  // namespace rondo
