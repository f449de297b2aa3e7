// A throw-away config folder, and the message of a failure.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>

#include "base/user_error.h"

namespace rondo {

using ConfigFiles = std::map<std::string, std::string>;  ///< relative name → text

/// Holds the given files while it lives.
class ConfigFolder {
 public:
  explicit ConfigFolder(const ConfigFiles& files) {
    std::string name = (std::filesystem::temp_directory_path() / "rondo_config_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
    for (const auto& [file, text] : files) write(file, text);
  }
  ~ConfigFolder() { std::filesystem::remove_all(path_); }
  ConfigFolder(const ConfigFolder&) = delete;
  ConfigFolder& operator=(const ConfigFolder&) = delete;

  void write(const std::string& file, const std::string& text) const {
    const std::filesystem::path full = std::filesystem::path(path_) / file;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  const std::string& path() const { return path_; }
  std::string path(const std::string& file) const { return path_ + "/" + file; }

 private:
  std::string path_;
};

/// `what()` of the UserError that `action` must throw; the message must be one line.
template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const UserError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  ADD_FAILURE() << "no UserError was thrown";
  return "";
}

/// Model and batch of a small valid config.
inline const std::string small_model =
    "[model]\nhidden = 64\ndepth = 4\nheads = 4\nffn = 128\nvocab = 256\n";

}  // namespace rondo
