// Where libFuzzer enters.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  rondo::read_input({reinterpret_cast<const char*>(bytes), count});
  return 0;
}
