// The folder of one run: made, checked and locked before the first step.
#pragma once

#include "launcher/config/config.h"

namespace rondo {

/// Makes the run's folders, keeps the resolved config there and holds a lock on them, so that two
/// runs never write into one. On one rank of a job.
class RunFolder {
 public:
  /// Throws UserError where a folder cannot be made or written, or another run holds it.
  explicit RunFolder(const Config& config);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

 private:
  int lock_ = -1;
};

}  // namespace rondo
