// What the fuzzers of this folder share: one for each parser of bytes that others made. A parser
// may refuse its input with a UserError; any other exception, and whatever a sanitizer sees, is a
// fault.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/user_error.h"

namespace rondo {

/// Whether `parse` took its input.
template <typename Parse>
bool takes(Parse parse) {
  try {
    parse();
    return true;
  } catch (const UserError&) {
    return false;
  }
}

/// Ends the process where what was written is not read back as the same.
inline void require(bool holds) {
  if (!holds) abort();
}

/// A folder in memory for parsers that open files.
class FuzzFolder {
 public:
  FuzzFolder() : path_(mkdtemp(name_)) {}
  ~FuzzFolder() { std::filesystem::remove_all(path_); }
  FuzzFolder(const FuzzFolder&) = delete;
  FuzzFolder& operator=(const FuzzFolder&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, std::string_view bytes) const {
    std::ofstream(file(name), std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return file(name);
  }
  const std::string& path() const { return path_; }

 private:
  char name_[32] = "/dev/shm/rondo-fuzz-XXXXXX";
  std::string path_;
};

/// The one of this process.
inline const FuzzFolder& fuzz_folder() {
  static const FuzzFolder folder;
  return folder;
}

/// Reads one input; each fuzzer has its own.
void read_input(std::string_view bytes);

}  // namespace rondo
