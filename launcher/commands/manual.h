// Manual pages, as troff reads them (man(7)).
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace rondo {

/// A term and what it means.
using Explained = std::pair<std::string, std::string>;

struct ManualSection {
  std::string name;
  std::string text = {};             ///< running text
  std::vector<Explained> list = {};  ///< terms after it
  bool verbatim = false;             ///< the text keeps its lines
};

/// `name` is "rondo-train", `section` 1 for programs and 5 for files.
std::string manual_page(const std::string& name, int section, const std::string& about,
                        const std::vector<ManualSection>& sections);

}  // namespace rondo
