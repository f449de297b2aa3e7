// A file of tensors.
#include "checkpoint/huggingface/safetensors.h"

#include "tests/fuzz/fuzz.h"

namespace rondo {

void read_input(std::string_view bytes) {
  const std::string path = fuzz_folder().file("model.safetensors");
  write_file(path, std::string(bytes));
  takes([&] {
    const SafetensorsFile file(path);
    for (const auto& [name, entry] : file.entries()) {
      takes([&, &tensor = name] { file.read(tensor); });
    }
  });
}

}  // namespace rondo
