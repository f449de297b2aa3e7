#include "data/dataset/indexed_dataset.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "tests/data/scratch_folder.h"

namespace rondo {
namespace {

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size();) {
    if (hex[i] == ' ') {
      ++i;
      continue;
    }
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    i += 2;
  }
  return bytes;
}

/// Two documents of uint16 tokens: [1, 2, 513] and [65000].
const std::string example_bin = from_hex("0100 0200 0102 e8fd");
const std::string example_idx = from_hex(
    "4d4d49444944580000"                                  // magic
    "0100000000000000 08"                                 // version, uint16
    "0200000000000000 0300000000000000"                   // sequences, documents + 1
    "03000000 01000000"                                   // lengths
    "0000000000000000 0600000000000000"                   // byte offsets
    "0000000000000000 0100000000000000 0200000000000000"  // documents
);
constexpr size_t version_at = 9, type_at = 17, sequences_at = 18, bounds_at = 26, lengths_at = 34;
constexpr size_t offsets_at = 42, documents_at = 58;

template <typename T>
std::string patched(std::string bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(T));
  return bytes;
}

class IndexedDatasetFiles : public ::testing::Test {
 protected:
  IndexedDataset open(const std::string& bin, const std::string& idx) const {
    folder_.write("corpus.bin", bin);
    folder_.write("corpus.idx", idx);
    return IndexedDataset(prefix_);
  }
  std::string error(const std::string& bin, const std::string& idx) const {
    return user_error([&] { open(bin, idx); });
  }
  std::vector<int64_t> all(const IndexedDataset& data) const {
    std::vector<int64_t> tokens(static_cast<size_t>(data.tokens()));
    data.read(0, tokens);
    return tokens;
  }

  ScratchFolder folder_;
  std::string prefix_ = folder_.path("corpus");
};

TEST_F(IndexedDatasetFiles, ReadTheReferenceLayout) {
  const IndexedDataset data = open(example_bin, example_idx);
  EXPECT_EQ(all(data), (std::vector<int64_t>{1, 2, 513, 65000}));
  std::vector<int64_t> middle(2);
  data.read(1, middle);
  EXPECT_EQ(middle, (std::vector<int64_t>{2, 513}));
  ASSERT_EQ(data.documents(), 2);
  EXPECT_EQ(data.document(0).begin, 0);
  EXPECT_EQ(data.document(0).end, 3);
  EXPECT_EQ(data.document(1).begin, 3);
  EXPECT_EQ(data.document(1).end, 4);
}

TEST_F(IndexedDatasetFiles, AreWrittenInTheReferenceLayout) {
  IndexedDatasetWriter writer(prefix_, 65499);
  writer.append(std::vector<int64_t>{1, 2});
  writer.append(std::vector<int64_t>{513});
  writer.end_document();
  writer.append(std::vector<int64_t>{65000});
  writer.end_document();
  writer.finish();
  EXPECT_EQ(folder_.read("corpus.bin"), example_bin);
  EXPECT_EQ(folder_.read("corpus.idx"), example_idx);
}

TEST_F(IndexedDatasetFiles, StoreInt32FromAVocabularyOf65500) {
  IndexedDatasetWriter writer(prefix_, 65500);
  writer.append(std::vector<int64_t>{65499});
  writer.finish();
  EXPECT_EQ(folder_.read("corpus.bin"), from_hex("dbff0000"));
  EXPECT_EQ(folder_.read("corpus.idx")[type_at], 4);
  EXPECT_EQ(all(IndexedDataset(prefix_)), (std::vector<int64_t>{65499}));
}

TEST_F(IndexedDatasetFiles, ReadEveryIntegerType) {
  const auto as = [&](std::string_view bin, uint8_t code, int64_t bytes) {
    std::string idx = patched(example_idx, type_at, code);
    idx = patched(idx, offsets_at + 8, 3 * bytes);
    return all(open(from_hex(bin), idx));
  };
  EXPECT_EQ(as("010203ff", 1, 1), (std::vector<int64_t>{1, 2, 3, 255}));
  EXPECT_EQ(as("010203ff", 2, 1), (std::vector<int64_t>{1, 2, 3, -1}));
  EXPECT_EQ(as("010002000300ffff", 3, 2), (std::vector<int64_t>{1, 2, 3, -1}));
  EXPECT_EQ(as("01000000020000000300000000000100", 4, 4), (std::vector<int64_t>{1, 2, 3, 65536}));
  EXPECT_EQ(as("0100000000000000020000000000000003000000000000000000000001000000", 5, 8),
            (std::vector<int64_t>{1, 2, 3, int64_t{1} << 32}));
}

TEST_F(IndexedDatasetFiles, MayCarryTheModesOfAMultimodalSet) {
  EXPECT_EQ(open(example_bin, example_idx + std::string(2, '\0')).tokens(), 4);
}

TEST_F(IndexedDatasetFiles, SplitLongDocumentsIntoSequences) {
  IndexedDatasetWriter writer(prefix_, 256, 4);
  std::vector<int64_t> tokens(10);
  std::iota(tokens.begin(), tokens.end(), 0);
  writer.append(tokens);
  writer.end_document();
  writer.append(std::vector<int64_t>{7});
  writer.finish();
  const std::string idx = folder_.read("corpus.idx");
  const auto lengths = idx.substr(lengths_at, 16);
  EXPECT_EQ(lengths, from_hex("04000000 04000000 02000000 01000000"));
  const IndexedDataset data(prefix_);
  EXPECT_EQ(data.documents(), 2);
  EXPECT_EQ(data.document(0).end, 10);
  EXPECT_EQ(data.document(1).end, 11);
  tokens.push_back(7);
  EXPECT_EQ(all(data), tokens);
}

TEST_F(IndexedDatasetFiles, AreRefusedWhenTheIndexIsCutAnywhere) {
  for (size_t size = 0; size < example_idx.size(); ++size) {
    const std::string line = error(example_bin, example_idx.substr(0, size));
    EXPECT_TRUE(contains(line, "corpus.idx: truncated")) << size << ": " << line;
  }
}

TEST_F(IndexedDatasetFiles, AreRefusedWhenTheTokensAreCutAnywhere) {
  for (size_t size = 0; size < example_bin.size(); ++size) {
    EXPECT_TRUE(contains(error(example_bin.substr(0, size), example_idx), "corpus")) << size;
  }
  EXPECT_TRUE(contains(error(example_bin + example_bin, example_idx), "holds 8 tokens"));
}

TEST_F(IndexedDatasetFiles, SurviveEveryDamagedByteOfTheIndex) {
  for (size_t at = 0; at < example_idx.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string idx = example_idx;
      idx[at] = static_cast<char>(idx[at] ^ flip);
      std::optional<IndexedDataset> opened;
      try {
        opened.emplace(open(example_bin, idx));
      } catch (const UserError&) {
        continue;
      }
      // Another split into documents, or a signed type of the same width, cannot be told from the
      // truth; what was opened must be readable.
      EXPECT_EQ(all(*opened).size(), 4U) << at;
      for (int64_t i = 0; i < opened->documents(); ++i) EXPECT_LE(opened->document(i).end, 4);
    }
  }
}

TEST_F(IndexedDatasetFiles, AreRefusedWithHostileCounts) {
  for (const uint64_t count : {~uint64_t{0}, uint64_t{1} << 63, uint64_t{1} << 61,
                               (uint64_t{1} << 62) + 2, (~uint64_t{0} - 33) / 12, uint64_t{3}}) {
    EXPECT_TRUE(
        contains(error(example_bin, patched(example_idx, sequences_at, count)), "truncated"))
        << count;
    if (count == 3) continue;
    EXPECT_TRUE(contains(error(example_bin, patched(example_idx, bounds_at, count)), "truncated"))
        << count;
  }
  EXPECT_TRUE(
      contains(error(example_bin, patched(example_idx, bounds_at, uint64_t{1})), "too long"));
}

TEST_F(IndexedDatasetFiles, AreRefusedWithHostileArrays) {
  const auto refused = [&](size_t at, auto value, std::string_view why) {
    const std::string line = error(example_bin, patched(example_idx, at, value));
    EXPECT_TRUE(contains(line, why)) << line;
  };
  refused(lengths_at, int32_t{-1}, "has length -1");
  refused(lengths_at, int32_t{0x7FFFFFFF}, "has length");
  refused(lengths_at + 4, int32_t{0}, "lists 3");
  refused(offsets_at, int64_t{-2}, "begins at byte -2");
  refused(offsets_at + 8, int64_t{5}, "begins at byte 5, expected 6");
  refused(offsets_at + 8, int64_t{1} << 62, "expected 6");
  refused(documents_at, int64_t{1}, "out of order");
  refused(documents_at + 8, int64_t{-1}, "out of order");
  refused(documents_at + 8, int64_t{3}, "out of order");
  refused(documents_at + 16, int64_t{1}, "end at sequence 1 of 2");
}

TEST_F(IndexedDatasetFiles, AreRefusedWhenForeign) {
  EXPECT_TRUE(
      contains(error(example_bin, "PK\x03\x04 something else entirely, long enough"), "MMIDIDX"));
  EXPECT_TRUE(
      contains(error(example_bin, patched(example_idx, version_at, uint64_t{2})), "version 2"));
  for (const int code : {0, 6, 7, 9, 255}) {
    const std::string line =
        error(example_bin, patched(example_idx, type_at, static_cast<uint8_t>(code)));
    EXPECT_TRUE(contains(line, "token type " + std::to_string(code))) << line;
  }
}

TEST_F(IndexedDatasetFiles, AreNamedWhenMissing) {
  EXPECT_TRUE(
      contains(user_error([&] { IndexedDataset data(prefix_); }), "corpus.bin: cannot open"));
  folder_.write("corpus.bin", example_bin);
  EXPECT_TRUE(
      contains(user_error([&] { IndexedDataset data(prefix_); }), "corpus.idx: cannot open"));
}

TEST_F(IndexedDatasetFiles, AreRefusedWhenEmpty) {
  const std::string no_sequence =
      patched(example_idx.substr(0, lengths_at), sequences_at, uint64_t{0});
  const std::string idx = patched(no_sequence, bounds_at, uint64_t{1}) + std::string(8, '\0');
  EXPECT_TRUE(contains(error("", idx), "holds no token"));
  EXPECT_TRUE(contains(error(example_bin, idx), "holds no token"));
}

TEST_F(IndexedDatasetFiles, NameTheFirstTokenOutsideTheVocabulary) {
  const IndexedDataset data = open(example_bin, example_idx);
  data.check_vocab({0, data.tokens()}, 65001);
  EXPECT_TRUE(contains(user_error([&] {
                         data.check_vocab({0, data.tokens()}, 65000);
                       }),
                       "token 65000 at position 3"));
  EXPECT_TRUE(contains(user_error([&] {
                         data.check_vocab({0, data.tokens()}, 2);
                       }),
                       "token 2 at position 1"));
  const IndexedDataset negative =
      open(from_hex("0100 ffff 0102 e8fd"), patched(example_idx, type_at, '\3'));
  EXPECT_TRUE(contains(user_error([&] {
                         negative.check_vocab({0, negative.tokens()}, 65001);
                       }),
                       "token -1 at position 1"));
}

TEST_F(IndexedDatasetFiles, AreScannedToTheLastToken) {
  IndexedDatasetWriter writer(prefix_, 300);
  writer.append(std::vector<int64_t>(200000, 5));
  writer.append(std::vector<int64_t>{299});
  writer.finish();
  const IndexedDataset data(prefix_);
  EXPECT_TRUE(contains(user_error([&] {
                         data.check_vocab({0, data.tokens()}, 299);
                       }),
                       "token 299 at position 200000"));
}

TEST_F(IndexedDatasetFiles, CannotBeReadBeyondTheirEnd) {
  const IndexedDataset data = open(example_bin, example_idx);
  std::vector<int64_t> two(2);
  EXPECT_THROW(data.read(3, two), std::out_of_range);
  EXPECT_THROW(data.read(-1, two), std::out_of_range);
  EXPECT_THROW(data.read(std::numeric_limits<int64_t>::max(), two), std::out_of_range);
  EXPECT_THROW(data.document(2), std::out_of_range);
}

TEST_F(IndexedDatasetFiles, OutliveAnotherProcessThatWritesTheSame) {
  IndexedDatasetWriter writer(prefix_, 256);
  writer.append(std::vector<int64_t>{1, 2, 3});
  const pid_t other = fork();
  if (other == 0) {
    IndexedDatasetWriter same(prefix_, 256);
    same.append(std::vector<int64_t>{4, 5});
    same.finish();
    _exit(0);
  }
  waitpid(other, nullptr, 0);
  EXPECT_EQ(IndexedDataset(prefix_).tokens(), 2);
  writer.finish();
  EXPECT_EQ(IndexedDataset(prefix_).tokens(), 3);
}

TEST_F(IndexedDatasetFiles, SweepAwayWhatAKilledProcessLeft) {
  const pid_t killed = fork();
  if (killed == 0) _exit(0);
  waitpid(killed, nullptr, 0);
  folder_.write("corpus.bin." + std::to_string(killed) + ".partial", "half");
  folder_.write("corpus.bin." + std::to_string(getppid()) + ".partial", "its writer lives");
  folder_.write("corpus.bin.mine.partial", "not a process");
  { const IndexedDatasetWriter writer(prefix_, 256); }
  EXPECT_EQ(folder_.names(),
            (std::set<std::string>{"corpus.bin." + std::to_string(getppid()) + ".partial",
                                   "corpus.bin.mine.partial"}));
}

TEST_F(IndexedDatasetFiles, AppearOnlyWhenFinished) {
  {
    IndexedDatasetWriter writer(prefix_, 256);
    writer.append(std::vector<int64_t>{1, 2, 3});
    writer.close();
    const std::string own = "." + std::to_string(getpid()) + ".partial";
    EXPECT_EQ(folder_.names(), (std::set<std::string>{"corpus.bin" + own, "corpus.idx" + own}));
  }
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(IndexedDatasetFiles, AreNotWrittenWithoutTokensOrWithForeignOnes) {
  EXPECT_TRUE(
      contains(user_error([&] { IndexedDatasetWriter(prefix_, 256).finish(); }), "no token"));
  IndexedDatasetWriter writer(prefix_, 256);
  const auto append = [&](int64_t token) { writer.append(std::vector<int64_t>{token}); };
  EXPECT_TRUE(contains(user_error([&] { append(256); }), "token 256"));
  EXPECT_TRUE(contains(user_error([&] { append(-1); }), "token -1"));
}

}  // namespace
}  // namespace rondo
