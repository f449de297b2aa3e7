// Regular expressions over Unicode text, compiled once and matched many times.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "data/tokenizers/expression.h"

namespace rondo {

/// A pattern of a `tokenizer.json`, which Oniguruma reads there, in its Ruby syntax. Copies share
/// the compiled code and its scratch memory: one thread at a time.
class Pattern {
 public:
  /// Throws std::invalid_argument with what the compiler says.
  explicit Pattern(std::string_view expression);
  /// Matches `text` itself.
  static Pattern literal(std::string_view text);

  /// Calls `piece` with each match in `text` and with each stretch between matches, left to right,
  /// and whether it is a match, which may be empty. `text` must be valid UTF-8; throws
  /// std::runtime_error when the matcher gives up.
  void split(std::string_view text,
             const std::function<void(std::string_view, bool is_match)>& piece) const;

 private:
  explicit Pattern(FindMatch find) : find_(std::move(find)) {}

  FindMatch find_;
};

/// Whether Oniguruma and PCRE2 find the same with `expression`: it has only characters, classes of
/// characters and of Unicode's categories, groups, looks ahead, and repetitions that both read
/// alike. Published tokenizers mostly have such, and PCRE2 is four times as fast.
bool is_common(std::string_view expression);

}  // namespace rondo
