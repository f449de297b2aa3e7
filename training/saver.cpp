#include "training/saver.h"

#include <fmt/format.h>

#include <utility>

#include "base/user_error.h"
#include "distributed/comm/agree.h"
#include "training/health.h"

namespace rondo {

Saver::Saver(const CheckpointConfig& config, std::string folder, int64_t last_step, World world,
             std::function<void(const std::string&)> tell)
    : config_(config),
      folder_(std::move(folder)),
      occasion_{config.every, last_step},
      world_(world),
      tell_(std::move(tell)),
      saves_(Writers::world(), [config, dir = folder_](int64_t step) {
        prune_checkpoints(dir, step, config.keep, config.keep_every);
      }) {}

bool Saver::due(int64_t step, bool stopping) const { return stopping || occasion_.after(step); }

void Saver::finish() {
  try {
    if (const std::optional<Saved> saved = saves_.finish()) tell_saved(*saved);
  } catch (const UserError& error) {  // the same on every rank
    tell_failed(error, /*last=*/false);
  }
}

void Saver::save(const Save& save, bool stopping) {
  finish();
  check_finite(save);
  const bool last = stopping || save.header.step == occasion_.last;
  if (config_.async && !last) return saves_.start(save);
  try {
    tell_saved(saves_.run(save));
  } catch (const UserError& error) {
    tell_failed(error, last);
  }
}

/// Weights and what AdamW knows of them: a file of anything else would wreck whoever goes on.
void Saver::check_finite(const Save& save) {
  const std::string found = first_complaint(world_.host, first_not_finite(save.mine));
  if (found.empty()) return;
  give_up(fmt::format("after step {} the model is not finite and is not saved ({})",
                      save.header.step, found));
}

void Saver::give_up(const std::string& what) {
  try {
    finish();
  } catch (const AgreedError&) {
    // What the run ends with is worse.
  }
  end_not_finite(world_.host, what, folder_);
}

void Saver::tell_saved(const Saved& saved) const {
  tell_(fmt::format("saved {} in {:.3g} s, of which training waited {:.3g} s", saved.file,
                    saved.seconds, saved.stall_s));
}

/// Without the last file there is nothing to go on to.
void Saver::tell_failed(const UserError& error, bool last) const {
  const bool goes_on = !last && config_.on_error == "continue";
  if (!goes_on) throw AgreedError(world_.rank() == 0 ? error.what() : "");
  tell_(
      fmt::format("{}; training goes on without it (checkpoint.on_error=continue)", error.what()));
}

}  // namespace rondo
