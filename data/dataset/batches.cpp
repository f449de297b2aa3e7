#include "data/dataset/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <span>

#include "base/splitmix64.h"
#include "base/user_error.h"

namespace rondo {
namespace {

/// Throws UserError where one is no positive number.
std::vector<double> weights_of(const std::vector<Corpus>& corpora) {
  std::vector<double> weights;
  for (const Corpus& corpus : corpora) {
    if (!(corpus.weight > 0 && std::isfinite(corpus.weight))) {
      throw UserError(fmt::format("data.blend: {} has weight {}; give a positive number",
                                  corpus.data.prefix(), corpus.weight));
    }
    weights.push_back(corpus.weight);
  }
  return weights;
}

int64_t samples_in(int64_t tokens, int64_t sequence, int64_t stride) {
  const int64_t beyond_first = tokens - 1 - sequence;
  return beyond_first < 0 ? 0 : beyond_first / stride + 1;
}

/// Of so many samples, those that are held out.
int64_t held_out(int64_t samples, double fraction) {
  const auto rounded = std::llround(fraction * static_cast<double>(samples));
  return fraction > 0 ? std::max<int64_t>(1, rounded) : 0;
}

void check_options(const SampleOptions& options) {
  if (options.sequence < 1) {
    throw UserError(fmt::format("data.sequence = {}: give at least 1", options.sequence));
  }
  if (!(options.validation >= 0 && options.validation < 1)) {
    throw UserError(fmt::format("data.validation = {}: give a fraction of at least 0 and below 1",
                                options.validation));
  }
}

void check_corpus(const Corpus& corpus, const SampleOptions& options) {
  const IndexedDataset& data = corpus.data;
  const int64_t all = samples_in(data.tokens(), options.sequence, options.stride);
  if (all < 1) {
    throw UserError(
        fmt::format("{}: {} tokens are too few for one sample of {} and its targets; "
                    "lower data.sequence or prepare more text",
                    data.prefix(), data.tokens(), options.sequence));
  }
  const int64_t held = held_out(all, options.validation);
  const bool training = options.split == DataSplit::train;
  if ((training ? all - held : held) < 1) {
    throw UserError(
        fmt::format("{}: data.validation = {} of {} samples leaves none for {}; change "
                    "it or lower data.sequence",
                    data.prefix(), options.validation, all, training ? "training" : "validation"));
  }
}

}  // namespace

SampleSource::SampleSource(const std::vector<Corpus>& corpora, const SampleOptions& options)
    : options_(options), corpora_(corpora), blend_(weights_of(corpora)) {
  check_options(options);
  if (options.stride == 0) options_.stride = options.sequence;
  if (corpora.empty()) throw UserError("data.path: no corpus; give the prefix of a .bin/.idx pair");
  for (const Corpus& corpus : corpora) check_corpus(corpus, options_);
  resume({});
}

DataPhase SampleSource::phase() const {
  DataPhase phase{options_.sequence, options_.shuffle, options_.seed, options_.validation, {}};
  for (const auto& [data, weight] : corpora_) {
    const std::string name = std::filesystem::path(data.prefix()).filename().string();
    phase.corpora.push_back({name, data.tokens(), weight, 0});
  }
  return phase;
}

WindowRule SampleSource::rule(size_t corpus, const DataPhase& phase) const {
  const int64_t tokens = corpora_[corpus].data.tokens();
  const int64_t stride = phase.sequence == options_.sequence ? options_.stride : phase.sequence;
  const int64_t all = samples_in(tokens, phase.sequence, stride);
  const int64_t trained = all - held_out(all, phase.validation);
  const int64_t border = phase.validation > 0 ? trained * stride : tokens - 1;
  const bool training = options_.split == DataSplit::train;
  return {.inputs = training ? TokenRange{0, border} : TokenRange{trained * stride, tokens - 1},
          .sequence = phase.sequence,
          .stride = stride,
          .shuffle = phase.shuffle,
          .key = splitmix64(splitmix64(phase.seed) ^ corpus)};
}

/// Corpora that a phase cannot tell apart are taken in the order in which both name them.
Unread SampleSource::left_by(size_t corpus, const DataPosition& before) const {
  const std::vector<CorpusProgress> own = phase().corpora;
  const auto is_it = [&](const CorpusProgress& other) { return other.is_same_corpus(own[corpus]); };
  const auto twins = std::count_if(own.begin(), own.begin() + static_cast<int64_t>(corpus), is_it);
  Unread unread = all_unread(own[corpus].tokens);
  for (const DataPhase& phase : before) {
    auto left = twins;
    const auto found = std::find_if(phase.corpora.begin(), phase.corpora.end(),
                                    [&](const auto& other) { return is_it(other) && left-- == 0; });
    if (found == phase.corpora.end() || found->samples == 0) continue;
    const auto place = static_cast<size_t>(found - phase.corpora.begin());
    WindowRule then = rule(corpus, phase);
    then.key = splitmix64(splitmix64(phase.seed) ^ place);
    unread = CorpusOrder(then, own[corpus].tokens, unread).after(found->samples);
  }
  return unread;
}

void SampleSource::resume(const DataPosition& before) {
  const DataPhase now = phase();
  before_ = before;
  std::vector<int64_t> uses(corpora_.size(), 0);
  if (!before.empty() && before.back().has_order_of(now)) {
    for (size_t i = 0; i < uses.size(); ++i) uses[i] = before.back().corpora[i].samples;
    before_.pop_back();
  }
  begin_ = samples_of(before_);
  blend_.start_from(uses);
  orders_.clear();
  for (size_t i = 0; i < corpora_.size(); ++i) {
    orders_.emplace_back(rule(i, now), corpora_[i].data.tokens(), left_by(i, before_));
  }
}

DataPosition SampleSource::position(int64_t samples) const {
  DataPosition position = before_;
  DataPhase now = phase();
  const std::vector<int64_t> uses = blend_.uses(samples - begin_);
  for (size_t i = 0; i < uses.size(); ++i) now.corpora[i].samples = uses[i];
  position.push_back(std::move(now));
  return position;
}

SampleSource::Address SampleSource::address(int64_t index) const {
  const BlendOrder::Turn turn = blend_.turn(index - begin_);
  const int64_t first = rule(turn.corpus, phase()).inputs.begin / options_.stride;
  return {turn.corpus, first + orders_[turn.corpus].window(turn.earlier)};
}

void SampleSource::read_row(int64_t index, Batch& batch, std::vector<int64_t>& tokens) const {
  const BlendOrder::Turn turn = blend_.turn(index - begin_);
  const IndexedDataset& data = corpora_[turn.corpus].data;
  for (const TokenRange& place : orders_[turn.corpus].places(turn.earlier)) {
    tokens.resize(static_cast<size_t>(place.end - place.begin + 1));
    data.read(place.begin, tokens);
    data.check_vocab(place.begin, tokens, options_.vocab);
    batch.inputs.insert(batch.inputs.end(), tokens.begin(), tokens.end() - 1);
    batch.targets.insert(batch.targets.end(), tokens.begin() + 1, tokens.end());
  }
}

Batch SampleSource::batch(int64_t position, int64_t first, int64_t count) const {
  Batch batch{count, options_.sequence, {}, {}};
  std::vector<int64_t> tokens;
  for (int64_t row = first; row < first + count; ++row) read_row(position + row, batch, tokens);
  return batch;
}

int64_t SampleSource::samples() const {
  return std::accumulate(orders_.begin(), orders_.end(), int64_t{0},
                         [](int64_t sum, const CorpusOrder& o) { return sum + o.windows(); });
}

}  // namespace rondo
