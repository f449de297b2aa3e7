// What the fuzzers of this folder share: one for each parser of bytes that others made. A parser
// may refuse its input with a UserError; any other exception, and whatever a sanitizer sees, is a
// fault.
#pragma once

#include <stdlib.h>

#include <string>
#include <string_view>

#include "base/user_error.h"
#include "tests/checkpoint/temporary_folder.h"

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

/// The folder of this process for parsers that open files; scripts/fuzz.sh puts it into memory.
inline const TemporaryFolder& fuzz_folder() {
  static const TemporaryFolder folder;
  return folder;
}

/// Reads one input; each fuzzer has its own.
void read_input(std::string_view bytes);

}  // namespace rondo
