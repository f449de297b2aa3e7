#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/output_path.h"
#include "base/user_error.h"
#include "checkpoint/conversion/convert.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/huggingface/hf_tokenizer_file.h"
#include "data/tokenizers/tokenizer.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/convert_words.h"
#include "launcher/reports/model_summary.h"
#include "launcher/reports/progress.h"
#include "model/element_type.h"

namespace rondo {
namespace {

constexpr const char* convert_examples = R"(
Examples: 30 layers of SmolLM2 as 10 blocks that run 3 times; the same with low-rank terms that bring
each layer back as far as rank 64 can; its layers by themselves again, for transformers
  rondo convert --from hf:SmolLM2-135M --to shared.h5 --sharing cycle --unique 10 --init stepwise
  rondo convert --from hf:SmolLM2-135M --to relaxed.h5 --sharing cycle --unique 10 --init average
      --relax 64 --norms folded
  rondo convert --from relaxed.h5 --to hf:out --precision bfloat16
  rondo convert --from relaxed.h5 --to hf:shared_base --peft
  rondo train train.init=shared.h5 data.path=corpus
)";

/// What the command line says, where it is not yet what `convert` takes.
struct ConvertWords {
  SharingOptions sharing;
  std::string init;
  std::string norms;
  std::string adapter = "svd";
  std::string precision = "float32";
  int64_t rank = 0;
};

std::vector<Option> convert_options(ConvertWords& words, ConvertOptions& options, bool& dry_run) {
  return {
      {"--from",
       &options.from,
       "hf:DIR with config.json and safetensors, or FILE.h5",
       {.required = true, .path = true}},
      {"--to",
       &options.to,
       "FILE.h5 to write, or hf:DIR, with every layer by itself",
       {.required = true, .path = true}},
      {"--sharing", &words.sharing.strategy, "strategy of a new sharing map"},
      {"--unique", &words.sharing.unique, "number of blocks"},
      {"--map", &words.sharing.map, "one block per layer: 0,1,2,0 (sharing explicit)"},
      {"--prelude", &words.sharing.prelude, "unique layers before the strategy's part"},
      {"--coda", &words.sharing.coda, "unique layers after it"},
      {"--init",
       &words.init,
       "which layers a block is made of: stepwise, stepwise_rounded, lower, upper, average, owner "
       "(the first that uses it), random (default: stepwise, of a shared model average)",
       {.words = sharing_inits()}},
      {"--norms",
       &words.norms,
       "shared as the blocks that read them, per_layer, or folded into the linears after them "
       "(default: as the sharing map says)",
       {.words = {"shared", "per_layer", "folded"}}},
      {"--relax",
       &words.rank,
       "RANK of a low-rank term of every layer",
       {.least = 0, .most = 1 << 20}},
      {"--adapter",
       &words.adapter,
       "svd: towards --original; zero: no change at first",
       {.shows_default = true, .words = {"svd", "zero"}}},
      {"--original",
       &options.original,
       "hf:DIR or FILE.h5 that svd brings layers back to (default: --from)",
       {.path = true}},
      {"--strict", &options.strict, "fold the mean low-rank term of each block into it"},
      {"--untie", &options.untie, "every layer by itself, exactly"},
      {"--seed", &options.seed, "random seed", {.shows_default = true}},
      {"--precision",
       &words.precision,
       "of the file: float32 or float64; of hf:DIR also bfloat16 or float16",
       {.shows_default = true, .words = element_names()}},
      {"--peft", &options.peft,
       "of a relaxed FILE.h5: hf:DIR is the base that its layers share, and DIR/adapter a PEFT "
       "folder of their low-rank terms"},
      {"--shard-size",
       &options.shard_bytes,
       "the most that one safetensors of hf:DIR takes: 5GB, 200MB, … (default: 5GB)",
       {.least = 1, .bytes = true}},
      {"--dry-run", &dry_run, "show the resulting model and write nothing"},
  };
}

NormHandling norms_of(const std::string& word) {
  return word == "shared"      ? NormHandling::shared
         : word == "per_layer" ? NormHandling::per_layer
         : word == "folded"    ? NormHandling::folded
                               : NormHandling::as_mapped;
}

/// The rank of the low-rank terms in `name`.
int64_t rank_in(const std::string& name) {
  return name.ends_with(".h5") ? CheckpointReader(name).header().model.relaxation_rank : 0;
}

/// An option that nothing would read is a slip. Throws UserError.
void check_effects(const GivenOptions& given, const ConvertOptions& options) {
  const auto refuse_unless = [&](bool counts, const std::string& option, const char* why) {
    if (given.contains(option) && !counts) throw UserError(fmt::format("{}: {}", option, why));
  };
  const bool to_folder = options.to.starts_with("hf:");
  refuse_unless(to_folder, "--shard-size", "a FILE.h5 is one file; only --to hf: has shards");
  if (to_folder) return;  // it takes neither terms nor draws
  const bool keeps_blocks = !options.sharing && !options.untie && !options.strict;
  const bool has_terms = keeps_blocks && rank_in(options.from) > 0;
  const int64_t rank = options.relaxation_rank.value_or(has_terms ? rank_in(options.from) : 0);
  const bool copies_terms = has_terms && rank == rank_in(options.from) &&
                            options.original.empty() && options.norms != NormHandling::folded;
  refuse_unless(rank > 0, "--original", "only low-rank terms bring layers back; give --relax RANK");
  refuse_unless(options.adapter == AdapterInit::svd, "--original",
                "--adapter zero brings nothing back; drop one of the two");
  refuse_unless(rank > 0 && !copies_terms, "--adapter",
                "there are no new low-rank terms; give --relax RANK");
  const bool draws = options.init == SharingInit::random || (rank > 0 && !copies_terms);
  refuse_unless(draws, "--seed", "nothing is drawn; only --init random and --relax draw");
}

void take(const GivenOptions& given, const ConvertWords& words, ConvertOptions& options) {
  const std::vector<std::string> of_map = {"--sharing", "--unique", "--map", "--prelude", "--coda"};
  const bool new_map = std::any_of(of_map.begin(), of_map.end(),
                                   [&](const std::string& name) { return given.contains(name); });
  if (new_map) {
    options.sharing = words.sharing;
    if (!given.contains("--sharing")) {
      options.sharing->strategy = words.sharing.map.empty() ? "cycle" : "explicit";
    }
  }
  if (given.contains("--relax")) options.relaxation_rank = words.rank;
  if (given.contains("--init")) options.init = parse_sharing_init(words.init);
  options.norms = norms_of(words.norms);
  options.adapter = words.adapter == "zero" ? AdapterInit::zero : AdapterInit::svd;
  options.dtype = dtype_of(parse_element(words.precision));
  for (const auto& [option, name] :
       {std::pair("--from", options.from), std::pair("--original", options.original)}) {
    if (name.empty() || name.starts_with("hf:") || name.ends_with(".h5")) continue;
    throw UserError(fmt::format("{} {}: write hf:DIR or FILE.h5", option, name));
  }
  const bool to_folder = options.to.starts_with("hf:");
  const bool half = options.dtype == at::kBFloat16 || options.dtype == at::kHalf;
  if (half && !to_folder) {
    throw UserError(
        fmt::format("--precision {}: FILE.h5 holds float32 or float64; only --to hf: "
                    "takes less",
                    words.precision));
  }
  if (options.peft && !to_folder) {
    throw UserError("--peft: the adapters of a FILE.h5 are in it anyway; give --to hf:DIR");
  }
  if (!to_folder) check_output_path("--to", options.to);
  if (!to_folder && !options.to.ends_with(".h5")) {
    throw UserError(fmt::format("--to {}: write hf:DIR or FILE.h5", options.to));
  }
}

/// The tensors that are not what the layers that use them were, beyond `rounding`.
std::string describe(const std::map<std::string, Distance>& distances) {
  constexpr double rounding = 1e-6;
  double squares = 0.0;
  double of = 0.0;
  const std::string* worst = nullptr;
  double most = -1.0;
  for (const auto& [name, distance] : distances) {
    squares += distance.squares;
    of += distance.of;
    if (distance.squares / distance.of <= most) continue;
    most = distance.squares / distance.of;
    worst = &name;
  }
  if (worst == nullptr) return "";
  std::string text;
  for (const auto& [name, distance] : distances) {
    if (distance.squares <= rounding * rounding * distance.of) continue;
    text += fmt::format("  {:<40} lost {:.4g} of {:.4g} ({:.2f} %)\n", name,
                        std::sqrt(distance.squares), std::sqrt(distance.of),
                        100.0 * std::sqrt(distance.squares / distance.of));
  }
  return fmt::format(
      "Frobenius norms of what is lost, by tensor:\n{}all: {:.4g} of {:.4g}; worst {}\n", text,
      std::sqrt(squares), std::sqrt(of), *worst);
}

ConversionPlan plan(const ConvertOptions& options) {
  try {
    return plan_conversion(options);
  } catch (const ConversionRefusal& refusal) {
    throw UserError(worded(refusal, options));
  } catch (const UserError& error) {
    throw UserError(with_options_for_keys(error.what(), {{"sharing.strategy", "--sharing"},
                                                         {"sharing.unique", "--unique"},
                                                         {"sharing.map", "--map"},
                                                         {"sharing.prelude", "--prelude"},
                                                         {"sharing.coda", "--coda"}}));
  }
}

ConversionResult write(const ConversionPlan& plan) {
  StatusLine line(std::cerr, terminal_width(STDERR_FILENO));
  return write_conversion(plan, [line](int64_t done, int64_t all) mutable {
    if (done < all) line.rewrite(fmt::format("converting tensor {} of {}", done + 1, all));
    if (done == all) line.rewrite("");
  });
}

/// A tokenizer that the model brings and rondo cannot read goes along, but is of no use here.
void check_tokenizer(const std::string& from) {
  if (!from.starts_with("hf:")) return;
  const std::string folder = from.substr(3);
  const auto tokenizer = read_hugging_face_tokenizer(folder);
  try {
    if (tokenizer) open_tokenizer({tokenizer->kind, tokenizer->contents}, folder);
    for (const char* other :
         {"vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tekken.json"}) {
      if (tokenizer || !std::filesystem::exists(folder + "/" + other)) continue;
      throw UserError(
          fmt::format("{}/{} is of another kind than tokenizer.json, vocab.json with "
                      "merges.txt, or tokenizer.model",
                      folder, other));
    }
  } catch (const UserError& error) {
    std::cerr << fmt::format(
        "rondo: warning: the tokenizer goes along, but rondo prepare and generate cannot use it: "
        "{}\n",
        error.what());
  }
}

}  // namespace

int convert_command(const Arguments& arguments) {
  ConvertOptions options;
  ConvertWords words;
  bool dry_run = false;
  const CommandLine line{
      "convert",
      "Makes one model of another: shares the layers of a Hugging Face folder or a checkpoint, "
      "relaxes, unties, and writes either.",
      convert_options(words, options, dry_run), convert_examples};
  const std::optional<GivenOptions> given = line.parse(arguments);
  if (!given) return 0;
  take(*given, words, options);
  check_effects(*given, options);
  const bool replaces = std::filesystem::exists(options.to);
  const ConversionPlan planned = plan(options);
  const ConversionResult written = dry_run ? ConversionResult{} : write(planned);
  check_tokenizer(options.from);
  std::cout << summary(planned.header.model, 2048) << describe(written.distances);
  for (const auto& notes : {planned.notes, written.notes}) {
    for (const ConversionNote& note : notes) std::cout << worded(note) << "\n";
  }
  std::cout << fmt::format("{} {}, {} bytes of tensors ({}B){}\n",
                           dry_run ? "would write" : "wrote", options.to, planned.bytes,
                           format_si(static_cast<double>(planned.bytes)),
                           replaces ? ", in place of the file that was there" : "");
  return 0;
}

}  // namespace rondo
