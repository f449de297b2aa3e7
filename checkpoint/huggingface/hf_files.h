// Files of a Hugging Face folder that go from folder to folder as they are.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "checkpoint/format/checkpoint.h"

namespace rondo {

/// By name: config.json, and what there is of the files of tokenizer, chat and generation; without
/// the one that `tokenizer` holds as it is. Throws UserError for files beyond 256 MiB.
std::map<std::string, std::string> read_hugging_face_files(
    const std::string& dir, const std::optional<StoredTokenizer>& tokenizer);

/// Writes into the folder those of `files` that are such files. config.json is the export's own,
/// and no other name is taken from a checkpoint.
void write_hugging_face_files(const std::string& dir,
                              const std::map<std::string, std::string>& files);

}  // namespace rondo
