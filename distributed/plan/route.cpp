// From the `distributed.*` keys to a placement, or the reason why not.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "base/counted.h"
#include "base/user_error.h"
#include "distributed/plan/placement.h"
#include "distributed/plan/uses.h"

namespace rondo {
namespace {

bool is_signs(const std::string& route) {
  return !route.empty() && route.find_first_not_of("+-") == std::string::npos;
}

/// Insertions, deletions and replacements between two words.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({row[j], row[j + 1], diagonal}) + 1);
      row[j + 1] = std::min(row[j + 1], replaced);
    }
  }
  return row.back();
}

std::string_view nearest_name(std::string_view route) {
  static constexpr std::array<std::string_view, 4> names = {"contiguous", "loop", "vee", "mixed"};
  return *std::min_element(names.begin(), names.end(), [&](auto a, auto b) {
    return edit_distance(route, a) < edit_distance(route, b);
  });
}

std::string alternating(int passes) {
  std::string signs;
  for (int v = 0; v < passes; ++v) signs += v % 2 == 0 ? '+' : '-';
  return signs;
}

/// + for all but the passes over the last min(M, N − M) layers, which `cycle_rev` runs backwards;
/// N layers with M blocks are the whole depth or, between prelude and coda, its shared middle.
std::string mixed(int passes, int pipeline, const Uses& uses) {
  for (const Stretch& part : {uses.whole, uses.middle}) {
    const int depth = (part.end - part.begin) / 2;
    const int tail = std::min(part.blocks, depth - part.blocks);
    if (tail < 1 || depth % (pipeline * passes) != 0 || tail * passes % depth != 0) continue;
    const auto minus = static_cast<size_t>(tail * passes / depth);
    return std::string(static_cast<size_t>(passes) - minus, '+') + std::string(minus, '-');
  }
  throw UserError(fmt::format(
      "distributed.route = mixed: with {} over {} no pass begins where the layers that run "
      "backwards do; nearest that can: route={}",
      counted(passes, "pass", "passes"), counted(pipeline, "rank"), alternating(passes)));
}

/// Shares of the whole depth, or of its shared middle when that saves copies.
Placement with_cuts(Placement placement, const Uses& uses, int unit,
                    const std::vector<int>& weights) {
  const auto& [begin, end, blocks] = uses.middle;
  placement.cuts = share_cuts(placement, {0, 2 * uses.depth}, uses.depth, unit, weights);
  const bool all = begin == 0 && end == 2 * uses.depth;
  if (all || end - begin < placement.chunks() * unit) return placement;
  Placement around = placement;
  around.cuts = share_cuts(placement, {begin, end}, uses.depth, unit, weights);
  return count_copies(uses, around) < count_copies(uses, placement) ? around : placement;
}

/// Both branches of a parallel residual read the layer's input, which a message does not carry.
void check_whole_layers(const std::vector<int>& cuts) {
  for (int cut : cuts) {
    if (cut % 2 == 0) continue;
    throw UserError(fmt::format(
        "distributed.cuts: {} lies inside layer {}, and this family's layers (parallel residual) "
        "cannot be cut; nearest that can: {}",
        cut, cut / 2, cut + 1));
  }
}

std::vector<int> equal_weights(int pipeline) {
  return std::vector<int>(static_cast<size_t>(pipeline), 1);
}

void check_cuts(const std::vector<int>& cuts, const Placement& placement, int depth) {
  const auto expected = static_cast<size_t>(placement.chunks()) + 1;
  const bool ends = !cuts.empty() && cuts.front() == 0 && cuts.back() == 2 * depth;
  const bool rising =
      std::adjacent_find(cuts.begin(), cuts.end(), std::greater_equal<>()) == cuts.end();
  if (cuts.size() == expected && ends && rising) return;
  const std::vector<int> nearest =
      share_cuts(placement, {0, 2 * depth}, depth, 1, equal_weights(placement.pipeline));
  throw UserError(fmt::format(
      "distributed.cuts = [{}]: {} over {} need {} rising cut points from 0 to {} "
      "(in half layers); nearest that can: [{}]",
      fmt::join(cuts, ", "), counted(placement.passes(), "pass", "passes"),
      counted(placement.pipeline, "rank"), expected, 2 * depth, fmt::join(nearest, ", ")));
}

/// As few passes as give the fewest copies.
Placement fewest_copies(const PlacementOptions& options, const Uses& uses, int most) {
  std::optional<Placement> best;
  int fewest = 0;
  std::string reason;
  for (int passes = 1; passes <= most; ++passes) {
    PlacementOptions attempt = options;
    attempt.passes = passes;
    try {
      const Placement candidate = make_placement(attempt, uses);
      const int count = count_copies(uses, candidate);
      if (best && count >= fewest) continue;
      best = candidate;
      fewest = count;
    } catch (const UserError& error) {
      reason = error.what();
    }
  }
  if (!best) throw UserError(reason);
  return *best;
}

}  // namespace

std::string route_signs(const std::string& route, int passes, int pipeline, const Uses& uses) {
  const bool implied = is_signs(route) || route == "contiguous";
  std::string signs = route == "contiguous" ? "+" : route;
  if (implied && passes != 0 && passes != static_cast<int>(signs.size())) {
    throw UserError(fmt::format(
        "distributed.route = {} has {} pass{}, but distributed.passes = {}; nearest that can: "
        "passes={}, or route=loop",
        route, signs.size(), signs.size() == 1 ? "" : "es", passes, signs.size()));
  }
  if (implied) return signs;
  if (route == "loop") return std::string(static_cast<size_t>(passes), '+');
  if (route == "vee") return alternating(passes);
  if (route == "mixed") return mixed(passes, pipeline, uses);
  throw UserError(fmt::format(
      "distributed.route = {}: write contiguous, loop, vee, mixed or one sign per pass as in ++-; "
      "nearest that can: {}",
      route, nearest_name(route)));
}

Placement make_placement(const PlacementOptions& options, const ModelParts& model) {
  return make_placement(options, uses_of(model));
}

Placement make_placement(const PlacementOptions& options, const Uses& uses) {
  const int depth = uses.depth;
  const int unit = options.half_layers ? 1 : 2;
  const int most = 2 * depth / unit / std::max(1, options.pipeline);
  if (options.pipeline < 1 || most < 1) {
    throw UserError(fmt::format(
        "distributed.pipeline = {}: {} layers can be cut for 1 to {} ranks; nearest that can: {}",
        options.pipeline, depth, 2 * depth / unit,
        std::clamp(options.pipeline, 1, 2 * depth / unit)));
  }
  if (options.passes < 0) {
    throw UserError(fmt::format("distributed.passes = {}: write 1 to {}, or 0 to leave it open",
                                options.passes, most));
  }
  const bool open = options.route == "loop" || options.route == "vee" || options.route == "mixed";
  if (open && options.passes == 0) return fewest_copies(options, uses, most);

  if (open && options.passes > most) {
    throw UserError(fmt::format(
        "distributed.passes = {}: {} chunks on {} ranks, but there are {} layers to cut; nearest "
        "that can: passes={}{}",
        options.passes, options.passes * options.pipeline, options.pipeline, depth, most,
        options.half_layers ? "" : ", or half-layer chunks"));
  }
  Placement placement{
      options.pipeline, route_signs(options.route, options.passes, options.pipeline, uses), {}};
  if (placement.passes() > most) {
    throw UserError(fmt::format(
        "distributed.route = {}: {} passes over {} ranks are {} chunks, but there are {} layers to "
        "cut; nearest that can: {}{}",
        options.route, placement.passes(), options.pipeline, placement.chunks(), depth,
        placement.route.substr(0, static_cast<size_t>(most)),
        options.half_layers ? "" : ", or half-layer chunks"));
  }
  const std::vector<int> weights =
      options.weights.empty() ? equal_weights(options.pipeline) : options.weights;
  if (options.cuts.empty()) placement = with_cuts(std::move(placement), uses, unit, weights);
  if (!options.cuts.empty()) placement.cuts = options.cuts;
  check_cuts(placement.cuts, placement, depth);
  if (uses.whole_layers) check_whole_layers(placement.cuts);
  return placement;
}

}  // namespace rondo
