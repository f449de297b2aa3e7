#include "checkpoint/format/background_save.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <utility>

#include "base/seconds_since.h"
#include "checkpoint/format/checkpoint_writer.h"

namespace rondo {
namespace {

/// Page-locked where the values come from a device, which then fills it at the bus's full rate.
at::Tensor host_room(const at::Tensor& values) {
  return at::empty(values.sizes(),
                   values.options().device(at::kCPU).pinned_memory(!values.device().is_cpu()));
}

}  // namespace

BackgroundSave::BackgroundSave(Writers writers, std::function<void(int64_t)> behind)
    : writers_(std::move(writers)), behind_(std::move(behind)) {}

BackgroundSave::~BackgroundSave() {
  if (under_way_.valid()) under_way_.wait();
}

/// Returns how long it took from `begin` until the file stood under its name.
double BackgroundSave::write(const Save& save, Clock::time_point begin) const {
  save_checkpoint(save.file, save.header, save.all, save.mine, writers_);
  const double seconds = seconds_since(begin);
  if (writers_.rank() == 0) behind_(save.header.step);
  return seconds;
}

void BackgroundSave::start(const Save& save) {
  const Clock::time_point begin = Clock::now();
  finish();
  copies_.resize(save.mine.size());
  Save copy{save.file, save.header, save.all, {}};
  for (size_t i = 0; i < save.mine.size(); ++i) {
    const DatasetSlice& slice = save.mine[i];
    at::Tensor& kept = copies_[i];
    const bool reusable = kept.defined() && kept.numel() == slice.values.numel() &&
                          kept.scalar_type() == slice.values.scalar_type();
    if (!reusable) kept = host_room(slice.values);
    kept.copy_(slice.values);
    copy.mine.push_back({slice.path, slice.begin, kept});
  }
  const double stall_s = seconds_since(begin);
  under_way_ = std::async(std::launch::async, [this, begin, stall_s, job = std::move(copy)] {
    return Saved{job.file, write(job, begin), stall_s};
  });
}

void BackgroundSave::start_in_place(const Save& save) {
  const Clock::time_point begin = Clock::now();
  finish();
  Save on_host = save;
  for (DatasetSlice& slice : on_host.mine) slice.values = slice.values.cpu().contiguous();
  under_way_ = std::async(std::launch::async, [this, begin, job = std::move(on_host)] {
    return Saved{job.file, write(job, begin)};
  });
}

bool BackgroundSave::ended() const {
  return under_way_.valid() &&
         under_way_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

std::optional<Saved> BackgroundSave::finish() {
  if (!under_way_.valid()) return std::nullopt;
  const Clock::time_point begin = Clock::now();
  Saved saved = under_way_.get();
  saved.stall_s += seconds_since(begin);
  return saved;
}

}  // namespace rondo
