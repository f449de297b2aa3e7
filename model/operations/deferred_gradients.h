// Weight gradients now or later.
#pragma once

#include <ATen/core/ivalue.h>

#include <functional>
#include <utility>
#include <vector>

namespace rondo {

/// Takes the work that adds to weight gradients: runs it at once, or keeps it until somebody has
/// time for it (zero-bubble schedules, arXiv 2401.10241). The gradients that go on to other layers
/// never wait for it. Travels with the autograd graph, hence the base.
class DeferredGradients : public torch::CustomClassHolder {
 public:
  using Work = std::vector<std::function<void()>>;

  void add(std::function<void()> work) {
    if (deferring_) {
      kept_.push_back(std::move(work));
    } else {
      work();
    }
  }

  /// From now on work is kept, until take().
  void defer() { deferring_ = true; }

  /// What was kept since defer().
  Work take() {
    deferring_ = false;
    return std::exchange(kept_, {});
  }

 private:
  bool deferring_ = false;
  Work kept_;
};

}  // namespace rondo
