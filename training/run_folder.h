// The folder of one run: made, checked and locked before the first step.
#pragma once

#include <cstdint>
#include <optional>

#include "launcher/config/config.h"

namespace rondo {

/// Makes the run's folders, keeps the resolved config there and holds a lock on them, so that two
/// runs never write into one. On one rank of a job.
class RunFolder {
 public:
  /// Throws UserError where a folder cannot be made or written, or another run holds it.
  /// `resumed`: the step that the run goes on from. The config of the steps up to there stays:
  /// under its name when none is left to do, else as config-until-STEP.toml where the new one
  /// differs.
  explicit RunFolder(const Config& config, std::optional<int64_t> resumed = {});
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

 private:
  int lock_ = -1;
};

}  // namespace rondo
