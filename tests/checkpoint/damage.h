// What may happen to a file, each with a description that is enough to make it again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace rondo {

struct Damage {
  std::string description;
  std::function<void(const std::string& folder)> inflict;  ///< on the files that lie in `folder`
};

/// Bytes [begin, end) of a file, which nothing but a check can tell from right ones.
struct Vulnerable {
  std::string file;  ///< its name in the folder
  int64_t begin = 0;
  int64_t end = 0;
};

/// `count` damages drawn from `seed`: bits flipped, bursts overwritten, blocks zeroed and swapped,
/// all within `where` and a good part of them near its ends; files cut off and extended, anywhere.
std::vector<Damage> byte_damages(const Vulnerable& where, uint64_t seed, int count);

/// Something else lies in the place of `file`: nothing, text, a folder, ….
std::vector<Damage> replacements(const std::string& file);

/// The file FOLDER/NAME holds `bytes`.
Damage written(const std::string& name, const std::string& bytes, const std::string& description);

}  // namespace rondo
