#include "data/tokenizers/text_steps.h"

#include <algorithm>

#include "base/user_error.h"
#include "data/tokenizers/nfc.h"
#include "data/tokenizers/replaced.h"

namespace rondo {
namespace {

struct Stretch {
  size_t begin, end;
  bool is_match;
};

std::string apply(const Compose&, std::string_view text, Place) { return to_nfc(text); }

std::string apply(const Prepend& step, std::string_view text, Place place) {
  return text.empty() || place.goes_on ? std::string(text) : step.text + std::string(text);
}

std::string apply(const Replace& step, std::string_view text, Place) {
  std::string result;
  step.pattern.split(text, [&](std::string_view piece, bool is_match) {
    result += is_match ? step.content : piece;
  });
  return result;
}

/// Each match grows over the stretch before it, unless that is a match, too.
std::vector<Stretch> merged_with_previous(const std::vector<Stretch>& stretches) {
  std::vector<Stretch> merged;
  bool after_match = false;
  for (const Stretch& stretch : stretches) {
    if (stretch.is_match && !after_match && !merged.empty()) {
      merged.back().end = stretch.end;
    } else {
      merged.push_back(stretch);
    }
    after_match = stretch.is_match;
  }
  return merged;
}

std::vector<Stretch> mirrored(std::vector<Stretch> stretches) {
  std::reverse(stretches.begin(), stretches.end());
  for (Stretch& stretch : stretches) {
    stretch = {~stretch.end, ~stretch.begin, stretch.is_match};
  }
  return stretches;
}

std::vector<Stretch> contiguous(const std::vector<Stretch>& stretches) {
  std::vector<Stretch> joined;
  for (const Stretch& stretch : stretches) {
    if (!joined.empty() && joined.back().is_match == stretch.is_match) {
      joined.back().end = stretch.end;
    } else {
      joined.push_back(stretch);
    }
  }
  return joined;
}

/// What becomes of a match of no letters depends on its neighbours. Throws UserError.
void refuse_empty_matches(const std::vector<Stretch>& stretches) {
  const bool empty = std::any_of(stretches.begin(), stretches.end(), [](const Stretch& stretch) {
    return stretch.begin == stretch.end;
  });
  if (!empty) return;
  throw UserError(
      "the tokenizer has a Split that merges matches with their neighbours, and its pattern "
      "matches "
      "between letters too; rondo reads such a pattern with the behaviors Isolated, Removed and "
      "Contiguous alone");
}

std::vector<Stretch> behave(Behavior behavior, std::vector<Stretch> stretches) {
  switch (behavior) {
    case Behavior::isolated:
      break;
    case Behavior::removed:
      std::erase_if(stretches, [](const Stretch& stretch) { return stretch.is_match; });
      break;
    case Behavior::contiguous:
      return contiguous(stretches);
    case Behavior::merged_with_previous:
      refuse_empty_matches(stretches);
      return merged_with_previous(stretches);
    case Behavior::merged_with_next:
      refuse_empty_matches(stretches);
      return mirrored(merged_with_previous(mirrored(std::move(stretches))));
  }
  return stretches;
}

using Words = std::function<void(std::string_view word, Place place)>;

void apply(const Split& step, std::string_view text, Place place, const Words& word) {
  const auto pass_on = [&](std::string_view piece) {
    const bool first = piece.data() == text.data();
    if (!piece.empty()) word(piece, {place.at_start && first, place.goes_on && first});
  };
  if (step.behavior == Behavior::isolated) {
    return step.pattern.split(text, [&](std::string_view piece, bool) { pass_on(piece); });
  }
  std::vector<Stretch> stretches;
  step.pattern.split(text, [&](std::string_view piece, bool is_match) {
    const auto begin = static_cast<size_t>(piece.data() - text.data());
    stretches.push_back({begin, begin + piece.size(), is_match != step.invert});
  });
  for (const Stretch& stretch : behave(step.behavior, std::move(stretches))) {
    pass_on(text.substr(stretch.begin, stretch.end - stretch.begin));
  }
}

void apply(const Metaspace& step, std::string_view text, Place place, const Words& word) {
  std::string marked = replaced(text, " ", step.replacement);
  const bool wants_front = step.front == Metaspace::Front::always ||
                           (step.front == Metaspace::Front::first && place.at_start);
  if (wants_front && !place.goes_on && !marked.starts_with(step.replacement)) {
    marked.insert(0, step.replacement);
  }
  if (!step.split) return word(marked, place);
  apply(Split{Pattern::literal(step.replacement), Behavior::merged_with_next}, marked, place, word);
}

}  // namespace

std::string normalise(std::span<const Normalizer> steps, std::string_view text, Place place) {
  std::string result(text);
  for (const Normalizer& step : steps) {
    result = std::visit([&](const auto& s) { return apply(s, result, place); }, step);
  }
  return result;
}

void split_words(std::span<const WordStep> steps, std::string_view text, Place place,
                 const std::function<void(std::string_view)>& word) {
  if (text.empty()) return;
  if (steps.empty()) return word(text);
  const Words next = [&](std::string_view piece, Place piece_place) {
    split_words(steps.subspan(1), piece, piece_place, word);
  };
  std::visit([&](const auto& step) { apply(step, text, place, next); }, steps.front());
}

}  // namespace rondo
