// How far a checkpoint's run read its corpora; what is taken is written and read back.
#include "data/dataset/position.h"
#include "tests/fuzz/fuzz.h"

namespace rondo {

void read_input(std::string_view bytes) {
  DataPosition position;
  if (!takes([&] { position = position_from_json(bytes, "/position"); })) return;
  const std::string text = to_json(position);
  require(to_json(position_from_json(text, "/position")) == text);
}

}  // namespace rondo
