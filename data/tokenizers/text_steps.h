// What tokenizers of Hugging Face do to a text before its words become pieces.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/tokenizers/pattern.h"

namespace rondo {

/// Where a stretch of text stands.
struct Place {
  bool at_start = true;  ///< nothing of the text is before it
  bool goes_on = false;  ///< what is before it belongs to the same stretch of a longer text
};

/// Normalisation form C.
struct Compose {};
/// Puts `text` in front of a stretch that is not empty.
struct Prepend {
  std::string text;
};
struct Replace {
  Pattern pattern;
  std::string content;
};
using Normalizer = std::variant<Compose, Prepend, Replace>;

/// `text` after all steps.
std::string normalise(std::span<const Normalizer> steps, std::string_view text, Place place);

/// What becomes of the matches: words of their own, nothing, words with the matches beside them, or
/// parts of the word before or after.
enum class Behavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

/// With `invert` what lies between matches counts as a match, and matches do not.
struct Split {
  Pattern pattern;
  Behavior behavior = Behavior::isolated;
  bool invert = false;
};

/// Writes `replacement` for each space, and in front where there is none.
struct Metaspace {
  enum class Front { always, first, never };

  std::string replacement;
  Front front = Front::always;
  bool split = true;  ///< in front of each replacement
};
using WordStep = std::variant<Split, Metaspace>;

/// Calls `word` with the words of `text`, none of which is empty.
void split_words(std::span<const WordStep> steps, std::string_view text, Place place,
                 const std::function<void(std::string_view)>& word);

}  // namespace rondo
