// The seal: bytes after the HDF5 part of a checkpoint's file, by which plain reads find damage.
// HDF5 1.10 trusts its own metadata: one bit can send it to any address.
//
//   begin, end              of each byte range that is not values, in order
//   ranges, checksum, magic the checksum is over the bytes of the ranges and over their list
//
// All are 8 bytes. HDF5 ignores them; when it opens the file for writing it cuts them off, so that
// a file that another program has changed has no seal.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "checkpoint/format/byte_file.h"

namespace rondo {

/// begin → end, ascending and apart.
using ByteRanges = std::map<int64_t, int64_t>;

/// The seal of a file that holds `bytes` in `ranges`, one after the other, and values between them.
/// The last range ends where HDF5's part does.
std::string seal(const ByteRanges& ranges, const std::string& bytes);

/// Returns whether there is a seal. Throws std::runtime_error, in one line, when it is broken, or
/// when there is none and the file is not as long as HDF5 left it. What it lets pass HDF5 may open.
bool check_seal(const ByteFile& file);

}  // namespace rondo
