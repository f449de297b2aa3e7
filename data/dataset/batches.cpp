#include "data/dataset/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/user_error.h"
#include "data/dataset/permutation.h"

namespace rondo {
namespace {

/// Turns after which the order of the corpora repeats; weights are rounded to multiples of
/// 1/turns_per_period.
constexpr int64_t turns_per_period = 1000;

}  // namespace

SampleSource::SampleSource(const std::vector<Corpus>& corpora, const SampleOptions& options)
    : options_(options), stride_(options.stride > 0 ? options.stride : options.sequence) {
  if (options.sequence < 1) {
    throw UserError(fmt::format("data.sequence = {}: give at least 1", options.sequence));
  }
  if (options.global_batch < 1) {
    throw UserError(fmt::format("train.global_batch = {}: give at least 1", options.global_batch));
  }
  if (!(options.validation >= 0 && options.validation < 1)) {
    throw UserError(fmt::format("data.validation = {}: give a fraction of at least 0 and below 1",
                                options.validation));
  }
  if (corpora.empty()) throw UserError("data.path: no corpus; give the prefix of a .bin/.idx pair");
  for (const Corpus& corpus : corpora) parts_.push_back(make_part(corpus));
  set_shares(corpora);
  set_pattern();
}

SampleSource::Part SampleSource::make_part(const Corpus& corpus) const {
  const IndexedDataset& data = corpus.data;
  if (!(corpus.weight > 0 && std::isfinite(corpus.weight))) {
    throw UserError(fmt::format("data.blend: {} has weight {}; give a positive number",
                                data.prefix(), corpus.weight));
  }
  const int64_t beyond_first = data.tokens() - 1 - options_.sequence;
  const int64_t all = beyond_first < 0 ? 0 : beyond_first / stride_ + 1;
  if (all < 1) {
    throw UserError(
        fmt::format("{}: {} tokens are too few for one sample of {} and its targets; "
                    "lower data.sequence or prepare more text",
                    data.prefix(), data.tokens(), options_.sequence));
  }
  const auto rounded = std::llround(options_.validation * static_cast<double>(all));
  const int64_t held_out = options_.validation > 0 ? std::max<int64_t>(1, rounded) : 0;
  const bool training = options_.split == Split::train;
  Part part{data, training ? 0 : all - held_out, training ? all - held_out : held_out, 0};
  if (part.samples < 1) {
    throw UserError(
        fmt::format("{}: data.validation = {} of {} samples leaves none for {}; change "
                    "it or lower data.sequence",
                    data.prefix(), options_.validation, all, training ? "training" : "validation"));
  }
  return part;
}

/// Largest remainder: shares of the period that add up exactly.
void SampleSource::set_shares(const std::vector<Corpus>& corpora) {
  const double sum = std::accumulate(corpora.begin(), corpora.end(), 0.0,
                                     [](double s, const Corpus& c) { return s + c.weight; });
  std::vector<double> remainders;
  int64_t left = turns_per_period;
  for (size_t i = 0; i < corpora.size(); ++i) {
    const double share = corpora[i].weight / sum * turns_per_period;
    parts_[i].per_period = static_cast<int64_t>(share);
    remainders.push_back(share - std::floor(share));
    left -= parts_[i].per_period;
  }
  std::vector<size_t> order(corpora.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  for (size_t i = 0; i < static_cast<size_t>(left); ++i) ++parts_[order[i]].per_period;
  for (size_t i = 0; i < corpora.size(); ++i) {
    if (parts_[i].per_period == 0) {
      throw UserError(
          fmt::format("data.blend: {} has weight {} of {}, below 1/{} of the blend; "
                      "raise it or leave the corpus out",
                      parts_[i].data.prefix(), corpora[i].weight, sum, turns_per_period));
    }
  }
}

/// Each turn goes to the corpus that lags most behind its share. What lags has turns left, so every
/// corpus ends with exactly its share.
void SampleSource::set_pattern() {
  std::vector<int64_t> used(parts_.size(), 0);
  for (int64_t turn = 1; turn <= turns_per_period; ++turn) {
    const auto lag = [&](size_t i) {
      return parts_[i].per_period * turn - used[i] * turns_per_period;
    };
    size_t next = 0;
    for (size_t i = 1; i < parts_.size(); ++i) {
      if (lag(i) > lag(next)) next = i;
    }
    pattern_.push_back({next, used[next]++});
  }
}

SampleSource::Address SampleSource::address(int64_t index) const {
  const auto period = static_cast<int64_t>(pattern_.size());
  const Turn turn = pattern_[static_cast<size_t>(index % period)];
  const Part& part = parts_[turn.part];
  const int64_t use = index / period * part.per_period + turn.earlier;
  const int64_t epoch = use / part.samples;
  auto sample = static_cast<uint64_t>(use % part.samples);
  if (options_.shuffle) {
    const uint64_t corpus_key = splitmix64(splitmix64(options_.seed) ^ turn.part);
    const uint64_t key = splitmix64(corpus_key ^ static_cast<uint64_t>(epoch));
    sample = permute(sample, static_cast<uint64_t>(part.samples), key);
  }
  return {turn.part, part.first + static_cast<int64_t>(sample)};
}

Batch SampleSource::batch(int64_t step, int64_t first, int64_t count) const {
  const int64_t length = options_.sequence;
  Batch batch{count, length, {}, {}};
  std::vector<int64_t> tokens(static_cast<size_t>(length + 1));
  for (int64_t row = first; row < first + count; ++row) {
    const Address from = address(step * options_.global_batch + row);
    const IndexedDataset& data = parts_[from.corpus].data;
    data.read(from.sample * stride_, tokens);
    data.check_vocab(from.sample * stride_, tokens, options_.vocab);
    batch.inputs.insert(batch.inputs.end(), tokens.begin(), tokens.end() - 1);
    batch.targets.insert(batch.targets.end(), tokens.begin() + 1, tokens.end());
  }
  return batch;
}

int64_t SampleSource::samples() const {
  return std::accumulate(parts_.begin(), parts_.end(), int64_t{0},
                         [](int64_t sum, const Part& part) { return sum + part.samples; });
}

}  // namespace rondo
