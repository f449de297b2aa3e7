#include "checkpoint/conversion/convert.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>
#include <utility>

#include "base/user_error.h"
#include "checkpoint/conversion/hf_export.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/model_json.h"
#include "checkpoint/huggingface/hf_config.h"

namespace rondo {
namespace {

constexpr std::string_view hugging_face = "hf:";

bool is_hugging_face(const std::string& name) { return name.starts_with(hugging_face); }

std::string folder_of(const std::string& name) { return name.substr(hugging_face.size()); }

UntiedModel open(const std::string& name, OwnTerms own) {
  return is_hugging_face(name) ? open_hugging_face(folder_of(name)) : open_checkpoint(name, own);
}

int depth_of(const std::string& name) {
  const ModelSpec spec = is_hugging_face(name) ? read_hugging_face_config(folder_of(name))
                                               : CheckpointReader(name).header().model.spec;
  return static_cast<int>(spec.depth);
}

SharingMap target_map(const ConvertOptions& options, const UntiedModel& base) {
  const int depth = static_cast<int>(base.header.model.spec.depth);
  SharingMap map = options.untie     ? make_sharing_map({}, depth)
                   : options.sharing ? make_sharing_map(*options.sharing, depth)
                                     : base.header.model.sharing;
  if (options.norms == NormHandling::shared) {
    map.of(Slot::attention_norm) = map.of(Slot::attention);
    map.of(Slot::feed_forward_norm) = map.of(Slot::feed_forward);
  }
  if (options.norms != NormHandling::per_layer) return map;
  for (Slot slot : {Slot::attention_norm, Slot::feed_forward_norm}) {
    std::iota(map.of(slot).begin(), map.of(slot).end(), 0);
  }
  return map;
}

/// Base, original and map of what is asked for; `keeps_base`: the components stay what they are in
/// the file, and so may its adapters.
Conversion plan_conversion(const ConvertOptions& options, bool keeps_base) {
  Conversion plan;
  // A map that cannot be is refused before a tensor is looked for.
  if (options.sharing) make_sharing_map(*options.sharing, depth_of(options.from));
  plan.base = open(options.from, keeps_base ? OwnTerms::none : OwnTerms::all);
  const bool is_base = options.original.empty() && !keeps_base;
  plan.original =
      is_base ? plan.base
              : open(options.original.empty() ? options.from : options.original, OwnTerms::all);
  if (!(plan.original.header.model.spec == plan.base.header.model.spec)) {
    throw UserError(fmt::format("{} is another model than {}: its family or sizes differ",
                                plan.original.name, plan.base.name));
  }
  plan.map = target_map(options, plan.base);
  const bool untied = plan.base.header.model.sharing ==
                      make_sharing_map({}, static_cast<int>(plan.base.header.model.spec.depth));
  const bool chooses = untied && options.sharing;
  plan.init = options.init.value_or(chooses ? SharingInit::stepwise : SharingInit::average);
  plan.adapter = options.adapter;
  plan.seed = options.seed;
  plan.relaxation_rank =
      options.relaxation_rank.value_or(keeps_base ? plan.base.header.model.relaxation_rank : 0);
  plan.copies_adapters = keeps_base && options.original.empty() &&
                         plan.map == plan.base.header.model.sharing &&
                         options.norms != NormHandling::folded && plan.relaxation_rank > 0 &&
                         plan.relaxation_rank == plan.base.header.model.relaxation_rank;
  if (options.norms == NormHandling::folded) {
    plan.base = with_folded_norms(std::move(plan.base));
    plan.original = with_folded_norms(std::move(plan.original));
  }
  return plan;
}

/// Moments are those of the same weights, or a mean of them; nothing else has a meaning.
bool keeps_optimizer(const Conversion& plan) {
  return plan.base.exp_avg != nullptr && plan.init != SharingInit::random &&
         (plan.relaxation_rank == 0 ? plan.base.header.model.relaxation_rank == 0
                                    : plan.copies_adapters);
}

CheckpointHeader header_of(const Conversion& plan, bool optimizer) {
  CheckpointHeader header = plan.base.header;
  header.model.sharing = plan.map;
  header.model.relaxation_rank = plan.relaxation_rank;
  // The keys of the run that wrote it describe another model than this one.
  const bool same = plan.map == plan.base.header.model.sharing &&
                    plan.relaxation_rank == plan.base.header.model.relaxation_rank;
  if (!same) header.config = model_to_toml(header.model.spec);
  if (!optimizer) header.step = header.tokens = 0;
  return header;
}

void check_combination(const ConvertOptions& options) {
  if (options.to == hugging_face) throw UserError("--to hf: names no folder; write hf:DIR");
  if (options.untie && (options.strict || options.sharing)) {
    throw UserError("--untie makes every layer its own; drop --strict, --sharing and --map");
  }
  if (options.init && !options.sharing && options.norms != NormHandling::shared) {
    throw UserError("--init says which layers a new block is made of; give --sharing or --map too");
  }
  if ((options.strict || options.untie) && options.relaxation_rank.value_or(0) > 0) {
    throw UserError("--strict and --untie leave no adapters; drop --relax");
  }
  for (const std::string& input : {options.from, options.original}) {
    std::error_code absent;
    if (std::filesystem::equivalent(input, options.to, absent)) {
      throw UserError(
          fmt::format("--to {} would overwrite what is read; name another file", options.to));
    }
  }
}

/// Why a relaxed model is not the original even at full rank.
void explain_distances(Converted& result) {
  const bool norms = std::any_of(
      result.distances.begin(), result.distances.end(),
      [](const auto& entry) { return entry.first.find("_norm/") != std::string::npos; });
  if (!norms) return;
  result.notes.emplace_back(
      "layers share norms, which no low-rank term brings back: see --norms per_layer and folded");
}

/// stepwise, lower and upper go by the number of the block, whoever uses it.
void note_replaced_layers(const Conversion& plan, Converted& result) {
  const SharingMap& old_map = plan.base.header.model.sharing;
  std::set<int> replaced;
  for (Slot slot : all_slots) {
    const std::vector<int>& list = plan.map.of(slot);
    for (int layer = 0; list != old_map.of(slot) && layer < plan.map.depth(); ++layer) {
      const int id = plan.map.id(slot, layer);
      const std::vector<int> sources = source_layers(plan.map, slot, id, plan.init);
      if (sources.size() != 1 || std::count(list.begin(), list.end(), id) > 1) continue;
      if (old_map.id(slot, sources[0]) != old_map.id(slot, layer)) replaced.insert(layer);
    }
  }
  if (replaced.empty()) return;
  result.notes.push_back(fmt::format(
      "layers that share with none, and start as others all the same: {}; --init average and owner "
      "keep them",
      fmt::join(replaced, ", ")));
}

/// A run in float64 is not halved without a word.
void note_rounding(const UntiedModel& from, torch::Dtype to, Converted& result) {
  if (from.dtype != torch::kFloat64 || to == torch::kFloat64) return;
  result.notes.emplace_back(
      "the file's float64 values are rounded; --precision float64 keeps them");
}

Converted to_hugging_face(const ConvertOptions& options) {
  if (options.sharing || options.relaxation_rank || options.norms != NormHandling::as_mapped ||
      options.strict || options.init || !options.original.empty()) {
    throw UserError(
        "--to hf: writes the layers as they are; share or relax into a FILE.h5 first, then convert "
        "that one");
  }
  check_new_folder(folder_of(options.to));
  const UntiedModel model = open(options.from, options.peft ? OwnTerms::vectors : OwnTerms::all);
  if (options.peft && model.header.model.relaxation_rank == 0) {
    throw UserError(
        fmt::format("{} has no low-rank terms that --peft could write; drop --peft", options.from));
  }
  const HfExportOptions how{options.dtype, options.shard_bytes, options.peft, options.progress};
  Converted result{model.header, {}, {}, exported_bytes(model, how)};
  result.header.model.sharing =
      make_sharing_map({}, static_cast<int>(model.header.model.spec.depth));
  result.header.model.relaxation_rank = 0;
  if (model.exp_avg) result.notes.emplace_back("the optimizer state is left out");
  note_rounding(model, options.dtype, result);
  if (!options.dry_run) {
    export_hugging_face(folder_of(options.to), model, how);
  }
  return result;
}

}  // namespace

Converted convert(const ConvertOptions& options) {
  check_combination(options);
  if (is_hugging_face(options.to)) return to_hugging_face(options);
  const bool keeps_base = !options.sharing && !options.untie && !options.strict;
  Conversion plan = plan_conversion(options, keeps_base);
  if (options.strict && plan.base.header.model.relaxation_rank == 0) {
    throw UserError(
        fmt::format("{} has no low-rank terms that --strict could fold; drop it", options.from));
  }
  const bool optimizer = keeps_optimizer(plan);
  Converted result{header_of(plan, optimizer), {}, {}};
  result.bytes = bytes_of(datasets_of(parameters(result.header.model), options.dtype, optimizer));
  if (plan.base.header.step > 0 && !optimizer) {
    result.notes.emplace_back(
        "the optimizer state is left out: it has no meaning for the new weights");
  }
  const bool none_left = plan.relaxation_rank == 0;
  const bool throws_away = (plan.adapter == AdapterInit::zero || none_left) &&
                           !plan.copies_adapters && keeps_base &&
                           plan.base.header.model.relaxation_rank > 0;
  if (throws_away && options.relaxation_rank) {
    throw UserError(fmt::format(
        "{} would throw the low-rank terms of {} away; drop it, or fold them first with --strict",
        none_left ? "--relax 0" : "--adapter zero", options.from));
  }
  if (optimizer && options.sharing) {
    result.notes.emplace_back(
        fmt::format("optimizer state: copied where a block is split, {} where blocks are merged",
                    plan.init == SharingInit::average ? "averaged" : "the chosen layer's"));
  }
  if (plan.base.header.model.relaxation_rank > 0 && plan.relaxation_rank == 0 && options.sharing) {
    result.notes.emplace_back(
        "every layer's low-rank term was added to it before layers became blocks; none is left");
  }
  note_rounding(plan.base, options.dtype, result);
  note_replaced_layers(plan, result);
  const bool untied = plan.map == make_sharing_map({}, plan.map.depth());
  if (options.relaxation_rank.value_or(0) > 0 && untied) {
    result.notes.emplace_back(
        "the layers share nothing, so that low-rank terms bring nothing back; see --sharing");
  }
  if (options.dry_run) return result;
  const bool relaxed = plan.relaxation_rank > 0;
  Converter converter(std::move(plan));
  write_converted(options.to, result.header, converter, options.dtype, optimizer, options.progress);
  result.distances = converter.distances();
  if (relaxed) explain_distances(result);
  return result;
}

}  // namespace rondo
