// A file as bytes at offsets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rondo {

/// An open file; closed by the destructor. Failures throw std::runtime_error with the system's
/// reason. Several processes may write different parts of one file at the same time.
class ByteFile {
 public:
  /// Empty; replaces a file of that name.
  static ByteFile create(const std::string& path);
  /// One that is there already.
  static ByteFile open(const std::string& path);
  /// The same, whose writes go around the page cache: their offsets, lengths and addresses must be
  /// multiples of the disk's blocks. Nothing where the file system does not offer it.
  static std::optional<ByteFile> open_direct(const std::string& path);
  /// The same, only to be read.
  static ByteFile open_to_read(const std::string& path);
  /// Empty, in memory, of which only the pages that are written are taken. `name` becomes its path;
  /// the caller removes it.
  static ByteFile in_memory(std::string& name);

  ByteFile(ByteFile&& other) noexcept;
  ByteFile& operator=(ByteFile&& other) noexcept;
  ~ByteFile();

  int64_t size() const;
  /// Takes room for so many bytes from the disk, where the file system can; the file is then at
  /// least so long.
  void reserve(int64_t bytes);
  void write(int64_t offset, const void* bytes, int64_t count);
  void read(int64_t offset, void* bytes, int64_t count) const;
  /// What the kernel still holds goes to the disk.
  void sync();
  /// The same for the names in a folder, as after a rename.
  static void sync_folder(const std::string& path);

 private:
  ByteFile(int descriptor, const std::string& doing);

  int descriptor_;
};

/// Throws std::runtime_error when the disk of `folder` has less than so many bytes free, or no file
/// may become so long (`ulimit -f`).
void check_room(const std::string& folder, int64_t bytes);

}  // namespace rondo
