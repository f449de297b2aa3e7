// Suggestions for words that do not exist.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace rondo {

/// The candidate that `word` most likely meant, by edit distance (Damerau's swaps count as one).
/// Numbers are compared by their difference; names of other programs ("bf16") are understood. Of
/// dotted keys a right name in a wrong table counts: "optimizer.steps" means "train.steps". Empty
/// only when there is no candidate.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

/// `nearest`, where it is so near that `word` may be a slip of it: at most a third of its letters
/// differ, or one is the beginning of the other.
std::optional<std::string> near(const std::string& word,
                                const std::vector<std::string>& candidates);

/// "did you mean train.steps?", or empty where no candidate is near; `before` stands in front.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates,
                         const std::string& before = "");

/// "did you mean float64? possible: float32, float64"; for a far word without the question.
std::string choice_among(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace rondo
