// The indexed data set of Megatron-Core, which NeMo and nanotron read too: PREFIX.bin holds the
// tokens of all sequences back to back, PREFIX.idx says where they begin. Little-endian:
//
//   PREFIX.idx   char[9]  "MMIDIDX\0\0"
//                uint64   version = 1
//                uint8    token type: 1 uint8, 2 int8, 3 int16, 4 int32, 5 int64, 8 uint16
//                uint64   S, the number of sequences
//                uint64   D, the number of documents plus one
//                int32    tokens of each sequence [S]
//                int64    byte in PREFIX.bin where each begins [S]
//                int64    first sequence of each document, then S [D]
//                int8     mode of each sequence [S], only in multimodal sets; not used here
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/partial_file.h"

namespace rondo {

/// Half-open range of positions in the flat stream of tokens.
struct TokenRange {
  int64_t begin = 0;
  int64_t end = 0;
};

/// Memory-mapped reader. A cheap value: copies share the mapping.
class IndexedDataset {
 public:
  /// Opens PREFIX.bin and PREFIX.idx and checks the whole index against both sizes. UserError for
  /// whatever is missing, foreign, truncated, inconsistent or empty.
  explicit IndexedDataset(const std::string& prefix);

  const std::string& prefix() const { return prefix_; }
  /// All tokens of all sequences: PREFIX.bin as one stream.
  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return documents_; }
  /// Where document `index` (from 0) lies in the stream. It may be empty.
  TokenRange document(int64_t index) const;

  /// Copies tokens begin … begin + out.size() − 1. std::out_of_range beyond the end.
  void read(int64_t begin, std::span<int64_t> out) const;

  /// UserError names the first of `tokens`, which were read from `begin` on, that lies outside
  /// [0, vocab), and its position; RunError the same where the file has changed since it was
  /// opened.
  void check_vocab(int64_t begin, std::span<const int64_t> tokens, int64_t vocab) const;
  /// The same for the tokens of `range`, as far as there are any.
  void check_vocab(TokenRange range, int64_t vocab) const;

 private:
  /// Reads the header; returns where the arrays begin. Sets code_, sequences_, documents_.
  void read_header();
  void check_arrays() const;
  int64_t sequence_begin(int64_t sequence) const;  ///< token position; `sequences_` gives the end

  std::string prefix_;
  MappedFile bin_;
  MappedFile idx_;
  uint8_t code_ = 0;
  int64_t token_bytes_ = 0;
  int64_t sequences_ = 0;
  int64_t documents_ = 0;
  int64_t tokens_ = 0;
};

/// Streaming writer. Both files carry temporary names until `finish`; without it they are removed.
class IndexedDatasetWriter {
 public:
  /// Tokens are stored as uint16 when vocab < 65500 and as int32 otherwise, as Megatron-Core does.
  /// Documents longer than `longest_sequence` tokens are stored as several sequences.
  IndexedDatasetWriter(const std::string& prefix, int64_t vocab,
                       int64_t longest_sequence = std::numeric_limits<int32_t>::max());

  /// Appends to the document at hand. A token outside [0, vocab) is a UserError.
  void append(std::span<const int64_t> tokens);
  void end_document();

  int64_t tokens() const { return tokens_; }

  /// Writes the index, under the temporary name still. UserError when there is no token.
  void close();
  /// `close`, then gives both files their names.
  void finish();

 private:
  std::string prefix_;
  int64_t vocab_;
  int64_t longest_sequence_;
  bool narrow_;  ///< uint16 rather than int32
  bool closed_ = false;
  int64_t tokens_ = 0;
  std::vector<int32_t> lengths_;
  std::vector<int64_t> documents_ = {0};  ///< first sequence of each document, and the next one
  bool open_sequence_ = false;            ///< whether lengths_.back() may still grow
  PartialFile bin_;
  PartialFile idx_;
};

}  // namespace rondo
