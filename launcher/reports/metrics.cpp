#include "launcher/reports/metrics.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "base/partial_file.h"
#include "base/user_error.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

/// The step that a line tells of; none when it is no line of metrics.
std::optional<int64_t> step_of(const std::string& line) {
  const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || !object.contains("step") || !object["step"].is_number_integer()) {
    return std::nullopt;
  }
  return object["step"].get<int64_t>();
}

/// What a file holds, by what becomes of it.
struct Lines {
  std::string kept;
  std::string dropped;
  int64_t dropped_count = 0;
};

Lines read_up_to(const fs::path& path, int64_t last_step) {
  std::ifstream in(path);
  Lines lines;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    // Only a line that a crash cut short lacks its newline.
    const bool torn = in.eof();
    const auto step = step_of(line);
    if (!step && !torn) {
      throw UserError(
          fmt::format("{}:{}: not a line of metrics; move the file away or set log.dir "
                      "to another folder",
                      path.string(), number));
    }
    const bool drops = torn || *step > last_step;
    (drops ? lines.dropped : lines.kept) += line + '\n';
    lines.dropped_count += drops ? 1 : 0;
  }
  return lines;
}

/// Moves lines away and returns how many. The copy is there before the file loses them.
int64_t drop_after(const fs::path& path, int64_t last_step) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (!fs::is_regular_file(path, error)) return 0;
  const Lines lines = read_up_to(path, last_step);
  if (lines.dropped_count == 0) return 0;
  const std::string copy = (path.parent_path() / "metrics.dropped.jsonl").string();
  AppendFile dropped(copy);
  if (!dropped.append(lines.dropped)) {
    throw UserError(fmt::format("cannot write {}: {}; make room, or set log.dir to another folder",
                                copy, dropped.reason()));
  }
  write_whole(path.string(), lines.kept);
  return lines.dropped_count;
}

/// Seconds a step, by phase.
nlohmann::ordered_json json_of(const PhaseSeconds& phases) {
  nlohmann::ordered_json object;
  for (size_t i = 0; i < phase_names.size(); ++i) object[phase_names[i]] = phases.of[i];
  return object;
}

nlohmann::ordered_json json_of(const PassMetrics& pass) {
  nlohmann::ordered_json object = {{"norm", pass.norm}, {"adds", pass.adds}};
  if (pass.cosine) object["cosine"] = *pass.cosine;
  if (pass.loss) object["loss"] = *pass.loss;
  return object;
}

nlohmann::ordered_json json_of(const SentBytes& bytes) {
  return {{"activation", bytes.activation}, {"reduce", bytes.reduce}, {"gather", bytes.gather}};
}

}  // namespace

std::string to_json(const StepMetrics& metrics) {
  nlohmann::ordered_json object = {
      {"step", metrics.step},           {"loss", metrics.loss},
      {"grad_norm", metrics.grad_norm}, {"lr", metrics.lr},
      {"tokens", metrics.tokens},       {"tokens_per_s", metrics.tokens_per_s},
      {"step_s", metrics.step_s},       {"sent_bytes", json_of(metrics.sent_bytes)},
  };
  if (metrics.skipped) object["skipped"] = true;
  if (metrics.rewinds > 0) object["rewinds"] = metrics.rewinds;
  if (metrics.batch) object["batch"] = *metrics.batch;
  if (metrics.divergence) object["divergence"] = *metrics.divergence;
  if (metrics.passes) object["passes"] = *metrics.passes;
  for (const auto& [component, norm] : metrics.component_norms) {
    object["component_norms"][component] = norm;
  }
  for (const PassMetrics& pass : metrics.per_pass) object["per_pass"].push_back(json_of(pass));
  if (!metrics.ranks.empty()) object["phases"] = json_of(mean_phases(metrics.ranks));
  for (const RankMetrics& rank : metrics.ranks) {
    object["ranks"].push_back({{"sent_bytes", json_of(rank.sent_bytes)},
                               {"peak_memory_bytes", rank.peak_memory_bytes},
                               {"phases", json_of(rank.phases)}});
  }
  if (metrics.validation_loss) {
    object["validation_loss"] = *metrics.validation_loss;
  }
  for (const auto& [name, loss] : metrics.validation_losses) {
    object["validation_losses"][name] = loss;
  }
  // A name of bytes that are no UTF-8 is kept readable.
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void check_metrics(const fs::path& path) {
  std::error_code absent;
  if (fs::is_regular_file(path, absent)) read_up_to(path, 0);
}

MetricsFile::MetricsFile(const fs::path& path, int64_t last_step)
    : dropped_(drop_after(path, last_step)), out_(path.string()) {}

}  // namespace rondo
