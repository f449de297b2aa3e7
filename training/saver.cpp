#include "training/saver.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>

#include "base/seconds_since.h"
#include "base/user_error.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "distributed/comm/agree.h"
#include "training/control/health.h"

namespace rondo {

Saver::Saver(const CheckpointConfig& config, std::string folder, int64_t last_step, World world,
             std::function<void(const std::string&)> tell)
    : config_(config),
      folder_(std::move(folder)),
      occasion_{config.every, last_step},
      world_(world),
      tell_(std::move(tell)),
      saves_(Writers::world(), [this](int64_t step) { clear_up(step); }) {}

void Saver::resume_best(int64_t step) {
  double loss = best_loss_;
  const std::string file = best_file(folder_);
  if (config_.keep_best && world_.rank() == 0 && std::filesystem::exists(file)) {
    try {
      const CheckpointReader reader(file);
      const CheckpointHeader& header = reader.header();
      if (header.step <= step) loss = header.validation_loss.value_or(loss);
    } catch (const UserError& error) {
      tell_(fmt::format("{}; the next evaluation makes another", error.what()));
    }
  }
  world_.host.broadcast({&loss, 1, ElementType::float64}, 0);
  best_loss_ = loss;
}

bool Saver::is_best(std::optional<double> validation_loss) const {
  return config_.keep_best && validation_loss && *validation_loss < best_loss_;
}

bool Saver::due(int64_t step, bool stopping, std::optional<double> validation_loss) const {
  return stopping || occasion_.after(step) || is_best(validation_loss);
}

/// Behind a save, on the thread that wrote it.
void Saver::clear_up(int64_t step) {
  if (step == best_step_) best_error_ = keep_as_best(folder_, step);
  prune_checkpoints(folder_, step, config_.keep, config_.keep_every);
}

/// A disk may take as long as it does, but no rank may wait for one that is gone: while the save is
/// written the ranks ask each other, and those calls have a deadline. A UserError of the save is
/// that of every rank; whatever else this rank's part ends with is thrown at once, since the parts
/// of the others wait for it. Nothing where none is under way.
std::optional<Saved> Saver::finish_together() {
  if (!saves_.under_way()) return std::nullopt;  // on every rank
  const auto begin = std::chrono::steady_clock::now();
  std::optional<Saved> saved;
  std::optional<UserError> failed;
  double writing = 1.0;
  while (writing > 0.0) {
    try {
      if (saves_.ended()) saved = saves_.finish();
    } catch (const UserError& error) {
      failed = error;
    }
    writing = saves_.under_way() ? 1.0 : 0.0;
    world_.host.all_reduce_sum({&writing, 1, ElementType::float64});
    if (writing > 0.0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (failed) throw UserError(*failed);
  saved->stall_s += seconds_since(begin);
  saved->seconds = std::max(saved->seconds, saved->stall_s);  // saved is what all ranks know of
  return saved;
}

void Saver::finish() {
  try {
    if (const std::optional<Saved> saved = finish_together()) tell_saved(*saved);
  } catch (const UserError& error) {  // the same on every rank
    tell_failed(error, /*last=*/false);
  }
}

void Saver::save(const Save& save, bool stopping) {
  finish();
  check_finite(save);
  if (is_best(save.header.validation_loss)) {
    best_loss_ = *save.header.validation_loss;
    best_step_ = save.header.step;
  }
  const bool last = stopping || save.header.step == occasion_.last;
  if (config_.async && !last) return saves_.start(save);
  try {
    saves_.start_in_place(save);
    tell_saved(*finish_together());
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
  } catch (const AgreedRunError&) {
    // What the run ends with is worse.
  }
  end_not_finite(world_.host, what, folder_);
}

void Saver::tell_saved(const Saved& saved) const {
  tell_(fmt::format("saved {} in {:.3g} s, of which training waited {:.3g} s", saved.file,
                    saved.seconds, saved.stall_s));
  if (best_step_ == 0 || saved.file != checkpoint_file(folder_, best_step_)) return;
  const std::string best = best_file(folder_);
  tell_(best_error_ ? fmt::format("warning: {} is not kept: {}", best, best_error_.message())
                    : fmt::format("{} is that of step {}", best, best_step_));
}

/// Without the last file there is nothing to go on to.
void Saver::tell_failed(const UserError& error, bool last) const {
  if (!last && config_.on_error == "continue") {
    return tell_(fmt::format("{}; training goes on without it (checkpoint.on_error=continue)",
                             error.what()));
  }
  if (world_.rank() > 0) throw AgreedRunError("");
  const std::optional<std::string> newest = newest_checkpoint(folder_);
  throw AgreedRunError(fmt::format(
      "{}; {}", error.what(),
      newest ? fmt::format("when that is mended, the same command goes on from {}", *newest)
             : "there is no checkpoint yet"));
}

}  // namespace rondo
