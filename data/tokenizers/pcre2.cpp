#include <fmt/format.h>
#include <pcre2.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "data/tokenizers/expression.h"

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

struct Code {
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

}  // namespace

FindMatch compile_pcre2(std::string_view expression) {
  return [code = std::make_shared<Code>(with_unicode_space(expression))](
             std::string_view text, size_t from) -> std::optional<Match> {
    const int found = pcre2_match(code->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), from, PCRE2_NO_UTF_CHECK, code->data, code->context);
    if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (found < 0) throw std::runtime_error("regular expression: " + message(found));
    const size_t* place = pcre2_get_ovector_pointer(code->data);
    return Match{place[0], place[1]};
  };
}

}  // namespace rondo
