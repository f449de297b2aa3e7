#include "distributed/plan/route.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "base/counted.h"
#include "base/nearest.h"
#include "base/user_error.h"
#include "distributed/plan/route_names.h"

namespace rondo {
namespace {

bool is_signs(const std::string& route) {
  return !route.empty() && route.find_first_not_of("+-") == std::string::npos;
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
    const int depth = part.end - part.begin;
    const int tail = std::min(part.blocks, depth - part.blocks);
    if (tail < 1 || depth % (pipeline * passes) != 0 || tail * passes % depth != 0) continue;
    const auto minus = static_cast<size_t>(tail * passes / depth);
    return std::string(static_cast<size_t>(passes) - minus, '+') + std::string(minus, '-');
  }
  throw UserError(fmt::format(
      "distributed.route = mixed: with {} over {} no pass begins where the layers that run "
      "backwards do; closest valid value: route={}",
      counted(passes, "pass", "passes"), counted(pipeline, "rank"), alternating(passes)));
}

/// A route over so many ranks, before its cut points are known.
struct Route {
  int pipeline = 1;
  std::string signs = "+";

  int passes() const { return static_cast<int>(signs.size()); }
  int chunks() const { return pipeline * passes(); }
  Placement with_cuts(const std::vector<int>& cuts) const {
    std::vector<int> ranks;
    for (char sign : signs) {
      for (int j = 0; j < pipeline; ++j) ranks.push_back(sign == '+' ? j : pipeline - 1 - j);
    }
    return place(pipeline, cuts, ranks);
  }
};

/// Cut points that give each pass an equal share of the half layers of `middle`, in steps of `unit`
/// half layers, and of a pass each rank a share by its weight. A rank's share is the same on passes
/// of either direction, so that uneven shares return to the same rank. The first and the last chunk
/// also take what lies before and after.
std::vector<int> share_cuts(const Route& route, HalfLayers middle, int halves, int unit,
                            const std::vector<int>& weights) {
  const int units = (middle.end - middle.begin) / unit;
  const int passes = route.passes();
  std::vector<int64_t> below(1, 0);  // weights of the ranks below each
  for (int weight : weights) below.push_back(below.back() + weight);
  std::vector<int> cuts;
  for (int v = 0; v < passes; ++v) {
    const int first = v * units / passes;
    const int length = (v + 1) * units / passes - first;
    const bool plus = route.signs[v] == '+';
    for (size_t j = 0; j < weights.size(); ++j) {
      const int64_t share = length * below[plus ? j : weights.size() - j];
      const int64_t part = (2 * share + below.back()) / (2 * below.back());  // rounded
      cuts.push_back(middle.begin + unit * (first + static_cast<int>(plus ? part : length - part)));
    }
  }
  cuts.front() = 0;
  cuts.push_back(halves);
  return cuts;
}

bool rising(const std::vector<int>& cuts) {
  return std::adjacent_find(cuts.begin(), cuts.end(), std::greater_equal<>()) == cuts.end();
}

/// Shares of the whole depth, or of its shared middle when that saves copies.
std::vector<int> best_cuts(const Route& route, const Uses& uses, int unit,
                           const std::vector<int>& weights) {
  const int begin = uses.middle.begin * uses.branches;
  const int end = uses.middle.end * uses.branches;
  const HalfLayers all{0, uses.halves()};
  std::vector<int> cuts = share_cuts(route, all, uses.halves(), unit, weights);
  if (all == HalfLayers{begin, end} || end - begin < route.chunks() * unit) return cuts;
  std::vector<int> around = share_cuts(route, {begin, end}, uses.halves(), unit, weights);
  const int copies = count_copies(uses, route.with_cuts(cuts));
  return count_copies(uses, route.with_cuts(around)) < copies ? around : cuts;
}

/// Both branches of a parallel residual read the layer's input: a cut between them would send it,
/// and hold it, once more.
void check_whole_layers(const std::vector<int>& cuts, int branches) {
  for (int cut : cuts) {
    if (cut % branches == 0) continue;
    throw UserError(fmt::format(
        "distributed.cuts: {} lies inside layer {}, and this family's layers (parallel residual) "
        "cannot be cut; closest valid value: {}",
        cut, cut / branches, (cut / branches + 1) * branches));
  }
}

std::vector<int> equal_weights(int pipeline) {
  return std::vector<int>(static_cast<size_t>(pipeline), 1);
}

void check_cuts(const std::vector<int>& cuts, const Route& route, int halves) {
  const auto expected = static_cast<size_t>(route.chunks()) + 1;
  const bool ends = !cuts.empty() && cuts.front() == 0 && cuts.back() == halves;
  if (cuts.size() == expected && ends && rising(cuts)) return;
  const std::vector<int> nearest =
      share_cuts(route, {0, halves}, halves, 1, equal_weights(route.pipeline));
  throw UserError(
      fmt::format("distributed.cuts = [{}]: {} over {} need {} rising cut points from 0 to {} "
                  "(in half layers); closest valid value: [{}]",
                  fmt::join(cuts, ", "), counted(route.passes(), "pass", "passes"),
                  counted(route.pipeline, "rank"), expected, halves, fmt::join(nearest, ", ")));
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

/// The signs; `passes` as in PlacementOptions, but not 0 for loop, vee and mixed.
std::string route_signs(const std::string& route, int passes, int pipeline, const Uses& uses) {
  const bool implied = is_signs(route) || route == "contiguous";
  std::string signs = route == "contiguous" ? "+" : route;
  if (implied && passes != 0 && passes != static_cast<int>(signs.size())) {
    throw UserError(fmt::format(
        "distributed.route = {} has {} pass{}, but distributed.passes = {}; closest valid value: "
        "passes={}, or route=loop",
        route, signs.size(), signs.size() == 1 ? "" : "es", passes, signs.size()));
  }
  if (implied) return signs;
  if (route == "loop") return std::string(static_cast<size_t>(passes), '+');
  if (route == "vee") return alternating(passes);
  if (route == "mixed") return mixed(passes, pipeline, uses);
  throw UserError(fmt::format(
      "distributed.route = {}: write contiguous, loop, vee, mixed or one sign per pass as in ++-; "
      "closest valid value: {}",
      route, nearest(route, {route_names.begin(), route_names.end()})));
}

}  // namespace

Placement make_placement(const PlacementOptions& options, const ModelDefinition& model) {
  return make_placement(options, uses_of(model));
}

Placement make_placement(const PlacementOptions& options, const Uses& uses) {
  const int unit = options.half_layers ? 1 : uses.branches;
  const int pieces = uses.halves() / unit;
  const int most = pieces / std::max(1, options.pipeline);
  if (options.pipeline < 1 || most < 1) {
    throw UserError(
        fmt::format("distributed.pipeline = {}: {} can be cut for 1 to {}; closest valid value: {}",
                    options.pipeline, counted(uses.layers, "layer"), counted(pieces, "rank"),
                    std::clamp(options.pipeline, 1, pieces)));
  }
  if (options.passes < 0) {
    throw UserError(fmt::format("distributed.passes = {}: write 1 to {}, or 0 to leave it open",
                                options.passes, most));
  }
  const bool open = takes_passes(options.route);
  if (open && options.passes == 0) return fewest_copies(options, uses, most);
  if (open && options.passes > most) {
    throw UserError(
        fmt::format("distributed.passes = {}: {} on {}, but there are {} to cut; closest valid "
                    "value: passes={}{}",
                    options.passes, counted(int64_t{options.passes} * options.pipeline, "chunk"),
                    counted(options.pipeline, "rank"), counted(uses.layers, "layer"), most,
                    options.half_layers ? "" : ", or half-layer chunks"));
  }
  const Route route{options.pipeline,
                    route_signs(options.route, options.passes, options.pipeline, uses)};
  if (route.passes() > most) {
    throw UserError(fmt::format(
        "distributed.route = {}: {} over {} are {}, but there are {} to cut; closest valid value: "
        "{}{}",
        options.route, counted(route.passes(), "pass", "passes"), counted(options.pipeline, "rank"),
        counted(route.chunks(), "chunk"), counted(uses.layers, "layer"),
        route.signs.substr(0, static_cast<size_t>(most)),
        options.half_layers ? "" : ", or half-layer chunks"));
  }
  const std::vector<int> weights =
      options.weights.empty() ? equal_weights(options.pipeline) : options.weights;
  const std::vector<int> cuts =
      options.cuts.empty() ? best_cuts(route, uses, unit, weights) : options.cuts;
  check_cuts(cuts, route, uses.halves());
  if (uses.whole_layers) check_whole_layers(cuts, uses.branches);
  return route.with_cuts(cuts);
}

std::optional<std::string> signs_of(const Placement& placement) {
  const int last = placement.pipeline - 1;
  std::string signs;
  if (placement.size() % placement.pipeline != 0) return std::nullopt;
  for (int first = 0; first < placement.size(); first += placement.pipeline) {
    const bool plus = placement.rank_of(first) == 0;
    for (int j = 0; j <= last; ++j) {
      if (placement.rank_of(first + j) != (plus ? j : last - j)) return std::nullopt;
    }
    signs += plus ? '+' : '-';
  }
  return signs;
}

std::string route_name(const Placement& placement) {
  const std::optional<std::string> signs = signs_of(placement);
  if (!signs) return "partial";
  const auto has = [&signs](const char* part) { return signs->find(part) != std::string::npos; };
  if (*signs == "+") return "contiguous";
  if (!has("-")) return "loop";
  if (signs->front() == '+' && !has("++") && !has("--")) return "vee";
  return signs->front() == '+' && !has("-+") ? "mixed" : *signs;
}

}  // namespace rondo
