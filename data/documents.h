// The documents of the files that are to be prepared.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

struct DocumentOptions {
  std::vector<std::string> files;  ///< one document each, or JSON Lines
  std::string jsonl_key = {};      ///< of the text in each line; empty: files of text
  bool needs_utf8 = true;
  double holdout = 0;  ///< fraction at the end of each document that is held out, in [0, 1)
};

/// Files are opened one at a time, so that there may be any number of them.
class Documents {
 public:
  /// Looks through all files. UserError names the first that is missing, empty, not UTF-8 though it
  /// must be, or has a line without a text.
  explicit Documents(DocumentOptions options);

  /// Calls `use` with each document that is not empty: what is to be trained on, and what is held
  /// out, from the line boundary nearest to 1 − holdout on (from a character boundary where no line
  /// ends nearby).
  void each(
      const std::function<void(std::string_view train, std::string_view held_out)>& use) const;

  int64_t bytes() const { return bytes_; }  ///< of all texts

 private:
  void each_text(const std::string& file,
                 const std::function<void(std::string_view text)>& use) const;

  DocumentOptions options_;
  int64_t bytes_ = 0;
};

/// The lines of `file`, each the path of another. UserError when there is none.
std::vector<std::string> read_file_list(const std::string& file);

}  // namespace rondo
