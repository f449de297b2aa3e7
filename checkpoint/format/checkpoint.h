// What a checkpoint holds and what its file is called. One HDF5 file per step: root attributes, and
// every tensor whole, unsharded and free of any placement, so that any world loads any checkpoint.
//
//   /                      format="rondo" format_version step tokens config model sharing
//                          relaxation [samples] [validation_loss] [tokenizer] [end_token]
//                          [end_tokens]
//   /parameters/<path>     <path> as in ParameterSpec::path(): attention/3/q_proj/weight
//   /optimizer/exp_avg/<path>, /optimizer/exp_avg_sq/<path>
//   /position              how far each corpus was read, as JSON (data/dataset/position.h)
//   /tokenizer             the bytes of the tokenizer's file, where it has one
//   /hugging_face/<name>   those of small files beside it in the folder that the model came from
//
// Datasets are float32 or float64, those three of bytes, contiguous, and carry a `checksum`
// attribute. A seal (seal.h) follows HDF5's part of the file; one that another program wrote or
// changed has none.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "model/definition/model_definition.h"
#include "model/definition/parameters.h"

namespace rondo {

inline constexpr int64_t checkpoint_format_version = 1;

/// What turns text into the model's tokens. `kind` and `contents` mean what they mean in the data
/// set that the model learned from: bytes, sentencepiece or hf, and the file of the tokenizer.
struct StoredTokenizer {
  std::string kind;
  std::string contents;         ///< empty for one that needs no file
  std::vector<int64_t> ends{};  ///< the tokens that end a text, where the model says which

  bool operator==(const StoredTokenizer&) const = default;
};

/// The root attributes, and what comes along as bytes.
struct CheckpointHeader {
  int64_t step = 0;
  int64_t tokens = 0;                          ///< target tokens seen so far
  std::optional<int64_t> samples = {};         ///< seen so far; older files do not tell
  std::optional<double> validation_loss = {};  ///< of these weights, where it was measured
  std::string position = {};  ///< of each corpus, as JSON; empty where `samples` is not set
  std::string config;         ///< TOML text that the run was started with
  ModelDefinition model;      ///< `gradient` is the config's
  std::optional<StoredTokenizer> tokenizer = {};
  /// Small files of the Hugging Face folder that the model came from, by name (see hf_files.h): an
  /// export keeps what rondo does not know of.
  std::map<std::string, std::string> hf_files = {};
};

/// One whole tensor in the file.
struct DatasetSpec {
  std::string path;                   ///< absolute: "/parameters/embedding/weight"
  std::vector<int64_t> shape;         ///< at least one axis, none of size 0
  at::ScalarType dtype = at::kFloat;  ///< float32, float64 or uint8

  int64_t count() const;
};

/// Flat elements [begin, begin + values.numel()) of the row-major dataset `path`.
struct DatasetSlice {
  std::string path;
  int64_t begin = 0;
  at::Tensor values;  ///< 1-d, contiguous, on the CPU, of the dataset's dtype
};

/// Where each corpus was read to.
inline constexpr const char* position_dataset = "/position";

/// The bytes of the tokenizer's file.
inline constexpr const char* tokenizer_dataset = "/tokenizer";

/// What the paths of files of a Hugging Face folder begin with.
inline constexpr const char* hf_files_group = "/hugging_face/";

/// The datasets of bytes: contents by path, none empty.
std::map<std::string, std::string> texts_of(const CheckpointHeader& header);

/// What the paths of all weights begin with.
inline constexpr const char* all_parameters = "/parameters/";

std::string parameter_dataset(const ParameterSpec& parameter);
std::string exp_avg_dataset(const ParameterSpec& parameter);
std::string exp_avg_sq_dataset(const ParameterSpec& parameter);

/// Each weight and, with `optimizer`, its two moments after it.
std::vector<DatasetSpec> datasets_of(const std::vector<ParameterSpec>& parameters,
                                     at::ScalarType dtype, bool optimizer);

/// Of the values of all of them.
int64_t bytes_of(const std::vector<DatasetSpec>& datasets);

/// DIR/step-00000100.h5
std::string checkpoint_file(const std::string& dir, int64_t step);

/// Every complete checkpoint of the folder, newest step first. Names that are not of the form above
/// do not count; a folder that is not there is empty.
std::vector<std::string> list_checkpoints(const std::string& dir);

/// The first of them.
std::optional<std::string> newest_checkpoint(const std::string& dir);

/// DIR/best.h5, where the checkpoint of the lowest held-out loss stays.
std::string best_file(const std::string& dir);

/// Gives the file of `step` that second name, whatever had it before. Returns what is wrong, if
/// anything is.
std::error_code keep_as_best(const std::string& dir, int64_t step);

/// Takes the checkpoints of steps after `step` out of the list: step-00000100.h5 becomes
/// step-00000100.h5.aside. Call it on one rank, with no save in progress.
void set_aside_after(const std::string& dir, int64_t step);

/// After a save of step `saved`: of later steps there are damaged files alone, which neither count
/// nor go. Deletes all but the `keep` newest (keep < 1: deletes none) and those of every
/// `keep_every`-th step (0: none), and what interrupted saves of earlier steps left behind. A file
/// that cannot be deleted stays. Call it on one rank, with no save in progress.
void prune_checkpoints(const std::string& dir, int64_t saved, int64_t keep, int64_t keep_every = 0);

}  // namespace rondo
