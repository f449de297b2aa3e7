#include "data/tokenizers/added_tokens.h"

#include <algorithm>
#include <utility>

#include "data/tokenizers/utf8.h"

namespace rondo {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) {
  std::stable_sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) {
    return a.content.size() > b.content.size();
  });
  for (AddedToken& token : tokens) {
    const auto first = static_cast<unsigned char>(token.content.front());
    by_first_byte_[first].push_back(std::move(token));
  }
}

const AddedToken* AddedTokens::token_at(std::string_view text) const {
  const auto& tokens = by_first_byte_[static_cast<unsigned char>(text.front())];
  const auto found = std::find_if(tokens.begin(), tokens.end(), [&](const AddedToken& token) {
    return text.starts_with(token.content);
  });
  return found == tokens.end() ? nullptr : &*found;
}

void AddedTokens::split(std::string_view text, const std::function<void(std::string_view)>& between,
                        std::vector<int64_t>& tokens) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = token_at(text.substr(at));
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::string_view stretch = text.substr(done, at - done);
    if (token->strips_left) stretch.remove_suffix(trailing_space(stretch));
    if (!stretch.empty()) between(stretch);
    tokens.push_back(token->id);
    at += token->content.size();
    if (token->strips_right) at += leading_space(text.substr(at));
    done = at;
  }
  if (done < text.size()) between(text.substr(done));
}

}  // namespace rondo
