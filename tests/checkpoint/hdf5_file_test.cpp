#include "checkpoint/format/hdf5_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <functional>
#include <numeric>

#include "checkpoint/format/byte_file.h"
#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

int64_t product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

/// The flat indices of a box, axis by axis.
std::vector<int64_t> flat_indices(const std::vector<int64_t>& shape, const Hyperslab& box) {
  std::vector<int64_t> indices = {0};
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    std::vector<int64_t> next;
    for (int64_t index : indices) {
      for (int64_t i = 0; i < box.count[axis]; ++i) {
        next.push_back(index * shape[axis] + box.start[axis] + i);
      }
    }
    indices = std::move(next);
  }
  return indices;
}

const std::vector<std::vector<int64_t>> some_shapes = {{7},       {3, 5},    {1, 4},      {4, 1},
                                                       {2, 3, 4}, {3, 1, 2}, {2, 2, 1, 3}};

TEST(Hyperslabs, CoverEveryFlatRangeInOrderWithFewBoxes) {
  for (const auto& shape : some_shapes) {
    for (int64_t begin = 0; begin <= product(shape); ++begin) {
      for (int64_t count = 0; begin + count <= product(shape); ++count) {
        std::vector<int64_t> covered;
        const auto boxes = hyperslabs(shape, begin, count);
        for (const Hyperslab& box : boxes) {
          const auto indices = flat_indices(shape, box);
          covered.insert(covered.end(), indices.begin(), indices.end());
        }
        std::vector<int64_t> expected(static_cast<size_t>(count));
        std::iota(expected.begin(), expected.end(), begin);
        EXPECT_EQ(covered, expected) << "begin " << begin << " count " << count;
        EXPECT_LE(boxes.size(), 2 * shape.size() - 1);
      }
    }
  }
}

/// A dataset that holds 0, 1, 2, …, written to its place in the file.
Hdf5File counting_file(const std::string& path, const std::vector<int64_t>& shape) {
  auto file = Hdf5File::create(path);
  file.create_dataset("/deep/down/x", shape, Hdf5Type::float64);
  const int64_t offset = file.offset("/deep/down/x");
  file.close();
  std::vector<double> values(static_cast<size_t>(product(shape)));
  std::iota(values.begin(), values.end(), 0.0);
  ByteFile::open(path).write(offset, values.data(), product(shape) * 8);
  return Hdf5File::open(path);
}

TEST(Hdf5File, ReadsEveryFlatRangeAsItWasWritten) {
  const TemporaryFolder folder;
  for (const auto& shape : some_shapes) {
    const int64_t size = product(shape);
    const Hdf5File file = counting_file(folder.file("a.h5"), shape);
    EXPECT_EQ(file.shape("/deep/down/x"), shape);
    for (int64_t begin = 0; begin <= size; ++begin) {
      for (int64_t count = 0; begin + count <= size; ++count) {
        std::vector<double> wide(static_cast<size_t>(count));
        std::iota(wide.begin(), wide.end(), static_cast<double>(begin));
        const std::vector<float> narrow(wide.begin(), wide.end());
        std::vector<double> as_double(static_cast<size_t>(count));
        std::vector<float> as_float(static_cast<size_t>(count));
        file.read("/deep/down/x", begin, count, Hdf5Type::float64, as_double.data());
        file.read("/deep/down/x", begin, count, Hdf5Type::float32, as_float.data());
        EXPECT_EQ(as_double, wide);
        EXPECT_EQ(as_float, narrow);
      }
    }
  }
}

TEST(Hdf5File, RefusesARangeOutsideTheDataset) {
  const TemporaryFolder folder;
  const Hdf5File file = counting_file(folder.file("a.h5"), {2, 3});
  double values[8] = {};
  const auto read = [&](int64_t begin, int64_t count) {
    file.read("/deep/down/x", begin, count, Hdf5Type::float64, values);
  };
  EXPECT_THROW(read(4, 3), Hdf5Error);
  EXPECT_THROW(read(-1, 2), Hdf5Error);
  EXPECT_THROW(read(2, -1), Hdf5Error);
  EXPECT_THROW(read(1, INT64_MAX), Hdf5Error);
  EXPECT_NO_THROW(read(0, 6));
}

TEST(Hdf5File, KeepsAttributesOfAnySize) {
  const TemporaryFolder folder;
  const std::string longer_than_an_object_header(200'000, 'x');
  {
    auto file = Hdf5File::create(folder.file("a.h5"));
    file.create_dataset("/group/x", {1}, Hdf5Type::float32);
    file.write_attribute("/", "text", longer_than_an_object_header);
    file.write_attribute("/", "empty", std::string());
    file.write_attribute("/", "number", int64_t{-5'000'000'000});
    file.write_attribute("/group/x", "number", int64_t{7});
    file.close();
  }
  const auto file = Hdf5File::open(folder.file("a.h5"));
  EXPECT_EQ(file.string_attribute("/", "text"), longer_than_an_object_header);
  EXPECT_EQ(file.string_attribute("/", "empty"), "");
  EXPECT_EQ(file.integer_attribute("/", "number"), -5'000'000'000);
  EXPECT_EQ(file.integer_attribute("/group/x", "number"), 7);
  EXPECT_EQ(file.string_attribute("/", "absent"), std::nullopt);
  EXPECT_EQ(file.integer_attribute("/", "absent"), std::nullopt);
  EXPECT_THROW(file.integer_attribute("/", "text"), Hdf5Error);
  EXPECT_THROW(file.string_attribute("/", "number"), Hdf5Error);
}

TEST(Hdf5File, ListsDatasetsWithTheirTypes) {
  const TemporaryFolder folder;
  auto file = Hdf5File::create(folder.file("a.h5"));
  file.create_dataset("/b/x", {1}, Hdf5Type::float64);
  file.create_dataset("/a", {1}, Hdf5Type::float32);
  EXPECT_EQ(file.datasets(), (std::vector<std::string>{"/a", "/b/x"}));
  EXPECT_EQ(file.type("/a"), Hdf5Type::float32);
  EXPECT_EQ(file.type("/b/x"), Hdf5Type::float64);
}

TEST(Hdf5File, SaysInOneLineWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string error =
      error_of<Hdf5Error>([&] { Hdf5File::create(folder.file("no/such/a.h5")); });
  EXPECT_NE(error.find("No such file or directory"), std::string::npos) << error;
  EXPECT_EQ(error.find('\n'), std::string::npos);
}

TEST(Hdf5File, IsReadAndWrittenWhereAnotherHoldsItsLock) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.h5");
  counting_file(path, {3, 5});
  const int other = open(path.c_str(), O_RDONLY);
  ASSERT_EQ(flock(other, LOCK_EX | LOCK_NB), 0);
  std::vector<double> values(15);
  Hdf5File::open(path).read("/deep/down/x", 0, 15, Hdf5Type::float64, values.data());
  EXPECT_EQ(values[14], 14.0);
  EXPECT_NO_THROW(Hdf5File::create(path).close());
  close(other);
}

}  // namespace
}  // namespace rondo
