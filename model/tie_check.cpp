#include "model/tie_check.h"

#include <fmt/format.h>

#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace rondo {
namespace {

/// Finds two layers whose memory and map disagree.
class TieCheck {
 public:
  explicit TieCheck(const SharingMap& map) : map_(map) {}

  void add(const View& view, int layer) {
    Component expected = view.component;
    std::string what = "adapters";
    if (expected.kind == Kind::slot) {
      expected.id = map_.id(expected.slot, layer);
      what = expected.slot.name;
    } else if (expected.kind != Kind::adapter) {
      what = to_string(expected);
    }
    const Use use{to_string(expected) + "/" + view.name, what, layer};
    compare(view.parameter.value, use, values_);
    if (view.parameter.gradient.defined()) compare(view.parameter.gradient, use, gradients_);
  }

 private:
  struct Use {
    std::string path;  ///< of the parameter that the map gives the layer
    std::string what;
    int layer;
  };
  struct Seen {
    std::map<const void*, Use> by_memory;
    std::map<std::string, std::pair<const void*, int>> by_path;  ///< memory and layer
  };

  static void compare(const at::Tensor& tensor, const Use& use, Seen& seen) {
    const void* memory = tensor.data_ptr();
    const auto [other, new_memory] = seen.by_memory.emplace(memory, use);
    if (!new_memory && other->second.path != use.path) {
      throw std::logic_error(fmt::format("{} of layers {} and {} should not share memory", use.what,
                                         other->second.layer, use.layer));
    }
    const auto [same, new_path] = seen.by_path.emplace(use.path, std::pair(memory, use.layer));
    if (!new_path && same->second.first != memory) {
      throw std::logic_error(fmt::format("{} of layers {} and {} should share memory", use.what,
                                         same->second.second, use.layer));
    }
  }

  const SharingMap& map_;
  Seen values_;
  Seen gradients_;
};

}  // namespace

void check_ties(const std::vector<Half>& halves, const SharingMap& map) {
  TieCheck check(map);
  for (const Half& half : halves) {
    for (const View& view : half.views) check.add(view, half.place.layer);
  }
}

}  // namespace rondo
