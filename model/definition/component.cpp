#include "model/definition/component.h"

#include <fmt/format.h>

#include <stdexcept>

namespace rondo {

std::string to_string(const Component& component) {
  switch (component.kind) {
    case Kind::embedding:
      return "embedding";
    case Kind::positions:
      return "positions";
    case Kind::slot:
      return fmt::format("{}/{}", component.slot.name, component.id);
    case Kind::adapter:
      return fmt::format("adapters/{}/{}", component.id, component.slot.name);
    case Kind::scales:
      return fmt::format("scales/{}/{}", component.id, component.slot.name);
    case Kind::pass_encoding:
      return fmt::format("pass_encoding/{}", component.id);
    case Kind::pass_norm:
      return fmt::format("pass_norm/{}", component.id);
    case Kind::final_norm:
      return "final_norm";
    case Kind::head:
      return "head";
  }
  throw std::logic_error("a component of no kind");
}

}  // namespace rondo
