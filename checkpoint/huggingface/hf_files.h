// Small files of a Hugging Face folder that rondo does not read, but hands on.
#pragma once

#include <map>
#include <string>

namespace rondo {

/// By name: config.json, and what there is of the settings of tokenizer, chat and generation. Files
/// of more than a MiB are left out.
std::map<std::string, std::string> read_hugging_face_files(const std::string& dir);

/// Writes into the folder those of `files` that are such settings. config.json is the export's own,
/// and no other name is taken from a checkpoint.
void write_hugging_face_files(const std::string& dir,
                              const std::map<std::string, std::string>& files);

}  // namespace rondo
