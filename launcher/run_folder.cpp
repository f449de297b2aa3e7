#include "launcher/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "base/user_error.h"
#include "launcher/start.h"

namespace rondo {
namespace {

void make_folder(const std::string& folder, const std::string& key) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (access(folder.c_str(), W_OK | X_OK) == 0 && std::filesystem::is_directory(folder)) return;
  throw UserError(
      fmt::format("cannot write into the folder {}; choose another with {}", folder, key));
}

}  // namespace

RunFolder::RunFolder(const Config& config) {
  const std::string& dir = config.log.dir;
  make_folder(dir, "log.dir");
  make_folder(checkpoint_dir(config), config.checkpoint.dir.empty() ? "log.dir" : "checkpoint.dir");
  lock_ = open((dir + "/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ >= 0 && flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(lock_);
    throw UserError(fmt::format(
        "another run is writing into {}; wait for it, or choose another with log.dir", dir));
  }
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
