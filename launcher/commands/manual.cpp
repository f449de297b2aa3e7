#include "launcher/commands/manual.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <sstream>

namespace rondo {
namespace {

/// Text as troff prints it as it is: no line is a request, no backslash an escape, no minus a
/// hyphen.
std::string plain(const std::string& text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_begins = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

}  // namespace

std::string manual_page(const std::string& name, int section, const std::string& about,
                        const std::vector<ManualSection>& sections) {
  std::string page = fmt::format(".TH {} {} \"\" \"rondo\"\n.SH NAME\n{} \\- {}\n",
                                 upper(plain(name)), section, plain(name), plain(about));
  for (const auto& [title, text, list, verbatim] : sections) {
    page += fmt::format(".SH {}\n", upper(plain(title)));
    if (!text.empty()) {
      page += verbatim ? fmt::format(".nf\n{}\n.fi\n", plain(text)) : plain(text) + "\n";
    }
    for (const auto& [term, meaning] : list) {
      page += fmt::format(".TP\n.B {}\n{}\n", plain(term), plain(meaning));
    }
  }
  return page;
}

}  // namespace rondo
