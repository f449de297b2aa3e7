// TOML text → entries. The only part that knows the TOML library.
#pragma once

#include <optional>
#include <string>

#include "launcher/config/value.h"

namespace rondo {

/// Entries of TOML text; `origin` is the file name that `where` and errors show. Throws UserError
/// with origin:line:column for a syntax error, origin:line for a value that no key can hold (dates,
/// lists of tables).
ConfigEntries parse_toml(const std::string& text, const std::string& origin);

/// Reads the file. Throws UserError when it cannot be read, and as `parse_toml`.
ConfigEntries parse_toml_file(const std::string& path);

/// `text` as one TOML boolean, number or quoted string; nothing when it is none of them.
std::optional<ConfigValue> parse_toml_scalar(const std::string& text);

}  // namespace rondo
