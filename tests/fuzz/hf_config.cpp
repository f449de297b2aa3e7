// The config.json of a model folder; one that is taken is written and read back.
#include "checkpoint/huggingface/hf_config.h"

#include "tests/fuzz/fuzz.h"

namespace rondo {

void read_input(std::string_view bytes) {
  fuzz_folder().write("config.json", bytes);
  ModelSpec model;
  if (!takes([&] { model = read_hugging_face_config(fuzz_folder().path()); })) return;
  const std::string written = hugging_face_config(model, at::kFloat, {}, "");
  fuzz_folder().write("config.json", written);
  require(read_hugging_face_config(fuzz_folder().path()) == model);
}

}  // namespace rondo
