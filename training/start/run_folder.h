// The folders of one run: made, checked and locked before the first step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/folder_lock.h"
#include "training/config.h"

namespace rondo {

/// Throws UserError where another run holds a folder that this one would write into, or the
/// checkpoints there are another run's: before anything is read there, since what another run
/// writes changes meanwhile. Makes nothing. On one rank of a job.
void check_free(const Config& config);

/// Makes the run's folders, keeps the resolved config there and holds a lock on each, so that two
/// runs never write into one, neither at once nor, into a folder of checkpoints, after each other.
/// On one rank of a job.
class RunFolder {
 public:
  /// `config_text` is the config as TOML; `resumed`: the step that the run goes on from. The config
  /// of the steps up to there stays: under its name when none is left to do, else as
  /// config-until-STEP.toml where the new one differs. Throws UserError where a folder cannot be
  /// made or written, another run holds it, or its checkpoints are another run's. What it made
  /// itself is gone then.
  RunFolder(const Config& config, const std::string& config_text,
            std::optional<int64_t> resumed = {});

 private:
  std::vector<FolderLock> locks_;
};

}  // namespace rondo
