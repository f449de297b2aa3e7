// A conversion in three steps: what is asked for becomes a plan, which can be explained and then be
// written. Nothing here knows of a command line: refusals and notes are values that the command
// words.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/user_error.h"
#include "checkpoint/conversion/conversion.h"
#include "checkpoint/conversion/hf_export.h"

namespace rondo {

/// as_mapped: as the map says. shared: each as the block that reads it. per_layer: every layer
/// keeps its own. folded: gains are multiplied into the linears after them first, and are ones
/// then (Relaxed Recursive Transformers ties them; then only folded gains let adapters of full rank
/// reproduce the original).
enum class NormHandling : uint8_t { as_mapped, shared, per_layer, folded };

/// What is asked for.
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
  at::ScalarType dtype = at::kFloat;
  int64_t shard_bytes = 5'000'000'000;  ///< of hf:, the most that one file of tensors takes
  bool peft = false;                    ///< to hf:, the shared base, and its adapters beside it
};

/// Why what is asked for is not done.
enum class Refusal : uint8_t {
  unnamed_folder,      ///< `to` is "hf:"
  overwrites_source,   ///< `to` is what is read
  untie_and_share,     ///< `untie` with `strict` or a map
  init_of_nothing,     ///< `init` without new components
  relax_and_fold,      ///< a rank with `strict` or `untie`
  another_model,       ///< `original` has another family or other sizes; detail: both names
  folder_of_changes,   ///< a folder takes the layers as they are
  no_terms_to_export,  ///< `peft` of a strict model
  no_terms_to_fold,    ///< `strict` of a strict model
  drops_terms_rank,    ///< rank 0 would throw low-rank terms away
  drops_terms_zero,    ///< new terms of zero would replace others
};

class ConversionRefusal : public UserError {
 public:
  ConversionRefusal(Refusal why, const std::string& text);
  Refusal why() const { return why_; }

 private:
  Refusal why_;
};

/// What a reader of the plan may want to know.
enum class Note : uint8_t {
  of_source,            ///< on what was passed over in reading: the detail says it all
  no_moments,           ///< the optimizer's state is left out: the target does not keep one
  moments_meaningless,  ///< … it means nothing for the new weights
  moments_merged,       ///< they are merged as the weights are; detail: "averaged" or the like
  terms_added,          ///< low-rank terms were added to their layers before these became blocks
  rounded,              ///< float64 becomes less
  replaced_layers,      ///< layers that share with none start as others; detail: which
  nothing_shared,       ///< low-rank terms of layers that share nothing bring nothing back
  norms_lost,           ///< norms are shared, which no low-rank term brings back
};

struct ConversionNote {
  Note what;
  std::string detail = {};
};

/// A checkpoint to write, and whether its optimizer's moments are converted too.
struct CheckpointTarget {
  Conversion conversion;
  bool moments = false;
};

/// A Hugging Face folder to write.
struct FolderTarget {
  UntiedModel model;
  HfExportOptions options;
};

/// What will be written. Sources are open, and their values not yet read.
struct ConversionPlan {
  std::string to;           ///< path of the file or the folder
  CheckpointHeader header;  ///< of the result
  at::ScalarType dtype = at::kFloat;
  int64_t bytes = 0;  ///< of all tensors
  std::vector<ConversionNote> notes;
  std::variant<CheckpointTarget, FolderTarget> target;
};

/// Decides. Throws ConversionRefusal, and UserError for sources that cannot be read.
ConversionPlan plan_conversion(const ConvertOptions& options);

struct ConversionResult {
  std::map<std::string, Distance> distances;  ///< see Converter::distances
  std::vector<ConversionNote> notes;          ///< that only the values show
};

/// Hears of each tensor: number and all.
using ConversionProgress = std::function<void(int64_t, int64_t)>;

/// Writes. Throws UserError; nothing is left half-written.
ConversionResult write_conversion(const ConversionPlan& plan, const ConversionProgress& progress);

/// Both, in silence.
void convert(const ConvertOptions& options);

}  // namespace rondo
