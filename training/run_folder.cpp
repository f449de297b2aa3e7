#include "training/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

#include "base/user_error.h"
#include "training/start.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

/// The highest of the folders that `folder` lies in, or itself, that is not there yet; else empty.
fs::path first_missing(fs::path folder) {
  fs::path missing;
  std::error_code unreadable;
  for (folder = fs::absolute(folder).lexically_normal(); !fs::exists(folder, unreadable);
       folder = folder.parent_path()) {
    missing = folder;
  }
  return missing;
}

/// Makes folders, and takes them back unless all of them could be made.
class NewFolders {
 public:
  ~NewFolders() {
    std::error_code error;
    for (const fs::path& folder : made_) fs::remove_all(folder, error);
  }
  void make(const std::string& folder, const std::string& key) {
    const fs::path missing = first_missing(folder);
    std::error_code error;
    fs::create_directories(folder, error);
    if (!missing.empty()) made_.push_back(missing);
    if (access(folder.c_str(), W_OK | X_OK) == 0 && fs::is_directory(folder)) return;
    throw UserError(
        fmt::format("cannot write into the folder {}; choose another with {}", folder, key));
  }
  void keep() { made_.clear(); }

 private:
  std::vector<fs::path> made_;
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

}  // namespace

RunFolder::RunFolder(const Config& config, std::optional<int64_t> resumed) {
  const std::string& dir = config.log.dir;
  NewFolders folders;
  folders.make(dir, "log.dir");
  folders.make(checkpoint_dir(config),
               config.checkpoint.dir.empty() ? "log.dir" : "checkpoint.dir");
  folders.keep();
  lock_ = open((dir + "/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ >= 0 && flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(lock_);
    throw UserError(fmt::format(
        "another run is writing into {}; wait for it, or choose another with log.dir", dir));
  }
  const bool over = resumed && *resumed >= config.train.steps;
  if (over && fs::exists(dir + "/config.toml")) return;
  if (resumed) keep_earlier_config(dir, to_toml(config), *resumed);
  std::ofstream file(dir + "/config.toml");
  file << to_toml(config);
  if (!file.flush()) {
    throw UserError(fmt::format("cannot write {}/config.toml; choose another log.dir", dir));
  }
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) close(lock_);
}

}  // namespace rondo
