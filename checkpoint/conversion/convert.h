// `rondo convert`: reads what is asked for and makes the new file or folder.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/conversion/conversion.h"

namespace rondo {

/// as_mapped: as the map says. shared: each as the block that reads it. per_layer: every layer
/// keeps its own. folded: gains are multiplied into the linears behind them first, and are ones
/// then (Relaxed Recursive Transformers ties them; then only folded gains let adapters of full rank
/// reproduce the original).
enum class NormHandling : uint8_t { as_mapped, shared, per_layer, folded };

struct ConvertOptions {
  std::string from;                            ///< hf:DIR or FILE.h5
  std::string to;                              ///< the same
  std::optional<SharingOptions> sharing = {};  ///< none: as in `from`
  std::optional<SharingInit> init = {};  ///< of a new map; none: stepwise from an untied model,
                                         ///< average, which is exact, from a shared one
  NormHandling norms = NormHandling::as_mapped;
  std::optional<int64_t> relaxation_rank = {};  ///< none: as in `from` while the map stays, else 0
  AdapterInit adapter = AdapterInit::svd;
  std::string original = {};  ///< what svd brings layers back to, as `from`; empty: `from`
  bool strict = false;        ///< fold the mean of the adapters of each component into it
  bool untie = false;         ///< every layer by itself
  uint64_t seed = 1;
  torch::Dtype dtype = torch::kFloat32;
  int64_t shard_bytes = 5'000'000'000;  ///< of hf:, the most that one file of tensors takes
  bool peft = false;                    ///< to hf:, the shared base, and its adapters beside it
  bool dry_run = false;                 ///< write nothing
  std::function<void(int64_t, int64_t)> progress = [](int64_t, int64_t) {};
};

struct Converted {
  CheckpointHeader header;
  std::map<std::string, Distance> distances;  ///< see Converter::distances
  std::vector<std::string> notes;             ///< what was left out, a line each
  int64_t bytes = 0;                          ///< of all tensors in the file or folder
};

/// Throws UserError; nothing is left half-written.
Converted convert(const ConvertOptions& options);

}  // namespace rondo
