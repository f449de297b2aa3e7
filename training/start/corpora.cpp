#include "training/start/corpora.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <numeric>

#include "base/near_path.h"
#include "base/user_error.h"
#include "data/prepare.h"
#include "distributed/comm/agree.h"

namespace rondo {

namespace {

/// The usual slips, answered in the words in which the user named the prefix.
void check_prefix(const std::string& name, const std::string& prefix) {
  namespace fs = std::filesystem;
  const fs::path path(prefix);
  const bool has_bin = fs::exists(prefix + ".bin");
  const bool has_idx = fs::exists(prefix + ".idx");
  if (has_bin && has_idx) return;
  if (has_bin || has_idx) {
    throw UserError(fmt::format(
        "{} {}: there is {} without {} beside it; copy both, or make them again with rondo prepare",
        name, prefix, prefix + (has_bin ? ".bin" : ".idx"), prefix + (has_bin ? ".idx" : ".bin")));
  }
  if (fs::exists(path) && (path.extension() == ".bin" || path.extension() == ".idx")) {
    throw UserError(fmt::format("{} {}: give the prefix that .bin and .idx share, {}", name, prefix,
                                fs::path(path).replace_extension().string()));
  }
  const std::optional<std::string> near = near_path(prefix + ".bin");
  const std::string remedy =
      near && near->ends_with(".bin")
          ? fmt::format("did you mean {}?", fs::path(*near).replace_extension().string())
          : fmt::format("make it from text with rondo prepare --input FILE --output {}", prefix);
  throw UserError(fmt::format("{} {}: there is no {}.bin; {}", name, prefix, prefix, remedy));
}

}  // namespace

IndexedDataset open_corpus(const std::string& name, const std::string& prefix) {
  check_prefix(name, prefix);
  return IndexedDataset(prefix);
}

namespace {

std::vector<HeldOut> open_held_out(const std::vector<Corpus>& corpora, SampleOptions options) {
  options.shuffle = false;
  std::vector<HeldOut> held_out;
  for (const Corpus& corpus : corpora) {
    held_out.push_back({corpus.data.prefix(), corpus.weight, SampleSource({corpus}, options)});
  }
  return held_out;
}

}  // namespace

Corpora open_corpora(const Config& config) {
  const DataConfig& data = config.data;
  if (data.path.empty() && data.blend.empty()) {
    throw UserError("no data: set data.path=PREFIX to the .bin/.idx that `rondo prepare` wrote");
  }
  std::vector<Corpus> corpora;
  if (!data.path.empty()) corpora.push_back({open_corpus("data.path", data.path), 1.0});
  for (const BlendEntry& entry : data.blend) {
    corpora.push_back({open_corpus("data.blend", entry.path), entry.weight});
  }
  SampleOptions options{.sequence = data.sequence,
                        .shuffle = data.shuffle,
                        .seed = config.train.seed,
                        .validation = data.validation,
                        .split = DataSplit::train,
                        .vocab = config.model.vocab};
  Corpora result{SampleSource(corpora, options), {}, {}};
  for (const Corpus& corpus : corpora) result.all.push_back(corpus.data);
  if (data.validation > 0.0) {
    options.split = DataSplit::validation;
    result.validation = open_held_out(corpora, options);
  } else {
    std::vector<Corpus> sets;
    for (const std::string& prefix : data.validation_paths) {
      sets.push_back({open_corpus("data.validation_path", prefix), 1.0});
      result.all.push_back(sets.back().data);
    }
    result.validation = open_held_out(sets, options);
  }
  return result;
}

void check_tokens(const std::vector<IndexedDataset>& corpora, int64_t vocab, Communicator& host,
                  const std::function<void(const std::string&)>& show) {
  constexpr int64_t tokens_at_once = int64_t{1} << 24;  // of a rank
  for (const IndexedDataset& data : corpora) {
    check_same_text(host, "corpus", fmt::format("{} {}", data.prefix(), data.tokens()));
    int64_t doubts = 0;  // ranks
    agree(host, [&] {
      const std::optional<DatasetInfo> info = read_dataset_info(data.prefix());
      doubts = info && info->vocab <= vocab && info->tokens == data.tokens() ? 0 : 1;
    });
    host.all_reduce_sum({&doubts, 1, ElementType::int64});
    if (doubts == 0) continue;
    const int64_t step = tokens_at_once * host.size();
    if (host.rank() == 0 && data.tokens() > step) {
      std::cout << fmt::format("checks the tokens of {}, which has no {}.json of rondo prepare\n",
                               data.prefix(), data.prefix())
                << std::flush;
    }
    for (int64_t begin = 0; begin < data.tokens(); begin += step) {
      const int64_t own = begin + host.rank() * tokens_at_once;
      agree(host, [&] { data.check_vocab(TokenRange{own, own + tokens_at_once}, vocab); });
      show(fmt::format("{}: {} of {} tokens", data.prefix(), std::min(begin + step, data.tokens()),
                       data.tokens()));
    }
    show("");
  }
}

DataPosition stored_position(const CheckpointHeader& header, const Config& then,
                             const SampleSource& now, const std::string& file) {
  if (header.samples) return position_from_json(header.position, file);
  DataPhase phase{then.data.sequence, then.data.shuffle, then.train.seed, then.data.validation, {}};
  std::vector<BlendEntry> entries = then.data.blend;
  if (!then.data.path.empty()) entries.insert(entries.begin(), {then.data.path, 1.0});
  const DataPosition here = now.position(0);
  std::vector<double> weights;
  for (const BlendEntry& entry : entries) {
    const std::string name = std::filesystem::path(entry.path).filename().string();
    const auto& known = here.back().corpora;
    const auto same = std::find_if(known.begin(), known.end(),
                                   [&](const CorpusProgress& c) { return c.name == name; });
    const int64_t tokens = same == known.end() ? 0 : same->tokens;
    phase.corpora.push_back({name, tokens, entry.weight, 0});
    weights.push_back(entry.weight);
  }
  const auto uses = BlendOrder(weights).uses(header.step * then.train.global_batch);
  for (size_t i = 0; i < uses.size(); ++i) phase.corpora[i].samples = uses[i];
  return {phase};
}

std::vector<int64_t> held_out_counts(const std::vector<HeldOut>& corpora, int64_t most) {
  std::vector<size_t> order(corpora.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto per_weight = [&](size_t i) {
    return static_cast<double>(corpora[i].samples.samples()) / corpora[i].weight;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return per_weight(a) < per_weight(b); });
  double weight = 0;
  for (const HeldOut& corpus : corpora) weight += corpus.weight;
  // Those that have too few come first, and leave their share to the others.
  std::vector<int64_t> counts(corpora.size());
  for (const size_t i : order) {
    const double share = static_cast<double>(most) * corpora[i].weight / weight;
    counts[i] = std::clamp<int64_t>(std::llround(share), 1, corpora[i].samples.samples());
    most = std::max<int64_t>(0, most - counts[i]);
    weight -= corpora[i].weight;
  }
  return counts;
}

}  // namespace rondo
