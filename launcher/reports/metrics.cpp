#include "launcher/reports/metrics.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "base/user_error.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

UserError cannot_write(const fs::path& path) {
  return UserError(
      fmt::format("cannot write {}: check that the folder is writable and the disk is "
                  "not full, or set log.dir to another one",
                  path.string()));
}

/// The step that a line tells of; none when it is no line of metrics.
std::optional<int64_t> step_of(const std::string& line) {
  const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || !object.contains("step") || !object["step"].is_number_integer()) {
    return std::nullopt;
  }
  return object["step"].get<int64_t>();
}

struct KeptLines {
  std::vector<std::string> lines;
  bool dropped_any = false;
};

KeptLines read_up_to(const fs::path& path, int64_t last_step) {
  std::ifstream in(path);
  KeptLines kept;
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
    if (torn || *step > last_step) {
      kept.dropped_any = true;
    } else {
      kept.lines.push_back(line);
    }
  }
  return kept;
}

void replace(const fs::path& path, const std::vector<std::string>& lines) {
  fs::path partial = path;
  partial += ".partial";
  std::ofstream out(partial, std::ios::trunc);
  for (const std::string& line : lines) {
    out << line << '\n';
  }
  out.close();
  std::error_code error;
  if (out) {
    fs::rename(partial, path, error);
  }
  if (!out || error) {
    throw cannot_write(path);
  }
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
  if (metrics.divergence) object["divergence"] = *metrics.divergence;
  if (metrics.passes) object["passes"] = *metrics.passes;
  for (const RankMetrics& rank : metrics.ranks) {
    object["ranks"].push_back(
        {{"sent_bytes", json_of(rank.sent_bytes)}, {"peak_memory_bytes", rank.peak_memory_bytes}});
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

MetricsFile::MetricsFile(const fs::path& path, int64_t last_step) : path_(path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (fs::is_regular_file(path, error)) {
    const KeptLines kept = read_up_to(path, last_step);
    if (kept.dropped_any) {
      replace(path, kept.lines);
    }
  }
  out_.open(path, std::ios::app);
  if (!out_) {
    throw cannot_write(path);
  }
}

void MetricsFile::append(const StepMetrics& metrics) {
  out_ << to_json(metrics) << '\n' << std::flush;
  if (!out_) {
    throw cannot_write(path_);
  }
}

}  // namespace rondo
