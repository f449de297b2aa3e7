#include "launcher/reports/tensorboard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/user_error.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

TEST(Crc32c, GivesTheValuesOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(crc32c(""), 0U);
}

TEST(TfRecord, IsLengthAndPayloadEachWithAChecksum) {
  const std::string record = tf_record("abc");
  ASSERT_EQ(record.size(), 8U + 4U + 3U + 4U);
  EXPECT_EQ(record.substr(0, 8), std::string("\x03\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(record.substr(12, 3), "abc");
}

TEST(EventFile, BeginsWithItsVersionAndIsOnDiskAtOnce) {
  const fs::path folder =
      fs::temp_directory_path() / ("rondo_events_" + std::to_string(getpid())) / "tensorboard";
  const EventFile file(folder, 1);
  EXPECT_EQ(file.path().filename().string().rfind("events.out.tfevents.", 0), 0U);
  std::ostringstream text;
  text << std::ifstream(file.path()).rdbuf();
  EXPECT_NE(text.str().find("brain.Event:2"), std::string::npos);
  fs::remove_all(folder.parent_path());
}

TEST(EventFile, SaysThatItsFolderCannotBeMade) {
  EXPECT_THROW(EventFile("/dev/null/tensorboard", 1), UserError);
}

}  // namespace
}  // namespace rondo
