#include "model/definition/element.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/user_error.h"

namespace rondo {
namespace {

struct ElementRow {
  const char* name;
  int64_t bytes;
};

/// In the order of Element.
constexpr std::array<ElementRow, 4> elements = {
    {{"float32", 4}, {"float64", 8}, {"bfloat16", 2}, {"float16", 2}}};

/// float16 has too few exponents to train without scaling the loss.
constexpr std::array<RunElements, 3> precisions = {{{Element::float32, Element::float32},
                                                    {Element::float64, Element::float64},
                                                    {Element::bfloat16, Element::float32}}};

const ElementRow& row(Element element) { return elements[static_cast<size_t>(element)]; }

}  // namespace

std::string element_name(Element element) { return row(element).name; }

int64_t element_bytes(Element element) { return row(element).bytes; }

Element parse_element(const std::string& name) {
  const auto found = std::find_if(elements.begin(), elements.end(),
                                  [&](const ElementRow& row) { return name == row.name; });
  if (found != elements.end()) return static_cast<Element>(found - elements.begin());
  throw UserError(
      fmt::format("{}: no element type; write one of {}", name, fmt::join(element_names(), ", ")));
}

std::vector<std::string> element_names() {
  std::vector<std::string> names;
  for (const ElementRow& row : elements) names.emplace_back(row.name);
  return names;
}

RunElements run_elements(const std::string& precision) {
  for (const RunElements& candidate : precisions) {
    if (element_name(candidate.compute) == precision) return candidate;
  }
  throw UserError(fmt::format("train.precision = \"{}\": write one of {}", precision,
                              fmt::join(precision_names(), ", ")));
}

std::vector<std::string> precision_names() {
  std::vector<std::string> names;
  for (const RunElements& precision : precisions) {
    names.push_back(element_name(precision.compute));
  }
  return names;
}

}  // namespace rondo
