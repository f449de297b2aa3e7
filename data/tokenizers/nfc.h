// Unicode's canonical composition.
#pragma once

#include <string>
#include <string_view>

namespace rondo {

/// `text` (valid UTF-8) in normalisation form C.
std::string to_nfc(std::string_view text);

}  // namespace rondo
