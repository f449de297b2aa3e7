#include "launcher/reports/worth_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "base/quantity.h"
#include "model/definition/parameters.h"
#include "model/definition/pass_worth.h"
#include "model/definition/recurrence.h"

namespace rondo {
namespace {

/// One model of the comparison.
struct Side {
  std::string name;
  double parameters = 0.0;   ///< stored, without embeddings
  double counts_as = 0.0;    ///< parameters of an unshared model of the same loss
  double flops = 0.0;        ///< a token, forward and backward
  double cache_bytes = 0.0;  ///< keys and values of a token
  double state_bytes = 0.0;  ///< weights, gradients, moments
};

Side side_of(const std::string& name, const ModelDefinition& model, const Workload& work) {
  const ParameterCounts counts = count_parameters(model);
  const int64_t masters = work.compute_bytes == work.master_bytes ? 0 : 1;
  const int64_t each = work.compute_bytes + (3 + masters) * work.master_bytes;
  const auto parameters = static_cast<double>(counts.unique_non_embedding);
  return {name,
          parameters,
          parameters,
          flops_per_token(model, work.sequence),
          static_cast<double>(cached_elements(model) * work.compute_bytes),
          static_cast<double>(counts.unique * each)};
}

double exponent_of(bool truncated) { return truncated ? pass_exponent_truncated : pass_exponent; }

std::vector<Side> sides_of(const Workload& work, bool truncated) {
  const std::optional<LoopSize> size = loop_size(work.model);
  if (!size) return {};
  const Recurrence loop = *recurrence(work.model.sharing);
  std::vector<Side> sides = {
      side_of(fmt::format("this model, {} passes", loop.passes), work.model, work),
      side_of("unshared, as many parameters",
              unshared(work.model, loop.prelude + loop.period + loop.coda), work),
      side_of("unshared, as many operations", unshared(work.model, work.model.depth()), work)};
  sides[0].counts_as = size->equivalent(exponent_of(truncated));
  return sides;
}

}  // namespace

std::string worth_report(const Workload& work, bool truncated) {
  const std::vector<Side> sides = sides_of(work, truncated);
  if (sides.empty()) return "";
  std::string text = fmt::format(
      "\nwhat the passes buy (\"counts as\" is a published fit, once + passes^{} x recurring "
      "parameters, arXiv 2604.21106; the rest is counted)\n"
      "{:<30} {:>10} {:>10} {:>12} {:>14} {:>15}\n",
      exponent_of(truncated), "", "stored", "counts as", "FLOPs/token", "cache B/token",
      "training state");
  for (const Side& side : sides) {
    text +=
        fmt::format("{:<30} {:>10} {:>10} {:>12} {:>14} {:>14}B\n", side.name,
                    format_si(side.parameters), format_si(side.counts_as), format_si(side.flops),
                    format_si(side.cache_bytes), format_si(side.state_bytes));
  }
  return text;
}

std::string worth_json(const Workload& work, bool truncated) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Side& side : sides_of(work, truncated)) {
    list.push_back({{"model", side.name},
                    {"parameters", side.parameters},
                    {"counts_as_by_fit", side.counts_as},
                    {"flops_per_token", side.flops},
                    {"cache_bytes_per_token", side.cache_bytes},
                    {"state_bytes", side.state_bytes}});
  }
  return list.dump();
}

}  // namespace rondo
