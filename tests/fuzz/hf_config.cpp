// The config.json of a model folder, to be read, and as what an export keeps of the folder that a
// model came from. One that is taken is written and read back.
#include "checkpoint/huggingface/hf_config.h"

#include "tests/fuzz/fuzz.h"

namespace rondo {

void read_input(std::string_view bytes) {
  write_file(fuzz_folder().file("config.json"), std::string(bytes));
  static const ModelSpec own{
      .hidden = 8, .depth = 2, .heads = 2, .kv_heads = 2, .head_dim = 4, .ffn = 16, .vocab = 10};
  takes([&] { hugging_face_config(own, at::kFloat, 1, std::string(bytes)); });
  ModelSpec model;
  if (!takes([&] { model = read_hugging_face_config(fuzz_folder().path()); })) return;
  const std::string written = hugging_face_config(model, at::kFloat, {}, "");
  write_file(fuzz_folder().file("config.json"), written);
  require(read_hugging_face_config(fuzz_folder().path()) == model);
}

}  // namespace rondo
