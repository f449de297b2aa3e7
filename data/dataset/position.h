// How far a run has read its corpora.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

/// What a phase has read of one corpus. Name and size tell corpora apart, so that one may be moved
/// to another folder.
struct CorpusProgress {
  std::string name;     ///< of its files, without the folder
  int64_t tokens = 0;   ///< of the whole corpus
  double weight = 1;    ///< in the blend
  int64_t samples = 0;  ///< read in this phase

  bool is_same_corpus(const CorpusProgress& other) const {
    return name == other.name && tokens == other.tokens;
  }
};

/// Samples that were read under one set of values. Where one of them changes, a phase begins.
struct DataPhase {
  int64_t sequence = 0;
  bool shuffle = true;
  uint64_t seed = 0;
  double validation = 0;
  std::vector<CorpusProgress> corpora;

  int64_t samples() const;
  /// Whether `other` reads on in the same order. The samples do not count.
  bool has_order_of(const DataPhase& other) const;
};

/// From the start of a run on. The last phase is under way.
using DataPosition = std::vector<DataPhase>;

int64_t samples_of(const DataPosition& position);

std::string to_json(const DataPosition& position);

/// Throws UserError, which names `where`, for anything else than what to_json gives.
DataPosition position_from_json(std::string_view json, const std::string& where);

}  // namespace rondo
