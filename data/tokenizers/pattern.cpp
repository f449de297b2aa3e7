#include "data/tokenizers/pattern.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <stdexcept>

#include "data/tokenizers/utf8.h"

namespace rondo {
namespace {

constexpr size_t least_stack = size_t{32} << 10;
constexpr size_t most_stack = size_t{64} << 20;

std::string message(int error) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

/// PCRE2's \s has one character more than Unicode's white space, the Mongolian vowel separator.
std::string with_unicode_space(std::string_view expression) {
  std::string result;
  for (size_t at = 0; at < expression.size(); ++at) {
    const std::string_view escape = expression.substr(at, 2);
    if (escape == "\\s") {
      result += "\\p{White_Space}";
    } else if (escape == "\\S") {
      result += "\\P{White_Space}";
    } else {
      result += expression[at];
      if (escape.size() < 2 || escape[0] != '\\') continue;
      result += escape[1];
    }
    ++at;
  }
  return result;
}

}  // namespace

struct Pattern::Code {
  explicit Code(std::string_view expression) {
    int error = 0;
    size_t place = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                         PCRE2_UTF | PCRE2_UCP, &error, &place, nullptr);
    if (code == nullptr) {
      throw std::invalid_argument(fmt::format("the regular expression {} has at offset {}: {}",
                                              expression, place, message(error)));
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no JIT, matching is only slower
    data = pcre2_match_data_create(1, nullptr);
    context = pcre2_match_context_create(nullptr);
    stack = pcre2_jit_stack_create(least_stack, most_stack, nullptr);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    pcre2_code_free(code);
  }

  pcre2_code* code = nullptr;
  pcre2_match_data* data = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;
};

Pattern::Pattern(std::string_view expression)
    : code_(std::make_shared<Code>(with_unicode_space(expression))) {}

Pattern Pattern::literal(std::string_view text) {
  std::string expression;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    expression += byte < 0x80 ? fmt::format("\\x{{{:x}}}", byte) : std::string(1, c);
  }
  return Pattern(expression);
}

void Pattern::split(std::string_view text,
                    const std::function<void(std::string_view)>& piece) const {
  size_t done = 0;
  const auto cut = [&](size_t at) {
    if (at > done) piece(text.substr(done, at - done));
    done = at;
  };
  for (size_t from = 0; from < text.size();) {
    const int found =
        pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                    PCRE2_NO_UTF_CHECK, code_->data, code_->context);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) throw std::runtime_error("regular expression: " + message(found));
    const size_t* place = pcre2_get_ovector_pointer(code_->data);
    const size_t begin = place[0];
    const size_t end = place[1];
    cut(begin);
    cut(end);
    if (end == text.size()) break;
    from = end > begin ? end : end + character_size(text.substr(end));
  }
  cut(text.size());
}

}  // namespace rondo
