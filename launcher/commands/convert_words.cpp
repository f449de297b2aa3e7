#include "launcher/commands/convert_words.h"

#include <fmt/format.h>

namespace rondo {

std::string worded(const ConversionRefusal& refusal, const ConvertOptions& options) {
  const auto keep_terms = [&](const char* option) {
    return fmt::format(
        "{} would throw the low-rank terms of {} away; drop it, or fold them first with --strict",
        option, options.from);
  };
  switch (refusal.why()) {
    case Refusal::unnamed_folder:
      return "--to hf: names no folder; write hf:DIR";
    case Refusal::overwrites_source:
      return fmt::format("--to {} would overwrite what is read; name another file", options.to);
    case Refusal::untie_and_share:
      return "--untie makes every layer its own; drop --strict, --sharing and --map";
    case Refusal::init_of_nothing:
      return "--init says which layers a new block is made of; give --sharing or --map too";
    case Refusal::relax_and_fold:
      return "--strict and --untie leave no adapters; drop --relax";
    case Refusal::folder_of_changes:
      return "--to hf: writes the layers as they are; share or relax into a FILE.h5 first, then "
             "convert that one";
    case Refusal::no_terms_to_export:
      return fmt::format("{} has no low-rank terms that --peft could write; drop --peft",
                         options.from);
    case Refusal::no_terms_to_fold:
      return fmt::format("{} has no low-rank terms that --strict could fold; drop it",
                         options.from);
    case Refusal::drops_terms_rank:
      return keep_terms("--relax 0");
    case Refusal::drops_terms_zero:
      return keep_terms("--adapter zero");
    case Refusal::another_model:
      break;
  }
  return refusal.what();
}

std::string worded(const ConversionNote& note) {
  switch (note.what) {
    case Note::no_moments:
      return "the optimizer state is left out";
    case Note::moments_meaningless:
      return "the optimizer state is left out: it has no meaning for the new weights";
    case Note::moments_merged:
      return fmt::format(
          "optimizer state: copied where a block is split, {} where blocks are merged",
          note.detail);
    case Note::terms_added:
      return "every layer's low-rank term was added to it before layers became blocks; none is "
             "left";
    case Note::rounded:
      return "the file's float64 values are rounded; --precision float64 keeps them";
    case Note::replaced_layers:
      return fmt::format(
          "layers that share with none, and start as others all the same: {}; --init average and "
          "owner keep them",
          note.detail);
    case Note::nothing_shared:
      return "the layers share nothing, so that low-rank terms bring nothing back; see --sharing";
    case Note::norms_lost:
      return "layers share norms, which no low-rank term brings back: see --norms per_layer and "
             "folded";
    case Note::of_source:
      break;
  }
  return note.detail;
}

}  // namespace rondo
