#include "checkpoint/format/json_fault.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/user_error.h"

namespace rondo {
namespace {

constexpr size_t deepest = 32;

/// Looks at the events of a parse and builds nothing.
class Inspector : public nlohmann::json_sax<nlohmann::json> {
 public:
  const std::string& fault() const { return fault_; }

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(int64_t) override { return value(); }
  bool number_unsigned(uint64_t) override { return value(); }
  bool number_float(double, const std::string&) override { return value(); }
  bool string(std::string&) override { return value(); }
  bool binary(nlohmann::json::binary_t&) override { return value(); }
  bool start_array(size_t) override { return value() && enter(); }
  bool start_object(size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool end_object() override { return leave(); }

  bool key(std::string& name) override {
    const bool printable =
        std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < ' '; });
    if (!printable) return refuse("a name holds control characters");
    return names_.back().insert(name).second || refuse(fmt::format("'{}' occurs twice", name));
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return refuse(fmt::format("it breaks off or is not JSON at byte {}", position));
  }

 private:
  bool value() { return !names_.empty() || refuse("expected an object"); }
  bool enter() {
    if (names_.size() == deepest) return refuse(fmt::format("nested deeper than {}", deepest));
    names_.emplace_back();
    return true;
  }
  bool leave() {
    names_.pop_back();
    return true;
  }
  bool refuse(const std::string& fault) {
    fault_ = fault;
    return false;
  }

  std::vector<std::set<std::string>> names_;  ///< of the objects and arrays that are open
  std::string fault_;
};

}  // namespace

std::string json_fault(std::string_view text) {
  Inspector inspector;
  nlohmann::json::sax_parse(text.begin(), text.end(), &inspector);
  return inspector.fault();
}

std::string read_json_object(const std::string& path) {
  std::error_code unreadable;
  if (!std::filesystem::is_regular_file(path, unreadable)) {
    throw UserError(fmt::format("{} is not a file: copy or download it again", path));
  }
  std::ifstream stream(path);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  const std::string fault = json_fault(text);
  if (!fault.empty()) {
    throw UserError(
        fmt::format("{} is not a JSON object: {}: copy or download it again", path, fault));
  }
  return text;
}

}  // namespace rondo
