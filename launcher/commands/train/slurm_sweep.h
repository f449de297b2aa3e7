// `launcher=slurm`: a sweep as a job array.
#pragma once

#include <string>
#include <vector>

#include "launcher/commands/train/train_words.h"

namespace rondo {

/// Takes `launcher=local|slurm` and `launcher.sbatch="…"` out of `overrides`. Throws UserError
/// where they decide nothing.
Launcher take_launcher(std::vector<std::string>& overrides, bool multirun);

/// Checks every run of the sweep, claims its folder, and submits slurm/sweep.sbatch as an array
/// with a task for each run. Prints where it goes. Throws UserError, RunError where sbatch fails.
void submit_sweep(const TrainWords& words);

}  // namespace rondo
