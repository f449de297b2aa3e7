// Files that appear under their name only when they are complete.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

namespace rondo {

/// Writes a file beside `path`, of this process' own; `publish` renames it to `path`. Without
/// `publish` the destructor removes it. Every failure (missing folder, full disk) is a UserError
/// that names the path.
class PartialFile {
 public:
  explicit PartialFile(std::string path);
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  ~PartialFile();

  void write(std::string_view bytes);
  /// The name until `publish`.
  const std::string& partial() const { return partial_; }
  /// Hands the last byte to the system; from then on only the rename is left. May be repeated.
  void close();
  /// `close`, then the rename.
  void publish();

 private:
  void check() const;

  std::string path_;
  std::string partial_;  ///< empty once there is nothing to remove
  std::ofstream stream_;
};

/// `text` as the file `path`, whole or not at all. Throws UserError.
void write_whole(const std::string& path, const std::string& text);

}  // namespace rondo
