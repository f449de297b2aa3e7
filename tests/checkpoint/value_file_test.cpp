#include "checkpoint/format/value_file.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <system_error>

#include "tests/checkpoint/full_disk.h"
#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

std::string random_bytes(int64_t count) {
  std::mt19937_64 generator(static_cast<uint64_t>(count));
  std::string bytes(static_cast<size_t>(count), '\0');
  for (char& byte : bytes) byte = static_cast<char>(generator());
  return bytes;
}

std::string contents(const std::string& path) {
  const ByteFile file = ByteFile::open_to_read(path);
  std::string bytes(static_cast<size_t>(file.size()), '\0');
  file.read(0, bytes.data(), file.size());
  return bytes;
}

constexpr int64_t page = 4096;
constexpr int64_t block = int64_t{1} << 22;

TEST(ValueFile, WritesAnyRangeAndNothingBesideIt) {
  const TemporaryFolder folder;
  const std::string path = folder.file("values");
  for (const int64_t offset : {int64_t{0}, int64_t{1}, page - 1, page, 5 * page + 7}) {
    for (const int64_t count : {int64_t{0}, int64_t{1}, page, 16 * page, 17 * page + 5, block - 1,
                                block + page, 2 * block + 3}) {
      const std::string around = random_bytes(offset + count + 3 * page);
      const std::string values = random_bytes(count);
      {
        ValueFile file = ValueFile::create(path, 0);
        file.write(0, around.data(), static_cast<int64_t>(around.size()));
        ValueFile::open(path).write(offset, values.data(), count);
        file.sync();
      }
      std::string expected = around;
      expected.replace(static_cast<size_t>(offset), values.size(), values);
      EXPECT_TRUE(contents(path) == expected) << offset << " " << count;
    }
  }
}

TEST(ValueFile, JoinsRangesOfSeveralWritersWithinAPage) {
  const TemporaryFolder folder;
  const std::string path = folder.file("values");
  const std::string values = random_bytes(3 * block);
  ValueFile first = ValueFile::create(path, static_cast<int64_t>(values.size()));
  ValueFile second = ValueFile::open(path);
  const int64_t cut = block + 1001;
  second.write(cut, values.data() + cut, static_cast<int64_t>(values.size()) - cut);
  first.write(0, values.data(), cut);
  second.sync();
  first.sync();
  EXPECT_TRUE(contents(path) == values);
}

TEST(ValueFile, TakesItsRoomAtOnceOrSaysWhyNot) {
  const TemporaryFolder folder;
  ValueFile::create(folder.file("empty"), 100 * page);
  EXPECT_EQ(ByteFile::open_to_read(folder.file("empty")).size(), 100 * page);
  const FullDisk full;
  EXPECT_THROW(ValueFile::create(folder.file("large"), 100 * page), std::system_error);
}

}  // namespace
}  // namespace rondo
