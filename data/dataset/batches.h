// Batches as a pure function of (seed, position): what a run has read before decides what comes.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "data/dataset/blend_order.h"
#include "data/dataset/corpus_order.h"
#include "data/dataset/indexed_dataset.h"
#include "data/dataset/position.h"

namespace rondo {

/// One corpus of a blend.
struct Corpus {
  IndexedDataset data;
  double weight = 1;  ///< relative to the other corpora, > 0
};

enum class DataSplit { train, validation };

struct SampleOptions {
  int64_t sequence = 0;  ///< S, tokens per sample
  int64_t stride = 0;    ///< tokens between the beginnings of samples; 0 = S
  bool shuffle = true;
  uint64_t seed = 0;
  double validation = 0;  ///< fraction at the end of each corpus' samples that is held out
  DataSplit split = DataSplit::train;
  int64_t vocab = std::numeric_limits<int64_t>::max();  ///< ids of a batch lie below it
};

/// Both row-major [rows, sequence]; targets are the inputs shifted by one token of the corpus.
struct Batch {
  int64_t rows = 0;
  int64_t sequence = 0;
  std::vector<int64_t> inputs;
  std::vector<int64_t> targets;
};

/// Sample k of a corpus of T tokens is tokens [k·D, k·D+S], D the stride, so that with D = S there
/// are floor((T−1)/S) samples. A split has a contiguous range of them. Each corpus is used in its
/// own order, epoch after epoch: as it lies on disk, or in a new permutation for each epoch.
/// Corpora take turns by weight (see BlendOrder).
///
/// After a change of sequence, seed, blend or split (see `resume`) each corpus goes on with the
/// tokens that its epoch has not read yet, also when shuffled: they are joined, cut into samples of
/// the new length and, with `shuffle`, permuted. A sample may then join places of the corpus; the
/// target at the end of a place is the token that follows there. Later epochs are whole again.
/// One thread at a time, for turns are remembered.
class SampleSource {
 public:
  /// UserError when S is below 1, a weight is not positive, or a corpus has no sample in the split.
  SampleSource(const std::vector<Corpus>& corpora, const SampleOptions& options);

  struct Address {
    size_t corpus = 0;   ///< in the order given
    int64_t sample = 0;  ///< of the whole corpus, whatever the split; of what an epoch had left

    bool operator==(const Address&) const = default;
  };

  /// Goes on from where a run has been; indices count from that run's start. A corpus that it did
  /// not read begins at its start.
  void resume(const DataPosition& before);

  /// Where a run is that has read so many samples since its start.
  DataPosition position(int64_t samples) const;

  /// Which sample is the `index`-th (from 0) that training reads.
  Address address(int64_t index) const;

  /// Samples position+first … position+first+count−1 of the run. Depends on nothing else: replicas
  /// that ask for their own rows see the same global batch together. UserError names the corpus and
  /// the place of a token outside the vocabulary.
  Batch batch(int64_t position, int64_t first, int64_t count) const;

  /// Samples of one whole epoch of every corpus in this split.
  int64_t samples() const;

 private:
  void add_part(const Corpus& corpus);
  int64_t corpus_samples(int64_t tokens, int64_t sequence) const;
  WindowRule rule(size_t corpus, const DataPhase& phase) const;
  Unread left_by(size_t corpus, const DataPosition& before) const;
  DataPhase phase() const;
  void read_row(int64_t index, Batch& batch, std::vector<int64_t>& tokens) const;

  SampleOptions options_;
  std::vector<Corpus> corpora_;
  std::vector<CorpusOrder> orders_;  ///< of each corpus
  DataPosition before_;              ///< earlier phases
  int64_t begin_ = 0;                ///< samples of those
  mutable BlendOrder blend_;
};

}  // namespace rondo
