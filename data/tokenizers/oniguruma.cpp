#include <fmt/format.h>
#include <oniguruma.h>

#include <memory>
#include <regex>
#include <stdexcept>
#include <string>

#include "data/tokenizers/expression.h"

namespace rondo {
namespace {

const OnigUChar* bytes(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

/// Classes that hold other letters from one version of Oniguruma to the next: the ids would depend
/// on the one that is installed. Throws std::invalid_argument.
void refuse_shifting_classes(std::string_view expression) {
  static const std::regex shifting(
      R"(\[:\^?(alpha|alnum|punct|lower):\]|\\[pP]\{\^?(alpha(betic)?|alnum|lower(case)?)\})",
      std::regex::icase);
  std::cmatch match;
  if (!std::regex_search(expression.data(), expression.data() + expression.size(), match,
                         shifting)) {
    return;
  }
  throw std::invalid_argument(
      fmt::format("the regular expression {}: {} holds other letters in other versions of "
                  "Oniguruma; write categories such as \\p{{L}} in its place",
                  expression, match.str()));
}

struct Code {
  explicit Code(std::string_view expression) {
    refuse_shifting_classes(expression);
    OnigErrorInfo info{};
    const OnigUChar* first = bytes(expression);
    const int error = onig_new(&code, first, first + expression.size(), ONIG_OPTION_NONE,
                               ONIG_ENCODING_UTF8, ONIG_SYNTAX_RUBY, &info);
    if (error == ONIG_NORMAL) return;
    OnigUChar text[ONIG_MAX_ERROR_MESSAGE_LEN];
    const int size = onig_error_code_to_str(text, error, &info);
    throw std::invalid_argument(
        fmt::format("the regular expression {}: {}", expression,
                    std::string_view(reinterpret_cast<const char*>(text), size)));
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    onig_region_free(region, 1);
    onig_free(code);
  }

  regex_t* code = nullptr;
  OnigRegion* region = onig_region_new();
};

}  // namespace

FindMatch compile_oniguruma(std::string_view expression) {
  static const int ready = [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    return onig_initialize(encodings, 1);
  }();
  if (ready != ONIG_NORMAL) throw std::runtime_error("Oniguruma does not start");
  return [code = std::make_shared<Code>(expression)](std::string_view text,
                                                     size_t from) -> std::optional<Match> {
    const OnigUChar* first = bytes(text);
    const OnigUChar* end = first + text.size();
    const int found =
        onig_search(code->code, first, end, first + from, end, code->region, ONIG_OPTION_NONE);
    if (found == ONIG_MISMATCH) return std::nullopt;
    if (found < 0) {
      OnigUChar message[ONIG_MAX_ERROR_MESSAGE_LEN];
      const int size = onig_error_code_to_str(message, found);
      throw std::runtime_error(
          fmt::format("regular expression: {}",
                      std::string_view(reinterpret_cast<const char*>(message), size)));
    }
    return Match{static_cast<size_t>(code->region->beg[0]),
                 static_cast<size_t>(code->region->end[0])};
  };
}

}  // namespace rondo
