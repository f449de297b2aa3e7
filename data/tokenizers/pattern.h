// Regular expressions over Unicode text, compiled once and matched many times.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace rondo {

/// A pattern in the dialect of `tokenizer.json` (Oniguruma's; the two agree on what such files
/// hold, except for white space, which here as there is Unicode's). Copies share the compiled code
/// and its scratch memory: one thread at a time.
class Pattern {
 public:
  /// Throws std::invalid_argument with what the compiler says.
  explicit Pattern(std::string_view expression);
  /// Matches `text` itself.
  static Pattern literal(std::string_view text);

  /// Calls `piece` with each match in `text` and with each stretch between matches, left to right.
  /// An empty match cuts where it is. `text` must be valid UTF-8; throws std::runtime_error when
  /// the matcher gives up.
  void split(std::string_view text, const std::function<void(std::string_view)>& piece) const;

 private:
  struct Code;
  std::shared_ptr<Code> code_;
};

}  // namespace rondo
