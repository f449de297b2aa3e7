// An HDF5 file as attributes and row-major datasets, addressed by flat element ranges.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "checkpoint/format/hyperslab.h"

namespace rondo {

/// What HDF5 said, in one line. Callers add the file and turn it into a UserError.
class Hdf5Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Hdf5Type { float32, float64, uint8 };

/// An HDF5 id that closes itself.
class Hdf5Handle;
class Hdf5Dataset;

/// One open file; closed by the destructor. All functions throw Hdf5Error. MPI-IO is not used: the
/// bytes of a dataset are written straight to its `offset`, by whichever process holds them.
class Hdf5File {
 public:
  /// Whether the file begins like HDF5; false also for one that cannot be read.
  static bool has_signature(const std::string& path);
  /// Replaces a file of that name.
  static Hdf5File create(const std::string& path);
  /// For reading.
  static Hdf5File open(const std::string& path);

  Hdf5File(Hdf5File&&) noexcept;
  Hdf5File& operator=(Hdf5File&&) noexcept;
  ~Hdf5File();

  /// `object` is the absolute path of a group or dataset; "/" is the root.
  void write_attribute(const std::string& object, const std::string& name,
                       const std::string& value);
  void write_attribute(const std::string& object, const std::string& name, int64_t value);
  void write_attribute(const std::string& object, const std::string& name, double value);
  /// Empty when the object has no such attribute. A string may be stored at fixed or variable
  /// length, an integer at any width.
  std::optional<std::string> string_attribute(const std::string& object,
                                              const std::string& name) const;
  std::optional<int64_t> integer_attribute(const std::string& object,
                                           const std::string& name) const;
  std::optional<double> real_attribute(const std::string& object, const std::string& name) const;

  /// Creates the groups above it too, and lays out the space without writing it: row-major,
  /// contiguous, little-endian.
  void create_dataset(const std::string& path, const std::vector<int64_t>& shape, Hdf5Type type);
  /// Where in the file the dataset's first byte lies. Throws when its values are not in one piece
  /// in this file.
  int64_t offset(const std::string& path) const;
  /// Throws for a dataset whose values are missing, in another file, or behind a filter that this
  /// HDF5 does not have. In chunks or compressed they are read like others.
  void check_readable(const std::string& path) const;
  /// Absolute paths of all datasets, sorted.
  std::vector<std::string> datasets() const;
  std::vector<int64_t> shape(const std::string& path) const;
  /// Throws for a dataset of anything but 4 or 8 byte floats, or unsigned bytes.
  Hdf5Type type(const std::string& path) const;

  /// Flat elements [begin, begin + count) of the dataset as elements of `type`.
  void read(const std::string& path, int64_t begin, int64_t count, Hdf5Type type,
            void* values) const;

  /// Writes what is left; unlike the destructor it reports failure.
  void close();

 private:
  explicit Hdf5File(std::unique_ptr<Hdf5Handle> file);

  std::unique_ptr<Hdf5Handle> file_;
  mutable std::unique_ptr<Hdf5Dataset> open_;  ///< the last one that was read
};

}  // namespace rondo
