// JSON that somebody else wrote, before it is parsed.
#pragma once

#include <string>
#include <string_view>

namespace rondo {

/// What is wrong with `text`, in one line; empty when it is one JSON object. A name that occurs
/// twice in an object and nesting deeper than any file needs are wrong too: the one has no single
/// meaning, the other fills the stack.
std::string json_fault(std::string_view text);

/// The text of a file that is one JSON object as above. Throws UserError, which names the file.
std::string read_json_object(const std::string& path);

}  // namespace rondo
