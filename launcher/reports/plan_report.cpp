#include "launcher/reports/plan_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/counted.h"

namespace rondo {
namespace {

using nlohmann::json;

double giga(int64_t bytes) { return static_cast<double>(bytes) / 1e9; }

/// The layers that a chunk runs, in whole or in part.
std::vector<int> layers_of(Chunk chunk) {
  std::vector<int> layers;
  for (int layer = chunk.begin / 2; 2 * layer < chunk.end; ++layer) layers.push_back(layer);
  return layers;
}

/// Of each of the rank's chunks.
std::vector<std::vector<int>> layers_of(const Placement& placement, int rank) {
  std::vector<std::vector<int>> list;
  for (int k : placement.chunks_of(rank)) list.push_back(layers_of(placement.chunk(k)));
  return list;
}

std::vector<std::string> components_on(const Plan& plan, int rank, const ModelParts& model) {
  std::vector<std::string> list;
  for (const auto& [component, ranks] : component_ranks(model, plan.placement())) {
    if (std::count(ranks.begin(), ranks.end(), rank) > 0) list.push_back(component);
  }
  return list;
}

/// Simulated ones first, then those that fit, then by time.
std::vector<const Candidate*> ranked(const std::vector<Candidate>& candidates) {
  std::vector<const Candidate*> order;
  for (const Candidate& candidate : candidates) order.push_back(&candidate);
  const auto key = [](const Candidate* c) {
    return std::tuple(!c->fits, !c->simulated, static_cast<float>(c->step_s));
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](const auto* a, const auto* b) { return key(a) < key(b); });
  return order;
}

/// The best of every pipeline and route.
std::vector<const Candidate*> side_by_side(const Plan& plan) {
  constexpr size_t most = 16;
  std::vector<const Candidate*> rows;
  std::set<std::pair<int, std::string>> seen;
  for (const Candidate* candidate : ranked(plan.candidates)) {
    const bool first = seen.insert({candidate->choice.placement.pipeline, candidate->route}).second;
    const bool chosen = candidate->choice == plan.chosen.choice;
    if (chosen || (first && rows.size() < most)) rows.push_back(candidate);
  }
  return rows;
}

json bytes_json(const StepBytes& bytes) {
  return {{"activation", bytes.activation}, {"reduce", bytes.reduce}, {"gather", bytes.gather}};
}

json candidate_json(const Candidate& candidate) {
  const Choice& choice = candidate.choice;
  return {{"pipeline", choice.placement.pipeline},
          {"replicas", choice.replicas},
          {"route", candidate.route},
          {"signs", choice.placement.route},
          {"passes", choice.placement.passes()},
          {"cuts", choice.placement.cuts},
          {"schedule", schedule_name(choice.schedule)},
          {"microbatches", choice.microbatches},
          {"simulated", candidate.simulated},
          {"fits", candidate.fits},
          {"step_s", candidate.step_s},
          {"bubble", candidate.bubble},
          {"copies", candidate.copies},
          {"bytes", bytes_json(candidate.bytes)},
          {"memory_bytes", candidate.most_memory()}};
}

/// Groups of the same world ranks as one.
json groups_json(const Plan& plan) {
  json list = json::array();
  std::map<std::vector<int>, size_t> found;
  for (size_t g = 0; g < plan.world_groups.size(); ++g) {
    const auto& [ranks, components] = plan.world_groups[g];
    const auto [at, added] = found.emplace(ranks, list.size());
    if (added)
      list.push_back({{"world_ranks", ranks}, {"components", json::array()}, {"bytes", 0}});
    json& group = list[at->second];
    for (const std::string& component : components) group["components"].push_back(component);
    group["bytes"] = group["bytes"].get<int64_t>() + plan.group_bytes[g];
  }
  return list;
}

/// "4 blocks", or the slots' own numbers where they differ.
std::string blocks(const SharingMap& map) {
  const int attention = map.unique(Slot::attention);
  const bool alike = std::all_of(all_slots.begin(), all_slots.end(),
                                 [&](Slot slot) { return map.unique(slot) == attention; });
  if (alike) return counted(attention, "block");
  std::vector<std::string> slots;
  for (Slot slot : all_slots) slots.push_back(fmt::format("{} {}", map.unique(slot), slot.name));
  return fmt::format("{}", fmt::join(slots, ", "));
}

std::string heading(const PlanRequest& request, const Plan& plan) {
  const ModelSpec& model = request.workload.model;
  return fmt::format("{} of {} with {} on {}, {} a node; {} of {} tokens a step, {} a microbatch\n",
                     counted(model.depth, "layer"), model.hidden, blocks(request.workload.map),
                     counted(request.world, "rank"), request.machine.ranks_per_node,
                     counted(request.global_batch, "sequence"), request.workload.sequence,
                     request.workload.micro_batch) +
         fmt::format("{} candidates, {} simulated; bytes are those that all ranks send in a step\n",
                     plan.candidates.size(),
                     std::count_if(plan.candidates.begin(), plan.candidates.end(),
                                   [](const Candidate& c) { return c.simulated; }));
}

std::string row(const Candidate& candidate, const Plan& plan) {
  const Choice& choice = candidate.choice;
  const bool won = choice == plan.chosen.choice;
  const char* note = !candidate.fits ? "  does not fit" : candidate.simulated ? "" : "  at least";
  return fmt::format(
      "{} {:>8} {:>6} {:<11} {:<11} {:>10.4g} {:>8} {:>6} {:>11.4g} {:>9.4g} {:>9.4g} {:>9.4g}{}\n",
      won ? '>' : ' ', choice.placement.pipeline, choice.placement.passes(), candidate.route,
      schedule_name(choice.schedule), 1e3 * candidate.step_s,
      fmt::format("{:.1f} %", std::max(0.0, 100.0 * candidate.bubble)), candidate.copies,
      giga(candidate.bytes.activation), giga(candidate.bytes.reduce), giga(candidate.bytes.gather),
      giga(candidate.most_memory()), note);
}

/// Ascending numbers, runs of them as "3-5".
std::string runs(const std::vector<int>& numbers) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    parts.push_back(end == i + 1 ? fmt::format("{}", numbers[i])
                                 : fmt::format("{}-{}", numbers[i], numbers[end - 1]));
    i = end;
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

/// "embedding attention/0-2,5 … final_norm"; adapters are beside their layers anyway.
std::string abridged(const std::vector<std::string>& components) {
  std::vector<std::pair<std::string, std::vector<int>>> kinds;
  for (const std::string& component : components) {
    if (component.starts_with("adapters/")) continue;
    const size_t slash = component.find('/');
    const std::string kind = component.substr(0, slash);
    if (kinds.empty() || kinds.back().first != kind) kinds.push_back({kind, {}});
    if (slash != std::string::npos) {
      kinds.back().second.push_back(std::stoi(component.substr(slash + 1)));
    }
  }
  std::vector<std::string> words;
  for (const auto& [kind, ids] : kinds) {
    words.push_back(ids.empty() ? kind : fmt::format("{}/{}", kind, runs(ids)));
  }
  return fmt::format("{}", fmt::join(words, " "));
}

/// "6-7"; "1f" and "2a": of these layers only the feed-forward or the attention half.
std::string layers_text(Chunk chunk) {
  const int first = chunk.begin / 2;
  const int last = (chunk.end - 1) / 2;
  const std::string begin = fmt::format("{}{}", first, chunk.begin % 2 == 1 ? "f" : "");
  const std::string end = fmt::format("{}{}", last, chunk.end % 2 == 1 ? "a" : "");
  if (first != last) return begin + "-" + end;
  return chunk.begin % 2 == 1 ? begin : end;
}

std::string ranks_table(const PlanRequest& request, const Plan& plan) {
  std::string text;
  const Placement& placement = plan.placement();
  for (int rank = 0; rank < placement.pipeline; ++rank) {
    std::vector<std::string> chunks;
    for (int k : placement.chunks_of(rank)) chunks.push_back(layers_text(placement.chunk(k)));
    text += fmt::format("rank {}: layers {}; {:.4g} GB; {}\n", rank, fmt::join(chunks, " | "),
                        giga(plan.chosen.memory_bytes[static_cast<size_t>(rank)]),
                        abridged(components_on(plan, rank, request.workload.parts())));
  }
  return text;
}

}  // namespace

std::string plan_report(const PlanRequest& request, const Plan& plan) {
  std::string text = heading(request, plan);
  text += fmt::format("\n  {:>8} {:>6} {:<11} {:<11} {:>10} {:>8} {:>6} {:>11} {:>9} {:>9} {:>9}\n",
                      "pipeline", "passes", "route", "schedule", "step ms", "bubble", "copies",
                      "activ. GB", "reduce GB", "gather GB", "memory GB");
  for (const Candidate* candidate : side_by_side(plan)) text += row(*candidate, plan);
  text += fmt::format("\n{}\n", explain(plan));
  text += fmt::format(
      "a step takes {:.4g} ms: pipeline {:.4g}, optimizer {:.4g}; weights come back within {:.4g} "
      "of the next; replicas: {}, of {} each\n\n",
      1e3 * plan.chosen.step_s, 1e3 * plan.simulation.step_s, 1e3 * plan.update_s,
      1e3 * plan.gather_s, plan.chosen.choice.replicas,
      counted(plan.chosen.choice.microbatches, "microbatch", "microbatches"));
  return text + ranks_table(request, plan);
}

std::string plan_json(const PlanRequest& request, const Plan& plan) {
  json report = candidate_json(plan.chosen);
  report["copies"] = copies(request.workload.parts(), plan.placement());
  report["memory_bytes"] = plan.chosen.memory_bytes;
  report["pipeline_ranks"] = json::array();
  for (int rank = 0; rank < plan.placement().pipeline; ++rank) {
    report["pipeline_ranks"].push_back(
        {{"chunks", layers_of(plan.placement(), rank)},
         {"components", components_on(plan, rank, request.workload.parts())}});
  }
  report["replica_groups"] = groups_json(plan);
  report["why"] = explain(plan);
  report["candidates"] = json::array();
  for (const Candidate* candidate : ranked(plan.candidates)) {
    report["candidates"].push_back(candidate_json(*candidate));
  }
  return report.dump(1) + "\n";
}

}  // namespace rondo
