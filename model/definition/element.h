// Element types by their names in configs, on the command line and in files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rondo {

enum class Element : uint8_t { float32, float64, bfloat16, float16 };

std::string element_name(Element element);
int64_t element_bytes(Element element);
/// Throws UserError that lists the names.
Element parse_element(const std::string& name);
/// "float32", "float64", "bfloat16", "float16".
std::vector<std::string> element_names();

/// `train.precision` by its name: what computes, and what gradients, optimizer state and master
/// weights are kept in.
struct RunElements {
  Element compute;
  Element master;
};

/// Throws UserError that lists `precision_names()`.
RunElements run_elements(const std::string& precision);
/// "float32", "float64", "bfloat16".
std::vector<std::string> precision_names();

}  // namespace rondo
