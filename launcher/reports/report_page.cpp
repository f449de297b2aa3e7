#include "launcher/reports/report_page.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "launcher/reports/report_template.h"
#include "model/definition/model_definition.h"
#include "model/definition/parameters.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

/// Points of a run, at most: a curve has no more columns.
constexpr size_t most_points = 2000;

OrderedJson of_optional(const std::optional<double>& value) {
  return value ? OrderedJson(*value) : OrderedJson();
}

OrderedJson point_json(const StepPoint& point) {
  OrderedJson out = {{"step", point.step},
                     {"loss", of_optional(point.loss)},
                     {"grad_norm", of_optional(point.grad_norm)},
                     {"lr", point.lr},
                     {"tokens_per_s", point.tokens_per_s}};
  if (point.validation_loss) out["validation_loss"] = *point.validation_loss;
  if (!point.validation_losses.empty()) out["validation_losses"] = point.validation_losses;
  if (point.skipped) out["skipped"] = true;
  if (!point.sent_bytes.empty()) out["sent_bytes"] = point.sent_bytes;
  if (point.peak_memory_bytes > 0) out["peak_memory_bytes"] = point.peak_memory_bytes;
  if (!point.phases.empty()) out["phases"] = point.phases;
  if (!point.component_norms.empty()) out["component_norms"] = point.component_norms;
  if (!point.per_pass.empty()) out["per_pass"] = point.per_pass;
  return out;
}

/// Every so many steps, and those that tell more than others.
OrderedJson points_json(const std::vector<StepPoint>& points) {
  const size_t stride = points.size() / most_points + 1;
  OrderedJson list = OrderedJson::array();
  for (size_t i = 0; i < points.size(); ++i) {
    const bool tells_more =
        points[i].validation_loss || points[i].skipped || !points[i].per_pass.empty();
    if (i % stride == 0 || i + 1 == points.size() || tells_more)
      list.push_back(point_json(points[i]));
  }
  return list;
}

std::string contents(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Nothing where the config is not there.
std::optional<ModelDefinition> model_of(const RunHistory& run) {
  const std::string file = run.folder() + "/config.toml";
  if (!fs::exists(file)) return std::nullopt;
  const Config config = parse_config(resolved_from_toml(contents(file), file));
  return ModelDefinition{config.model,
                         make_sharing_map(config.sharing, static_cast<int>(config.model.depth)),
                         config.relaxation_rank, config.gradient};
}

/// By slot, with its components.
OrderedJson map_json(const SharingMap& map) {
  OrderedJson rows = OrderedJson::array();
  for (const Slot slot : map.slots()) rows.push_back({{"slot", slot.name}, {"ids", map.of(slot)}});
  return rows;
}

OrderedJson parameters_json(const ModelDefinition& model) {
  const ParameterCounts counts = count_parameters(model);
  return {{"stored", counts.unique}, {"executed", counts.executed}};
}

/// The pictures of log.trace_step.
OrderedJson timelines_json(const std::string& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("trace-") && name.ends_with(".svg")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  OrderedJson list = OrderedJson::array();
  for (const fs::path& file : files) {
    list.push_back({{"name", "Timeline " + file.stem().string()}, {"svg", contents(file)}});
  }
  return list;
}

/// JSON within a script element may not end it.
std::string embedded(std::string text) {
  for (size_t at = text.find("</"); at != std::string::npos; at = text.find("</", at)) {
    text.replace(at, 2, "<\\/");
  }
  return text;
}

}  // namespace

std::string report_page(const std::vector<ReportedRun>& runs) {
  OrderedJson list = OrderedJson::array();
  for (const auto& [name, run] : runs) {
    const std::optional<ModelDefinition> model = model_of(run);
    list.push_back({{"name", name},
                    {"steps", run.steps()},
                    {"rewinds", run.rewinds()},
                    {"points", points_json(run.points())},
                    {"config", run.config()},
                    {"map", model ? map_json(model->sharing) : OrderedJson::array()},
                    {"parameters", model ? parameters_json(*model) : OrderedJson()},
                    {"timelines", timelines_json(run.folder())}});
  }
  std::string page = report_template;
  const std::string mark = "{{DATA}}";
  const std::string data =
      OrderedJson{{"runs", list}}.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  page.replace(page.find(mark), mark.size(), embedded(data));
  return page;
}

}  // namespace rondo
