#include "launcher/commands/source_files.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "base/user_error.h"

namespace rondo {

namespace fs = std::filesystem;

std::string source_file(const std::string& asker, const std::string& name) {
  if (const char* source = std::getenv("RONDO_SOURCE")) {
    const fs::path file = fs::path(source) / name;
    if (fs::exists(file)) return file.string();
    throw UserError(
        fmt::format("{}: RONDO_SOURCE = {}: there is no {} in it", asker, source, name));
  }
  const fs::path program = fs::read_symlink("/proc/self/exe");
  const fs::path installed = program.parent_path().parent_path() / "share" / "rondo" / name;
  if (fs::exists(installed)) return installed.string();
  for (fs::path folder = program.parent_path(); folder != folder.parent_path();
       folder = folder.parent_path()) {
    if (fs::exists(folder / name)) return (folder / name).string();
  }
  throw UserError(
      fmt::format("{}: there is no {} above {}; set RONDO_SOURCE to the folder of rondo's sources",
                  asker, name, program.string()));
}

}  // namespace rondo
