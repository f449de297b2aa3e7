#include "launcher/reports/sweep_report.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/quantity.h"

namespace rondo {
namespace {

std::string row(const SweepSide& side, const SweepPoint& point) {
  if (point.pipeline == 0) {
    return fmt::format("{:>7}  {:<22} no plan fits in the memory of a rank\n", point.world,
                       side.name);
  }
  return fmt::format("{:>7}  {:<22} {:>8} {:<11} {:>10} {:>7.1f} % {:>10}B {:>9}B\n", point.world,
                     side.name, point.pipeline, point.route, format_si(point.tokens_per_s),
                     100.0 * point.bubble, format_si(point.sent_bytes),
                     format_si(point.memory_bytes));
}

std::string limit_text(double gbs) {
  if (gbs == 0.0) return "never";
  return std::isinf(gbs) ? "always" : fmt::format("{:.3g}", gbs);
}

}  // namespace

std::string sweep_report(const Sweep& sweep) {
  std::string text = fmt::format(
      "{}\npredicted by the planner, nothing is measured; tokens/s and bytes are those of one "
      "rank\n\n"
      "{:>7}  {:<22} {:>8} {:<11} {:>10} {:>9} {:>11} {:>10}\n",
      sweep.title, "ranks", "blocks", "pipeline", "route", "tokens/s", "bubble", "sent a step",
      "memory");
  const size_t worlds = sweep.sides.empty() ? 0 : sweep.sides.front().points.size();
  for (size_t i = 0; i < worlds; ++i) {
    for (const SweepSide& side : sweep.sides) text += row(side, side.points[i]);
  }
  text += fmt::format(
      "\na pipeline beats plain replicas with sharded state on links between nodes slower than so "
      "many GB/s a rank (here {:.3g}):\n{:<44}",
      sweep.inter_gbs, "");
  if (sweep.frontiers.empty()) return text + "\n";
  for (const int world : sweep.frontiers.front().worlds) text += fmt::format(" {:>7}", world);
  text += " ranks\n";
  for (const Frontier& frontier : sweep.frontiers) {
    text += fmt::format("{:<44}", frontier.name);
    for (const double gbs : frontier.inter_gbs) text += fmt::format(" {:>7}", limit_text(gbs));
    text += "\n";
  }
  return text;
}

std::string sweep_json(const Sweep& sweep) {
  nlohmann::ordered_json out = {{"title", sweep.title}, {"predicted", true}};
  for (const SweepSide& side : sweep.sides) {
    nlohmann::ordered_json points = nlohmann::ordered_json::array();
    for (const SweepPoint& point : side.points) {
      points.push_back({{"world", point.world},
                        {"pipeline", point.pipeline},
                        {"route", point.route},
                        {"tokens_per_s_of_a_rank", point.tokens_per_s},
                        {"bubble", point.bubble},
                        {"sent_bytes_of_a_rank", point.sent_bytes},
                        {"memory_bytes", point.memory_bytes}});
    }
    out["sides"].push_back({{"blocks", side.name}, {"points", points}});
  }
  for (const Frontier& frontier : sweep.frontiers) {
    nlohmann::ordered_json limits = nlohmann::ordered_json::array();
    for (const double gbs : frontier.inter_gbs) {
      limits.push_back(std::isinf(gbs) ? nlohmann::ordered_json("any link")
                                       : nlohmann::ordered_json(gbs));
    }
    out["frontiers"].push_back(
        {{"name", frontier.name}, {"worlds", frontier.worlds}, {"inter_gbs", limits}});
  }
  return out.dump(1) + "\n";
}

}  // namespace rondo
