// The file of a checkpoint while its values are written.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "checkpoint/format/byte_file.h"

namespace rondo {

/// Large writes go around the page cache, where the file system can: the pages of a file that
/// nobody reads soon cost memory that others want, and more time than the disk does. What they
/// leave over at either end goes through it. Several processes may write different parts at the
/// same time; failures throw std::runtime_error.
class ValueFile {
 public:
  /// Empty, with room for `bytes` taken from the disk at once.
  static ValueFile create(const std::string& path, int64_t bytes);
  /// One that is there already.
  static ValueFile open(const std::string& path);

  void write(int64_t offset, const void* bytes, int64_t count);
  /// What the kernel still holds goes to the disk.
  void sync() { cached_.sync(); }

 private:
  struct Free {
    void operator()(void* memory) const;
  };

  ValueFile(ByteFile cached, const std::string& path);
  void write_around(int64_t offset, const char* bytes, int64_t count);

  ByteFile cached_;
  std::optional<ByteFile> direct_;          ///< none where the file system knows no such thing
  std::unique_ptr<char, Free> block_ = {};  ///< what direct writes are made from, aligned
};

}  // namespace rondo
