#include "tests/checkpoint/damage.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <random>
#include <utility>

#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;
using Random = std::mt19937_64;

int64_t draw(Random& random, int64_t first, int64_t last) {
  return std::uniform_int_distribution<int64_t>(first, last)(random);
}

std::string draw_bytes(Random& random, int64_t count) {
  std::string bytes(static_cast<size_t>(count), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

/// A place in `where`: a quarter each near its begin and its end.
int64_t draw_place(Random& random, const Vulnerable& where) {
  constexpr int64_t near = 1024;
  const int64_t first = where.begin;
  const int64_t last = where.end - 1;
  switch (draw(random, 0, 3)) {
    case 0:
      return draw(random, first, std::min(first + near, last));
    case 1:
      return draw(random, std::max(last - near, first), last);
    default:
      return draw(random, first, last);
  }
}

struct Change {
  std::string what;
  std::function<void(std::string& bytes)> make;
};

Change flipped_bit(Random& random, const Vulnerable& where) {
  const auto at = static_cast<size_t>(draw_place(random, where));
  const int64_t bit = draw(random, 0, 7);
  return {fmt::format("bit {} of byte {} flipped", bit, at),
          [=](std::string& bytes) { bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit)); }};
}

Change burst(Random& random, const Vulnerable& where) {
  const int64_t at = draw_place(random, where);
  const int64_t length = std::min(draw(random, 2, 64), where.end - at);
  const std::string noise = draw_bytes(random, length);
  return {fmt::format("{} bytes at {} overwritten", length, at),
          [=](std::string& bytes) { bytes.replace(static_cast<size_t>(at), noise.size(), noise); }};
}

Change zeroed_block(Random& random, const Vulnerable& where) {
  const int64_t at = draw_place(random, where);
  const int64_t length = std::min(int64_t{1} << draw(random, 0, 12), where.end - at);
  return {fmt::format("{} bytes at {} zeroed", length, at),
          [=](std::string& bytes) { std::fill_n(bytes.begin() + at, length, '\0'); }};
}

Change swapped_blocks(Random& random, const Vulnerable& where) {
  const int64_t most = where.end - where.begin;
  const int64_t length = std::min(int64_t{1} << draw(random, 3, 12), most / 2);
  const int64_t blocks = most / length;
  const int64_t one = where.begin + draw(random, 0, blocks - 1) * length;
  const int64_t other = where.begin + draw(random, 0, blocks - 1) * length;
  return {fmt::format("blocks of {} at {} and {} swapped", length, one, other),
          [=](std::string& bytes) {
            std::swap_ranges(bytes.begin() + one, bytes.begin() + one + length,
                             bytes.begin() + other);
          }};
}

Change cut_off(Random& random, const Vulnerable&) {
  const double share = draw(random, 0, 4) == 0 ? 0.0 : std::uniform_real_distribution<>()(random);
  return {fmt::format("cut off at {} of its length", share), [=](std::string& bytes) {
            bytes.resize(static_cast<size_t>(share * static_cast<double>(bytes.size())));
          }};
}

Change extended(Random& random, const Vulnerable&) {
  const int64_t length = draw(random, 1, 10'000);
  const bool zeros = draw(random, 0, 1) == 0;
  const std::string more =
      zeros ? std::string(static_cast<size_t>(length), '\0') : draw_bytes(random, length);
  return {fmt::format("extended by {} {}", length, zeros ? "zeros" : "bytes of noise"),
          [=](std::string& bytes) { bytes += more; }};
}

}  // namespace

std::vector<Damage> byte_damages(const Vulnerable& where, uint64_t seed, int count) {
  constexpr std::array kinds = {flipped_bit,    flipped_bit, burst,   zeroed_block,
                                swapped_blocks, cut_off,     extended};
  std::vector<Damage> damages;
  Random random(seed);
  for (int i = 0; i < count; ++i) {
    const Change change = kinds[static_cast<size_t>(i) % kinds.size()](random, where);
    damages.push_back({fmt::format("seed {}, number {}: {}: {}", seed, i, where.file, change.what),
                       [=](const std::string& folder) {
                         const std::string path = fmt::format("{}/{}", folder, where.file);
                         std::string bytes = read_file(path);
                         change.make(bytes);
                         write_file(path, bytes);
                       }});
  }
  return damages;
}

Damage written(const std::string& name, const std::string& bytes, const std::string& description) {
  return {fmt::format("{}: {}", name, description), [=](const std::string& folder) {
            write_file(fmt::format("{}/{}", folder, name), bytes);
          }};
}

std::vector<Damage> replacements(const std::string& file) {
  const auto replaced = [&](const char* what, void (*make)(const fs::path& path)) {
    return Damage{fmt::format("{}: {} in its place", file, what), [=](const std::string& folder) {
                    fs::remove(fs::path(folder) / file);
                    make(fs::path(folder) / file);
                  }};
  };
  return {replaced("nothing", [](const fs::path&) {}),
          replaced("an empty file", [](const fs::path& path) { write_file(path, ""); }),
          replaced("a text", [](const fs::path& path) { write_file(path, "some text\n"); }),
          replaced("a long text",
                   [](const fs::path& path) { write_file(path, std::string(100'000, 'x')); }),
          replaced("a folder", [](const fs::path& path) { fs::create_directory(path); }),
          replaced("a pipe", [](const fs::path& path) { mkfifo(path.c_str(), 0600); }),
          replaced("a link to itself",
                   [](const fs::path& path) { fs::create_symlink(path.filename(), path); }),
          replaced("a link to nothing",
                   [](const fs::path& path) { fs::create_symlink("nowhere", path); })};
}

}  // namespace rondo
