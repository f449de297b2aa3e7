// Suggestions for words that do not exist.
#pragma once

#include <string>
#include <vector>

namespace rondo {

/// The candidate that `word` most likely meant, by edit distance (Damerau's swaps count as one).
/// Numbers are near by
/// their difference; names of other programs ("bf16") are understood. For dotted keys a right name
/// in a wrong table is near too: "optimizer.steps" means "train.steps". Empty only when there is no
/// candidate.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace rondo
