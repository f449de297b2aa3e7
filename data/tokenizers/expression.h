// Compiled regular expressions of the two libraries that run them.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>

namespace rondo {

/// Bytes of a text.
struct Match {
  size_t begin = 0;
  size_t end = 0;
};

/// The first match in `text` (valid UTF-8) that begins at `from` or later; what stands before it
/// may be looked at. Throws std::runtime_error when the matcher gives up. One thread at a time.
using FindMatch = std::function<std::optional<Match>(std::string_view text, size_t from)>;

/// Compile `expression`; throw std::invalid_argument with what the compiler says.
FindMatch compile_oniguruma(std::string_view expression);
FindMatch compile_pcre2(std::string_view expression);

}  // namespace rondo
