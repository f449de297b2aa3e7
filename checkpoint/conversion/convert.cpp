#include "checkpoint/conversion/convert.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>
#include <utility>

#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/model_json.h"
#include "checkpoint/huggingface/hf_config.h"
#include "model/definition/recurrence.h"

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

/// Whether the components stay what they are in the file, and so may its adapters.
bool keeps_components(const ConvertOptions& options) {
  return !options.sharing && !options.untie && !options.strict;
}

/// Base, original and map of what is asked for.
Conversion decide(const ConvertOptions& options) {
  Conversion plan;
  const bool keeps_base = keeps_components(options);
  // A map that cannot be is refused before a tensor is looked for.
  if (options.sharing) make_sharing_map(*options.sharing, depth_of(options.from));
  plan.base = open(options.from, keeps_base ? OwnTerms::none : OwnTerms::all);
  const bool is_base = options.original.empty() && !keeps_base;
  plan.original =
      is_base ? plan.base
              : open(options.original.empty() ? options.from : options.original, OwnTerms::all);
  if (!(plan.original.header.model.spec == plan.base.header.model.spec)) {
    throw ConversionRefusal(Refusal::another_model,
                            fmt::format("{} is another model than {}: its family or sizes differ",
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
  if (!optimizer) {
    header.step = header.tokens = 0;
    header.samples.reset();
    header.position.clear();
  }
  return header;
}

void refuse(bool is_so, Refusal why, const std::string& text) {
  if (is_so) throw ConversionRefusal(why, text);
}

void check_combination(const ConvertOptions& options) {
  refuse(options.to == hugging_face, Refusal::unnamed_folder, "the target names no folder");
  refuse(options.untie && (options.strict || options.sharing), Refusal::untie_and_share,
         "layers that share nothing have neither blocks nor a map");
  refuse(options.init && !options.sharing && options.norms != NormHandling::shared,
         Refusal::init_of_nothing, "no new block is made");
  refuse((options.strict || options.untie) && options.relaxation_rank.value_or(0) > 0,
         Refusal::relax_and_fold, "neither strict nor untied layers have low-rank terms");
  for (const std::string& input : {options.from, options.original}) {
    std::error_code absent;
    refuse(std::filesystem::equivalent(input, options.to, absent), Refusal::overwrites_source,
           fmt::format("{} is read", options.to));
  }
}

/// Terms of the base that the new model would silently lack.
void refuse_lost_terms(const ConvertOptions& options, const Conversion& plan) {
  const int64_t rank = plan.base.header.model.relaxation_rank;
  const std::string text = fmt::format("the low-rank terms of {} would be lost", options.from);
  refuse(options.strict && rank == 0, Refusal::no_terms_to_fold,
         fmt::format("{} has no low-rank terms", options.from));
  if (!options.relaxation_rank || rank == 0 || !keeps_components(options)) return;
  if (plan.copies_adapters) return;
  refuse(plan.relaxation_rank == 0, Refusal::drops_terms_rank, text);
  refuse(plan.adapter == AdapterInit::zero, Refusal::drops_terms_zero, text);
}

/// stepwise, lower and upper go by the number of the block, whoever uses it.
std::set<int> replaced_layers(const Conversion& plan) {
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
  return replaced;
}

/// Those on what a reader of `source` passed over, and on values that lose digits.
std::vector<ConversionNote> notes_on(const UntiedModel& source, at::ScalarType to) {
  std::vector<ConversionNote> notes;
  for (const std::string& note : source.notes) notes.push_back({Note::of_source, note});
  if (source.dtype == at::kDouble && to != at::kDouble) notes.push_back({Note::rounded});
  return notes;
}

std::vector<ConversionNote> notes_on(const ConvertOptions& options, const Conversion& plan,
                                     bool moments) {
  std::vector<ConversionNote> notes = notes_on(plan.base, options.dtype);
  const CheckpointHeader& base = plan.base.header;
  const bool averages = plan.init == SharingInit::average;
  const std::set<int> replaced = replaced_layers(plan);
  const auto add = [&notes](bool is_so, Note what, const std::string& detail = "") {
    if (is_so) notes.push_back({what, detail});
  };
  add(base.step > 0 && !moments, Note::moments_meaningless);
  add(moments && options.sharing, Note::moments_merged,
      averages ? "averaged" : "the chosen layer's");
  add(base.model.relaxation_rank > 0 && plan.relaxation_rank == 0 && options.sharing,
      Note::terms_added);
  add(!replaced.empty(), Note::replaced_layers, fmt::format("{}", fmt::join(replaced, ", ")));
  add(options.relaxation_rank.value_or(0) > 0 && plan.map == make_sharing_map({}, plan.map.depth()),
      Note::nothing_shared);
  return notes;
}

/// A folder holds layers alone: without what tells passes and uses apart it would be another model.
void check_plain_layers(const UntiedModel& source) {
  const ModelSpec& spec = source.header.model.spec;
  if (spec.pass_norm == "none" && !spec.pass_encoding && !spec.branch_scales) return;
  throw UserError(
      fmt::format("{} has norms, encodings or scales of passes (model.pass_norm, "
                  "model.pass_encoding, model.branch_scales), which no Hugging Face folder holds; "
                  "keep it as a FILE.h5",
                  source.name));
}

/// Norms and encodings belong to the passes of one map.
void check_passes_stay(const Conversion& plan) {
  const ModelDefinition& base = plan.base.header.model;
  if (base.spec.pass_norm == "none" && !base.spec.pass_encoding) return;
  if (recurrence(plan.map) == recurrence(base.sharing)) return;
  throw UserError(
      fmt::format("{} has norms or encodings of its passes (model.pass_norm, model.pass_encoding), "
                  "and the new map has other passes; choose a map with the same ones",
                  plan.base.name));
}

ConversionPlan plan_folder(const ConvertOptions& options) {
  refuse(options.sharing || options.relaxation_rank || options.norms != NormHandling::as_mapped ||
             options.strict || options.init || !options.original.empty(),
         Refusal::folder_of_changes, "a folder takes the layers as they are");
  const std::string folder = folder_of(options.to);
  check_new_folder(folder);
  FolderTarget target{.model = open(options.from, options.peft ? OwnTerms::vectors : OwnTerms::all),
                      .options = {options.dtype, options.shard_bytes, options.peft}};
  check_plain_layers(target.model);
  check_exportable(target.model.header.model.spec);
  refuse(options.peft && target.model.header.model.relaxation_rank == 0,
         Refusal::no_terms_to_export, fmt::format("{} has no low-rank terms", options.from));
  ConversionPlan plan{.to = folder,
                      .header = target.model.header,
                      .dtype = options.dtype,
                      .bytes = exported_bytes(target.model, target.options),
                      .notes = notes_on(target.model, options.dtype),
                      .target = target};
  plan.header.model = untied(plan.header.model.spec);
  if (target.model.exp_avg) plan.notes.push_back({Note::no_moments});
  return plan;
}

ConversionPlan plan_checkpoint(const ConvertOptions& options) {
  const Conversion conversion = decide(options);
  check_passes_stay(conversion);
  refuse_lost_terms(options, conversion);
  const bool moments = keeps_optimizer(conversion);
  ConversionPlan plan{.to = options.to,
                      .header = header_of(conversion, moments),
                      .dtype = options.dtype,
                      .notes = notes_on(options, conversion, moments),
                      .target = CheckpointTarget{conversion, moments}};
  plan.bytes = bytes_of(datasets_of(parameters(plan.header.model), plan.dtype, moments));
  return plan;
}

ConversionResult write(const ConversionPlan& plan, const CheckpointTarget& target,
                       const ConversionProgress& progress) {
  Converter converter(target.conversion);
  write_converted(plan.to, plan.header, converter, plan.dtype, target.moments, progress);
  ConversionResult written{converter.distances(), {}};
  const bool norms = std::any_of(
      written.distances.begin(), written.distances.end(),
      [](const auto& entry) { return entry.first.find("_norm/") != std::string::npos; });
  // Then a relaxed model is not the original even at full rank.
  if (norms && target.conversion.relaxation_rank > 0) written.notes.push_back({Note::norms_lost});
  return written;
}

ConversionResult write(const ConversionPlan& plan, const FolderTarget& target,
                       const ConversionProgress& progress) {
  export_hugging_face(plan.to, target.model, target.options, progress);
  return {};
}

}  // namespace

ConversionRefusal::ConversionRefusal(Refusal why, const std::string& text)
    : UserError(text), why_(why) {}

ConversionPlan plan_conversion(const ConvertOptions& options) {
  check_combination(options);
  return is_hugging_face(options.to) ? plan_folder(options) : plan_checkpoint(options);
}

ConversionResult write_conversion(const ConversionPlan& plan, const ConversionProgress& progress) {
  return std::visit([&](const auto& target) { return write(plan, target, progress); }, plan.target);
}

void convert(const ConvertOptions& options) {
  write_conversion(plan_conversion(options), [](int64_t, int64_t) {});
}

}  // namespace rondo
