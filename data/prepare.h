// `rondo prepare`: text files to an indexed data set.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizers/tokenizer.h"

namespace rondo {

struct PrepareOptions {
  std::vector<std::string> inputs;  ///< text files, one document each; "-" is the standard input
  std::string input_list;           ///< a file that names more of them, one a line; empty: none
  std::string jsonl_key;            ///< inputs are JSON Lines with the text under this key
  std::string output;               ///< PREFIX of the files to write
  std::string tokenizer = "bytes";  ///< bytes, sentencepiece:FILE, hf:FILE
  int64_t vocab = 0;                ///< > 0: train sentencepiece:FILE with so many pieces
  double holdout = 0;               ///< fraction of each document for PREFIX.validation, in [0, 1)
};

/// What PREFIX.json says about PREFIX.bin. A loss of x nats per token is
/// x · tokens / (bytes · ln 2) bits per byte, to be held against `unigram_entropy`.
struct DatasetInfo {
  std::string tokenizer;  ///< its kind, and after a colon its file: hf:tokenizer.json
  int64_t vocab = 0;
  int64_t bytes = 0;  ///< of text
  int64_t tokens = 0;
  int64_t documents = 0;
  double unigram_entropy = 0;  ///< of the text's bytes, in bits per byte

  bool operator==(const DatasetInfo&) const = default;
};

struct PrepareReport {
  DatasetInfo train;                      ///< of PREFIX
  std::optional<DatasetInfo> validation;  ///< of PREFIX.validation
  bool trained_tokenizer = false;
};

/// Bytes of text encoded so far, and in all.
using ProgressCallback = std::function<void(int64_t done, int64_t total)>;

/// Writes PREFIX.bin, .idx, .json and .tokenizer (the tokenizer's file; none for bytes), and the
/// same of PREFIX.validation when `holdout` > 0: the end of each document, from the line boundary
/// nearest to 1 − holdout (from a character boundary where no line ends nearby). A tokenizer is
/// trained on the rest only. All inputs are checked before anything is written, files get their
/// names when all are complete, and memory does not grow with the inputs. UserError for bad
/// options, missing, empty or (unless tokenizer = bytes) non-UTF-8 inputs, a missing output folder,
/// an output that would replace an input or the tokenizer.
PrepareReport prepare(const PrepareOptions& options, const ProgressCallback& progress = {});

/// Reads PREFIX.json; nothing when there is no such file. UserError when it is damaged.
std::optional<DatasetInfo> read_dataset_info(const std::string& prefix);

/// What the data set at PREFIX was made with; nothing when it does not say, like those of Megatron.
/// UserError when a file is damaged.
std::optional<TokenizerDefinition> read_dataset_tokenizer(const std::string& prefix);

}  // namespace rondo
