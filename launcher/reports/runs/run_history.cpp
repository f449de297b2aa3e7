#include "launcher/reports/runs/run_history.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/folder_lock.h"
#include "base/json_integer.h"
#include "base/user_error.h"
#include "launcher/config/toml.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::optional<double> number(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::map<std::string, double> numbers(const json& object, const char* name) {
  std::map<std::string, double> map;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_object()) return map;
  for (const auto& [key, value] : found->items()) {
    if (value.is_number()) map[key] = value.get<double>();
  }
  return map;
}

StepPoint point_of(const json& line) {
  StepPoint point{.step = json_integer(line.at("step")),
                  .loss = number(line, "loss"),
                  .grad_norm = number(line, "grad_norm"),
                  .validation_loss = number(line, "validation_loss"),
                  .validation_losses = numbers(line, "validation_losses"),
                  .skipped = line.value("skipped", json()) == true,
                  .rewinds = json_integer(line.value("rewinds", json(0))),
                  .lr = number(line, "lr").value_or(0.0),
                  .tokens_per_s = number(line, "tokens_per_s").value_or(0.0),
                  .step_s = number(line, "step_s").value_or(0.0),
                  .sent_bytes = numbers(line, "sent_bytes"),
                  .phases = numbers(line, "phases"),
                  .component_norms = numbers(line, "component_norms")};
  for (const json& rank : line.value("ranks", json::array())) {
    point.peak_memory_bytes =
        std::max(point.peak_memory_bytes, number(rank, "peak_memory_bytes").value_or(0.0));
  }
  for (const json& pass : line.value("per_pass", json::array())) {
    std::map<std::string, double> own;
    for (const auto& [key, value] : pass.items()) {
      if (value.is_number()) own[key] = value.get<double>();
    }
    point.per_pass.push_back(std::move(own));
  }
  return point;
}

std::map<std::string, std::string> read_config(const std::string& file) {
  std::map<std::string, std::string> config;
  if (!fs::exists(file)) return config;
  for (const auto& [key, entry] : parse_toml_file(file)) config[key] = toml_literal(entry.value);
  return config;
}

}  // namespace

RunHistory::RunHistory(std::string folder) : folder_(std::move(folder)) {
  config_ = read_config(folder_ + "/config.toml");
  const auto steps = config_.find("train.steps");
  if (steps != config_.end()) steps_ = std::strtoll(steps->second.c_str(), nullptr, 10);
  poll();
}

void RunHistory::poll() {
  const std::string file = folder_ + "/metrics.jsonl";
  struct stat info {};
  if (stat(file.c_str(), &info) != 0) return;
  if (static_cast<int64_t>(info.st_ino) != file_ || info.st_size < read_) {
    points_.clear();
    read_ = 0;
    file_ = static_cast<int64_t>(info.st_ino);
  }
  std::ifstream in(file, std::ios::binary);
  in.seekg(read_);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    try {
      points_.push_back(point_of(json::parse(text.substr(begin, end - begin))));
    } catch (const std::exception&) {  // of json, and of json_integer
      throw UserError(fmt::format("{}: line {} is no line of metrics", file, points_.size() + 1));
    }
    begin = end + 1;
  }
  read_ += static_cast<int64_t>(begin);
}

/// Each start of the run counts from 0.
int64_t RunHistory::rewinds() const {
  int64_t count = 0;
  int64_t before = 0;
  for (const StepPoint& point : points_) {
    count += std::max<int64_t>(0, point.rewinds - before);
    before = point.rewinds;
  }
  return count;
}

double RunHistory::silent_s() const {
  struct stat info {};
  if (stat((folder_ + "/metrics.jsonl").c_str(), &info) != 0) return 0.0;
  return std::difftime(std::time(nullptr), info.st_mtime);
}

bool RunHistory::is_locked() const { return rondo::is_locked(lock_file(folder_)); }

}  // namespace rondo
