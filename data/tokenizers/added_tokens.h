// Tokens that are found in a text before it is split into words.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

struct AddedToken {
  std::string content;  ///< not empty
  int64_t id = 0;
  bool strips_left = false;   ///< takes the white space before it, too
  bool strips_right = false;  ///< takes the white space after it, too
};

class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);

  /// Appends the id of each token in `text`, the leftmost first and of those that begin at one
  /// place the longest, and calls `between` for each stretch without one, all in order.
  void split(std::string_view text, const std::function<void(std::string_view)>& between,
             std::vector<int64_t>& tokens) const;

 private:
  const AddedToken* token_at(std::string_view text) const;

  std::array<std::vector<AddedToken>, 256> by_first_byte_;  ///< longest first
};

}  // namespace rondo
