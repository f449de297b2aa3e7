// Batches as a pure function of (seed, step): nothing to save, nothing to restore.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "data/dataset/indexed_dataset.h"

namespace rondo {

/// One corpus of a blend.
struct Corpus {
  IndexedDataset data;
  double weight = 1;  ///< relative to the other corpora, > 0
};

enum class Split { train, validation };

struct SampleOptions {
  int64_t sequence = 0;      ///< S, tokens per sample
  int64_t stride = 0;        ///< tokens between the beginnings of samples; 0 = S
  int64_t global_batch = 0;  ///< samples per step over all replicas
  bool shuffle = true;
  uint64_t seed = 0;
  double validation = 0;  ///< fraction at the end of each corpus' samples that is held out
  Split split = Split::train;
  int64_t vocab = std::numeric_limits<int64_t>::max();  ///< ids of a batch lie below it
};

/// Both row-major [rows, sequence]; targets are the inputs shifted by one token.
struct Batch {
  int64_t rows = 0;
  int64_t sequence = 0;
  std::vector<int64_t> inputs;
  std::vector<int64_t> targets;
};

/// Sample k of a corpus of T tokens is tokens [k·D, k·D+S], D the stride, so that with D = S there
/// are floor((T−1)/S) samples. A split has a contiguous range of them. Each corpus is used in its
/// own order, epoch after epoch: as it lies on disk, or in a new permutation for each epoch.
class SampleSource {
 public:
  /// UserError when S or the global batch is below 1, a weight is not positive or too small for the
  /// blend, or a corpus has no sample in the split.
  SampleSource(const std::vector<Corpus>& corpora, const SampleOptions& options);

  struct Address {
    size_t corpus = 0;   ///< in the order given
    int64_t sample = 0;  ///< of the whole corpus, whatever the split

    bool operator==(const Address&) const = default;
  };

  /// Which sample is the `index`-th (from 0) that training reads. O(1).
  Address address(int64_t index) const;

  /// Rows first … first+count−1 of the global batch of `step` (from 0). Depends on nothing else:
  /// replicas that ask for their own rows see the same global batch together. UserError names the
  /// corpus and the position of a token outside the vocabulary.
  Batch batch(int64_t step, int64_t first, int64_t count) const;

  /// Samples of one epoch of every corpus in this split.
  int64_t samples() const;

 private:
  struct Part {
    IndexedDataset data;
    int64_t first = 0;       ///< sample where the split begins
    int64_t samples = 0;     ///< in the split
    int64_t per_period = 0;  ///< times the corpus appears in the pattern
  };
  struct Turn {
    size_t part = 0;
    int64_t earlier = 0;  ///< how often the corpus has appeared before in the pattern
  };

  Part make_part(const Corpus& corpus) const;
  void set_shares(const std::vector<Corpus>& corpora);
  void set_pattern();

  SampleOptions options_;
  int64_t stride_;
  std::vector<Part> parts_;
  std::vector<Turn> pattern_;  ///< repeated for ever
};

}  // namespace rondo
