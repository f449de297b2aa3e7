#include "model/definition/sharing_map.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "base/counted.h"
#include "base/user_error.h"

namespace rondo {
namespace {

int ceil_div(int a, int b) { return (a + b - 1) / b; }

/// `list`, filled by `block(i)`.
template <typename Block>
std::vector<int> per_layer(int depth, Block block) {
  std::vector<int> list(static_cast<size_t>(depth));
  for (int i = 0; i < depth; ++i) list[i] = block(i);
  return list;
}

/// Renumbers densely by first use.
std::vector<int> renumber(const std::vector<int>& list) {
  std::map<int, int> number;
  std::vector<int> dense;
  dense.reserve(list.size());
  for (int id : list) {
    dense.push_back(number.emplace(id, static_cast<int>(number.size())).first->second);
  }
  return dense;
}

int count_unique(const std::vector<int>& list) {
  return static_cast<int>(std::set<int>(list.begin(), list.end()).size());
}

std::vector<int> surround(int before, const std::vector<int>& middle, int after) {
  const int inner = middle.empty() ? 0 : *std::max_element(middle.begin(), middle.end()) + 1;
  std::vector<int> list = per_layer(before, [](int i) { return i; });
  for (int id : middle) list.push_back(before + id);
  for (int i = 0; i < after; ++i) list.push_back(before + inner + i);
  return list;
}

std::vector<int> sequence(int depth, int unique) {
  const int run = ceil_div(depth, unique);
  if (ceil_div(depth, run) != unique) {
    std::set<int> possible;
    for (int k = 1; k <= depth; ++k) possible.insert(ceil_div(depth, k));
    throw UserError(fmt::format("sharing.unique = {}: no sequence of {} over {}; possible: {}",
                                unique, counted(unique, "block"), counted(depth, "layer"),
                                fmt::join(possible, ", ")));
  }
  return per_layer(depth, [run](int i) { return i / run; });
}

std::vector<int> cycle(int depth, int unique) {
  return per_layer(depth, [unique](int i) { return i % unique; });
}

std::vector<int> cycle_rev(int depth, int unique) {
  const int head = depth - std::min(unique, depth - unique);
  return per_layer(depth, [=](int i) { return i < head ? i % unique : unique - 1 - (i - head); });
}

std::vector<int> zigzag(int depth, int unique) {
  return per_layer(depth, [unique](int i) {
    const bool forward = (i / unique) % 2 == 0;
    return forward ? i % unique : unique - 1 - i % unique;
  });
}

using Assign = std::function<std::vector<int>(int depth, int unique)>;

/// First and last layer unique, `inner` with `unique` − 2 blocks between them.
Assign middle(std::vector<int> (*inner)(int, int)) {
  return [inner](int depth, int unique) {
    if (depth < 3 || unique < 3) {
      throw UserError(
          fmt::format("sharing.unique = {}: a middle strategy needs at least 3 layers and 3 blocks "
                      "(depth = {})",
                      unique, depth));
    }
    return surround(1, inner(depth - 2, unique - 2), 1);
  };
}

std::vector<int> interleaved(int depth, int /*unique*/) {
  return renumber(per_layer(depth, [depth](int i) { return i % 2 == 1 ? depth : i; }));
}

/// Layer i of the second half of a window of 2·stride layers shares with layer i − stride.
std::vector<int> skip(int depth, int stride) {
  return renumber(
      per_layer(depth, [stride](int i) { return (i / stride) % 2 == 1 ? i - stride : i; }));
}

const std::map<std::string, Assign>& strategies() {
  static const std::map<std::string, Assign> table = {
      {"none", [](int depth, int) { return per_layer(depth, [](int i) { return i; }); }},
      {"universal", [](int depth, int) { return per_layer(depth, [](int) { return 0; }); }},
      {"sequence", sequence},
      {"cycle", cycle},
      {"cycle_rev", cycle_rev},
      {"zigzag", zigzag},
      {"middle_cycle", middle(cycle)},
      {"middle_sequence", middle(sequence)},
      {"interleaved", interleaved},
  };
  return table;
}

bool implies_unique(const std::string& strategy) {
  return strategy == "none" || strategy == "universal" || strategy == "interleaved";
}

/// "cycle:4" → {"cycle", 4}.
struct Parametrised {
  std::string name;
  std::optional<int> number;
};

Parametrised split_number(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {text, std::nullopt};
  const std::string digits = text.substr(colon + 1);
  const bool valid = !digits.empty() && digits.size() < 7 &&
                     std::all_of(digits.begin(), digits.end(),
                                 [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!valid) {
    throw UserError(
        fmt::format("sharing strategy '{}': write a whole number after the colon, as in '{}:2'",
                    text, text.substr(0, colon)));
  }
  return {text.substr(0, colon), std::stoi(digits)};
}

std::vector<int> assign_part(const SharingOptions& options, int depth) {
  if (options.strategy != "explicit") {
    if (!options.map.empty()) {
      throw UserError(
          fmt::format("sharing.map is given, but sharing.strategy is '{}'; set "
                      "sharing.strategy=explicit or remove the map",
                      options.strategy));
    }
    return assign_blocks(options.strategy, depth, options.unique);
  }
  if (static_cast<int>(options.map.size()) != depth) {
    throw UserError(fmt::format(
        "sharing.map names the blocks of {}, but there are {}; give one block per layer",
        counted(static_cast<int64_t>(options.map.size()), "layer"), counted(depth, "layer")));
  }
  for (int id : options.map) {
    if (id < 0) throw UserError(fmt::format("sharing.map has block {}; blocks count from 0", id));
  }
  const int unique = count_unique(options.map);
  const int highest = *std::max_element(options.map.begin(), options.map.end());
  if (highest != unique - 1) {
    throw UserError(fmt::format("sharing.map uses {} but names block {}; number them 0 to {}",
                                counted(unique, "block"), highest, unique - 1));
  }
  if (options.unique != 0 && options.unique != unique) {
    throw UserError(fmt::format("sharing.unique = {}, but sharing.map uses {}; set it to {}",
                                options.unique, counted(unique, "block"), unique));
  }
  return options.map;
}

/// `assign()`; what it complains about says which layers it was left with.
template <typename Assign>
std::vector<int> between(const SharingOptions& options, int depth, Assign assign) {
  try {
    return surround(options.prelude, assign(), options.coda);
  } catch (const UserError& error) {
    if (options.prelude + options.coda == 0) throw;
    throw UserError(fmt::format("{} ({} of {} between sharing.prelude = {} and sharing.coda = {})",
                                error.what(), depth - options.prelude - options.coda,
                                counted(depth, "layer"), options.prelude, options.coda));
  }
}

}  // namespace

SharingMap::SharingMap() : slots_(all_slots.begin(), all_slots.end()), ids_(slots_.size()) {}

void SharingMap::add(Slot slot, std::vector<int> ids) {
  if (std::find(slots_.begin(), slots_.end(), slot) != slots_.end()) {
    throw std::logic_error(fmt::format("the sharing map has a slot {} already", slot.name));
  }
  slots_.push_back(slot);
  ids_.push_back(std::move(ids));
}

size_t SharingMap::row(Slot slot) const {
  const auto found = std::find(slots_.begin(), slots_.end(), slot);
  if (found == slots_.end()) {
    throw std::logic_error(fmt::format("the sharing map has no slot {}", slot.name));
  }
  return static_cast<size_t>(found - slots_.begin());
}

int SharingMap::unique(Slot slot) const { return count_unique(of(slot)); }

std::vector<int> SharingMap::ids(Slot slot) const {
  const std::set<int> found(of(slot).begin(), of(slot).end());
  return {found.begin(), found.end()};
}

bool SharingMap::alike() const {
  return std::all_of(ids_.begin(), ids_.end(),
                     [this](const std::vector<int>& ids) { return ids == ids_.front(); });
}

std::vector<std::string> sharing_strategies() {
  std::vector<std::string> names;
  for (const auto& [name, assign] : strategies()) names.push_back(name);
  names.insert(names.end(), {"skip:k", "explicit"});
  return names;
}

std::vector<int> assign_blocks(const std::string& strategy, int depth, int unique) {
  const auto [name, number] = split_number(strategy);
  if (name == "skip") {
    if (!number || *number < 1 || *number > depth) {
      throw UserError(
          fmt::format("sharing strategy '{}': write skip:k with 1 <= k <= {}", strategy, depth));
    }
    return skip(depth, *number);
  }
  const auto found = strategies().find(name);
  if (found == strategies().end()) {
    throw UserError(fmt::format("sharing strategy '{}' does not exist; known: {}", strategy,
                                fmt::join(sharing_strategies(), ", ")));
  }
  const int blocks = number.value_or(unique);
  const bool implied = implies_unique(name);
  if (!implied && (blocks < 1 || blocks > depth)) {
    throw UserError(fmt::format("sharing.unique = {}: strategy '{}' over {} takes 1 to {}", blocks,
                                name, counted(depth, "layer"), depth));
  }
  std::vector<int> list = found->second(depth, blocks);
  if (implied && blocks != 0 && blocks != count_unique(list)) {
    throw UserError(
        fmt::format("sharing.unique = {}: strategy '{}' over {} has {}; leave it out or set 0",
                    blocks, name, counted(depth, "layer"), counted(count_unique(list), "block")));
  }
  return list;
}

SharingMap make_sharing_map(const SharingOptions& options, int depth) {
  const int inner = depth - options.prelude - options.coda;
  if (options.prelude < 0 || options.coda < 0 || inner < 1) {
    throw UserError(fmt::format(
        "sharing.prelude = {} and sharing.coda = {} leave no layer of {} for the strategy",
        options.prelude, options.coda, depth));
  }
  const std::vector<int> block =
      between(options, depth, [&] { return assign_part(options, inner); });
  SharingMap map;
  const auto overridden = [&](Slot slot) -> const std::string& {
    if (slot == Slot::attention) return options.attention;
    if (slot == Slot::feed_forward) return options.feed_forward;
    return options.norms;
  };
  for (Slot slot : all_slots) {
    const std::string& strategy = overridden(slot);
    if (strategy.empty()) {
      map.of(slot) = block;
      continue;
    }
    // The block's `unique` is meant for the block's strategy; one that implies its own ignores it.
    const int unique = implies_unique(strategy) ? 0 : options.unique;
    map.of(slot) = between(options, depth, [&] { return assign_blocks(strategy, inner, unique); });
  }
  return map;
}

std::vector<double> gradient_weights(const std::vector<int>& components,
                                     const std::string& policy) {
  std::map<int, int> uses;
  for (int id : components) ++uses[id];
  std::set<int> seen;
  std::vector<double> weights;
  for (int id : components) {
    const bool first = seen.insert(id).second;
    if (policy == "sum") {
      weights.push_back(1.0);
    } else if (policy == "mean") {
      weights.push_back(1.0 / uses[id]);
    } else if (policy == "owner") {
      weights.push_back(first ? 1.0 : 0.0);
    } else {
      throw UserError("sharing.gradient = \"" + policy + "\": write sum, mean or owner");
    }
  }
  return weights;
}

std::string draw(const SharingMap& map) {
  constexpr int title_width = 18;
  static constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const std::vector<Slot>& slots = map.slots();
  const bool letters_suffice = std::all_of(slots.begin(), slots.end(), [&](Slot slot) {
    return map.unique(slot) <= static_cast<int>(letters.size());
  });
  const int width = letters_suffice && map.depth() <= 100 ? 3 : 4;
  const auto symbol = [&](int id) {
    return letters_suffice ? std::string(1, letters[id]) : std::to_string(id);
  };
  const bool alike = map.alike();
  // As few strips as 80 columns allow, of equal length.
  const int strips = ceil_div(map.depth(), (80 - title_width) / width);
  const int length = ceil_div(map.depth(), strips);
  std::string picture;
  for (int first = 0; first < map.depth(); first += length) {
    const auto row = [&](std::string_view title, const auto& cell) {
      picture += fmt::format("{:<{}}", title, title_width);
      for (int layer = first; layer < std::min(first + length, map.depth()); ++layer) {
        picture += fmt::format("{:>{}}", cell(layer), width);
      }
      picture += "\n";
    };
    row("layer", [](int layer) { return std::to_string(layer); });
    for (Slot slot : std::span(slots).first(alike ? 1 : slots.size())) {
      row(alike ? "block" : slot.name, [&](int layer) { return symbol(map.id(slot, layer)); });
    }
  }
  return picture;
}

}  // namespace rondo
