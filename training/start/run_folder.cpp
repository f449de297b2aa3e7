#include "training/start/run_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <system_error>

#include "base/new_folders.h"
#include "base/partial_file.h"
#include "base/user_error.h"
#include "checkpoint/format/checkpoint.h"
#include "training/start/start.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

/// ": notes.txt is a file", where that is what stands in the way of a folder.
std::string obstacle(fs::path folder) {
  std::error_code absent;
  while (!fs::exists(folder, absent) && folder.has_parent_path()) folder = folder.parent_path();
  if (!fs::exists(folder, absent) || fs::is_directory(folder, absent)) return "";
  return fmt::format(": {} is a file", folder.string());
}

void make_folder(const std::string& folder, const std::string& key, NewFolders& made) {
  if (made.make(folder)) return;
  throw UserError(fmt::format("cannot write into the folder {}{}; choose another with {}", folder,
                              obstacle(folder), key));
}

[[noreturn]] void refuse_held(const std::string& folder, const std::string& key) {
  throw UserError(fmt::format(
      "another run is writing into {}; wait for it, or choose another with {}", folder, key));
}

FolderLock lock_folder(const std::string& folder, const std::string& key, NewFolders& made) {
  const std::string file = lock_file(folder);
  FolderLock lock(file);
  if (lock.made()) made.add_file(file);
  if (!lock.held()) refuse_held(folder, key);
  return lock;
}

/// Who writes into a folder: a number that a run draws once, and the folder of its log.
struct Owner {
  std::string id;
  std::string log_dir;
};

/// Moves the config of the steps up to `step` aside where `text` is another one.
void keep_earlier_config(const std::string& dir, const std::string& text, int64_t step) {
  const std::string name = dir + "/config.toml";
  std::ifstream file(name);
  const std::string before{std::istreambuf_iterator<char>(file), {}};
  if (before.empty() || before == text) return;
  std::error_code error;
  fs::rename(name, fmt::format("{}/config-until-{:08}.toml", dir, step), error);
}

/// Empty where there is no such file.
Owner read_owner(const std::string& file) {
  std::ifstream in(file);
  Owner owner;
  std::getline(in, owner.id);
  std::getline(in, owner.log_dir);
  return owner;
}

void write_owner(const std::string& file, const Owner& owner) {
  write_whole(file, fmt::format("{}\n{}\n", owner.id, owner.log_dir));
}

std::string new_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

/// A run keeps its number in the folder of its log, so that both folders may be moved or copied.
std::string id_file(const std::string& log_dir) { return log_dir + "/.run"; }
std::string owner_file(const std::string& checkpoints) { return checkpoints + "/.owner"; }

/// The run of this log, as far as it is known.
Owner owner_of(const std::string& log_dir) {
  return {read_owner(id_file(log_dir)).id, fs::absolute(log_dir).lexically_normal().string()};
}

/// Checkpoints of two runs would be mixed, and one run would delete those of the other.
void check_owner(const std::string& log_dir, const std::string& checkpoints) {
  const Owner own = owner_of(log_dir);
  const Owner owner = read_owner(owner_file(checkpoints));
  const bool free = owner.id.empty() || list_checkpoints(checkpoints).empty();
  if (free || owner.id == own.id || owner.log_dir == own.log_dir) return;
  throw UserError(
      fmt::format("checkpoint.dir = \"{}\" holds the checkpoints of the run in {}; choose another "
                  "checkpoint.dir, go on with log.dir={}, or remove {} to take them over",
                  checkpoints, owner.log_dir, owner.log_dir, owner_file(checkpoints)));
}

void claim(const std::string& log_dir, const std::string& checkpoints) {
  check_owner(log_dir, checkpoints);
  Owner own = owner_of(log_dir);
  if (own.id.empty()) own.id = new_id();
  write_owner(id_file(log_dir), own);
  write_owner(owner_file(checkpoints), own);
}

/// The key that chooses the folder of checkpoints.
std::string checkpoint_key(const Config& config) {
  return config.checkpoint.dir.empty() ? "log.dir" : "checkpoint.dir";
}

}  // namespace

void check_free(const Config& config) {
  const std::string checkpoints = checkpoint_dir(config);
  if (is_locked(lock_file(checkpoints))) refuse_held(checkpoints, checkpoint_key(config));
  if (is_locked(lock_file(config.log.dir))) refuse_held(config.log.dir, "log.dir");
  check_owner(config.log.dir, checkpoints);
}

RunFolder::RunFolder(const Config& config, const std::string& config_text,
                     std::optional<int64_t> resumed) {
  const std::string& dir = config.log.dir;
  const std::string checkpoints = checkpoint_dir(config);
  const std::string key = checkpoint_key(config);
  check_free(config);
  NewFolders made;
  make_folder(dir, "log.dir", made);
  make_folder(checkpoints, key, made);
  locks_.push_back(lock_folder(checkpoints, key, made));
  if (!fs::equivalent(dir, checkpoints)) locks_.push_back(lock_folder(dir, "log.dir", made));
  claim(dir, checkpoints);
  const bool over = resumed && *resumed >= config.train.steps;
  if (!over || !fs::exists(dir + "/config.toml")) {
    if (resumed) keep_earlier_config(dir, config_text, *resumed);
    write_whole(dir + "/config.toml", config_text);
  }
  made.keep();
}

}  // namespace rondo
