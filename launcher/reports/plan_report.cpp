#include "launcher/reports/plan_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/counted.h"
#include "base/number_runs.h"
#include "base/quantity.h"
#include "distributed/plan/route.h"
#include "launcher/reports/worth_report.h"

namespace rondo {
namespace {

using nlohmann::json;

double giga(int64_t bytes) { return static_cast<double>(bytes) / 1e9; }

/// The layers that a chunk runs, in whole or in part.
std::vector<int> layers_of(const ModelDefinition& model, const Chunk& chunk) {
  std::vector<int> layers;
  for (int half = chunk.halves.begin; half < chunk.halves.end; ++half) {
    const int layer = half_layer(model, half).layer;
    if (layers.empty() || layers.back() != layer) layers.push_back(layer);
  }
  return layers;
}

/// Of each of the rank's chunks.
std::vector<std::vector<int>> layers_on(const StepPlan& step, int rank) {
  std::vector<std::vector<int>> list;
  for (int k : step.placement.chunks_of(rank)) {
    list.push_back(layers_of(step.model, step.placement.chunk(k)));
  }
  return list;
}

std::vector<Component> components_on(const std::vector<Holders>& held, int rank) {
  std::vector<Component> list;
  for (const auto& [component, ranks] : held) {
    if (std::count(ranks.begin(), ranks.end(), rank) > 0) list.push_back(component);
  }
  return list;
}

/// Those that more than one pipeline rank holds.
std::vector<Component> copies(const std::vector<Holders>& held) {
  std::vector<Component> list;
  for (const auto& [component, ranks] : held) {
    if (ranks.size() > 1) list.push_back(component);
  }
  return list;
}

json names(const std::vector<Component>& components) {
  json list = json::array();
  for (const Component& component : components) list.push_back(to_string(component));
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

json bytes_json(const SentBytes& bytes) {
  return {{"activation", bytes.activation}, {"reduce", bytes.reduce}, {"gather", bytes.gather}};
}

json candidate_json(const Candidate& candidate) {
  const Choice& choice = candidate.choice;
  return {{"pipeline", choice.placement.pipeline},
          {"replicas", choice.replicas},
          {"neighbours", choice.neighbours == Neighbours::stages ? "stages" : "replicas"},
          {"route", candidate.route},
          {"signs", signs_of(choice.placement).value()},
          {"passes", choice.placement.passes()},
          {"cuts", choice.placement.cuts()},
          {"schedule", schedule_name(choice.schedule)},
          {"microbatches", choice.microbatches},
          {"micro_batch", choice.micro_batch},
          {"simulated", candidate.simulated},
          {"fits", candidate.fits},
          {"step_s", candidate.step_s},
          {"bubble", candidate.bubble},
          {"copies", candidate.copies},
          {"bytes", bytes_json(candidate.bytes)},
          {"memory_bytes", candidate.most_memory()}};
}

/// Groups of the same ranks as one.
json groups_json(const Plan& plan) {
  json list = json::array();
  std::map<std::vector<int>, size_t> found;
  for (size_t g = 0; g < plan.step.groups.size(); ++g) {
    const ComponentGroup& own = plan.step.groups[g];
    const auto [at, added] = found.emplace(own.pipeline_ranks, list.size());
    if (added) {
      list.push_back(
          {{"world_ranks", own.world_ranks()}, {"components", json::array()}, {"bytes", 0}});
    }
    json& group = list[at->second];
    for (const json& name : names(own.components)) group["components"].push_back(name);
    group["bytes"] = group["bytes"].get<int64_t>() + plan.costs.group_bytes[g].reduce;
  }
  return list;
}

/// "4 blocks", or the slots' own numbers where they differ.
std::string blocks(const SharingMap& map) {
  const int attention = map.unique(Slot::attention);
  const std::vector<Slot> all = map.slots();
  const bool alike =
      std::all_of(all.begin(), all.end(), [&](Slot slot) { return map.unique(slot) == attention; });
  if (alike) return counted(attention, "block");
  std::vector<std::string> slots;
  for (Slot slot : all) slots.push_back(fmt::format("{} {}", map.unique(slot), slot.name));
  return fmt::format("{}", fmt::join(slots, ", "));
}

std::string heading(const PlanRequest& request, const Plan& plan) {
  const ModelSpec& model = request.workload.model.spec;
  return fmt::format("{} of {} with {} on {}, {} a node; {} of {} tokens a step, {} a microbatch\n",
                     counted(model.depth, "layer"), model.hidden,
                     blocks(request.workload.model.sharing), counted(request.world, "rank"),
                     request.machine.ranks_per_node, counted(request.global_batch, "sequence"),
                     request.workload.sequence, plan.chosen.choice.micro_batch) +
         fmt::format("{}, {} simulated; bytes are those that all ranks send in a step\n",
                     counted(static_cast<int64_t>(plan.candidates.size()), "candidate"),
                     std::count_if(plan.candidates.begin(), plan.candidates.end(),
                                   [](const Candidate& c) { return c.simulated; }));
}

std::string row(const Candidate& candidate, const Plan& plan) {
  const Choice& choice = candidate.choice;
  const bool won = choice == plan.chosen.choice;
  const char* note = !candidate.fits ? "  does not fit" : candidate.simulated ? "" : "  at least";
  return fmt::format(
      "{} {:>8} {:>6} {:<11} {:<11} {:>10} {:>8} {:>6} {:>11.4g} {:>9.4g} {:>9.4g} {:>9.4g}{}\n",
      won ? '>' : ' ', choice.placement.pipeline, choice.placement.passes(), candidate.route,
      schedule_name(choice.schedule), four_digits(1e3 * candidate.step_s),
      fmt::format("{:.1f} %", std::max(0.0, 100.0 * candidate.bubble)), candidate.copies,
      giga(candidate.bytes.activation), giga(candidate.bytes.reduce), giga(candidate.bytes.gather),
      giga(candidate.most_memory()), note);
}

/// "embedding attention/0-2,5 … final_norm"; adapters are beside their layers anyway.
std::string abridged(const std::vector<Component>& components) {
  std::vector<std::pair<std::string, std::vector<int>>> kinds;
  for (const Component& component : components) {
    if (component.kind == Kind::adapter) continue;
    const std::string name = to_string(component);
    const size_t slash = name.find('/');
    const std::string kind = name.substr(0, slash);
    if (kinds.empty() || kinds.back().first != kind) kinds.push_back({kind, {}});
    if (slash != std::string::npos) kinds.back().second.push_back(component.id);
  }
  std::vector<std::string> words;
  for (const auto& [kind, ids] : kinds) {
    words.push_back(ids.empty() ? kind : fmt::format("{}/{}", kind, number_runs(ids)));
  }
  return fmt::format("{}", fmt::join(words, " "));
}

/// "6-7"; "1f" and "2a": of these layers only the feed-forward or the attention half.
std::string layers_text(const ModelDefinition& model, const Chunk& chunk) {
  const HalfLayer first = half_layer(model, chunk.halves.begin);
  const HalfLayer last = half_layer(model, chunk.halves.end - 1);
  const bool whole_begin = first.branch == 0;
  const bool whole_end = last.branch + 1 == static_cast<int>(model.branches.size());
  const std::string begin = fmt::format("{}{}", first.layer, whole_begin ? "" : "f");
  const std::string end = fmt::format("{}{}", last.layer, whole_end ? "" : "a");
  if (first.layer != last.layer) return begin + "-" + end;
  return whole_begin ? end : begin;
}

std::string ranks_table(const Plan& plan) {
  std::string text;
  const Placement& placement = plan.placement();
  const std::vector<Holders> held = holders(plan.step.model, plan.step.groups);
  for (int rank = 0; rank < placement.pipeline; ++rank) {
    std::vector<std::string> chunks;
    for (int k : placement.chunks_of(rank)) {
      chunks.push_back(layers_text(plan.step.model, placement.chunk(k)));
    }
    text += fmt::format("rank {}: layers {}; {:.4g} GB; {}\n", rank, fmt::join(chunks, " | "),
                        giga(plan.chosen.memory_bytes[rank]), abridged(components_on(held, rank)));
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
  if (!plan.without_pipeline.empty()) {
    text += fmt::format("pipeline 1 was not considered: {}\n", plan.without_pipeline);
  }
  text += fmt::format(
      "a step takes {} ms: pipeline {}, optimizer {}; weights come back within {} "
      "of the next; replicas: {}, of {} each\n\n",
      four_digits(1e3 * plan.chosen.step_s), four_digits(1e3 * plan.simulation.step_s),
      four_digits(1e3 * plan.costs.update_s), four_digits(1e3 * plan.gather_s()),
      plan.chosen.choice.replicas,
      counted(plan.chosen.choice.microbatches, "microbatch", "microbatches"));
  if (plan.chosen.choice.neighbours == Neighbours::replicas) {
    text += "the replicas of a stage come in a row of ranks, and share nodes\n";
  }
  return text + ranks_table(plan);
}

std::string plan_json(const Plan& plan, const Workload& work, bool truncated) {
  json report = candidate_json(plan.chosen);
  const std::vector<Holders> held = holders(plan.step.model, plan.step.groups);
  report["copies"] = names(copies(held));
  report["memory_bytes"] = plan.chosen.memory_bytes;
  report["pipeline_ranks"] = json::array();
  for (int rank = 0; rank < plan.placement().pipeline; ++rank) {
    report["pipeline_ranks"].push_back(
        {{"chunks", layers_on(plan.step, rank)}, {"components", names(components_on(held, rank))}});
  }
  report["replica_groups"] = groups_json(plan);
  report["why"] = explain(plan);
  if (!plan.without_pipeline.empty()) report["without_pipeline_1"] = plan.without_pipeline;
  report["worth"] = json::parse(worth_json(work, truncated));
  report["candidates"] = json::array();
  for (const Candidate* candidate : ranked(plan.candidates)) {
    report["candidates"].push_back(candidate_json(*candidate));
  }
  return report.dump(1) + "\n";
}

}  // namespace rondo
