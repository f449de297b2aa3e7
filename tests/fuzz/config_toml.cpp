// A config as TOML; one that is taken is written and read back.
#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "tests/fuzz/fuzz.h"

namespace rondo {

void read_input(std::string_view bytes) {
  std::string text;
  const auto read = [](const std::string& toml) {
    return to_toml(parse_config(resolved_from_toml(toml, "config.toml")));
  };
  if (takes([&] { text = read(std::string(bytes)); })) require(read(text) == text);
}

}  // namespace rondo
