// The folders and the table of `rondo train --multirun`.
#pragma once

#include <string>
#include <vector>

#include "base/new_folders.h"
#include "training/config.h"

namespace rondo {

/// The overrides of each run.
using SweepRuns = std::vector<std::vector<std::string>>;

/// Whether a word of the command line sets `log.dir`.
bool chooses_log_dir(const std::string& word);

/// A free folder `below`/0, `below`/1, …, or the one that this very sweep has already: the same
/// command goes on where it stopped, another one begins beside it.
std::string numbered_sweep_folder(const std::string& below, const SweepRuns& runs);

/// Puts the folders of run `number`, with these overrides, below those that the user chose, or else
/// below `own`. Returns the folder of the sweep.
std::string set_run_folders(Config& config, const std::vector<std::string>& overrides,
                            const std::string& own, size_t number);

/// Throws UserError when `folder` holds the runs of another sweep.
void check_sweep_folder(const std::string& folder, const SweepRuns& runs);

/// Makes `folder` and writes down there whose it is, until `made` takes it back. Throws UserError
/// where it cannot.
void claim_sweep_folder(const std::string& folder, const SweepRuns& runs, NewFolders& made);

}  // namespace rondo
