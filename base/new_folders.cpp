#include "base/new_folders.h"

#include <sys/stat.h>
#include <unistd.h>

#include <system_error>

namespace rondo {

namespace fs = std::filesystem;

NewFolders::~NewFolders() {
  std::error_code gone;
  for (const fs::path& file : files_) fs::remove(file, gone);
  // Fails where somebody else has begun to use it.
  for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) {
    rmdir(folder->c_str());
  }
}

bool NewFolders::make(const fs::path& folder) {
  fs::path path;
  for (const fs::path& part : fs::absolute(folder).lexically_normal()) {
    path /= part;
    if (mkdir(path.c_str(), 0777) == 0) folders_.push_back(path);
  }
  std::error_code unknown;
  return access(folder.c_str(), W_OK | X_OK) == 0 && fs::is_directory(folder, unknown);
}

void NewFolders::keep() {
  folders_.clear();
  files_.clear();
}

}  // namespace rondo
