#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>

#include "base/quantity.h"
#include "base/seconds_since.h"
#include "distributed/comm/agree.h"
#include "training/doctor/checks.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t part = size_t{1} << 22;  // bytes of a rank

class Descriptor {
 public:
  Descriptor(const std::string& file, int flags) : number_(open(file.c_str(), flags, 0600)) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  operator int() const {
    return number_;
  }  // NOLINT(google-explicit-constructor): as the calls take it

 private:
  int number_;
};

std::string reason() { return std::generic_category().message(errno); }

std::vector<char> contents(int rank) {
  return std::vector<char>(part, static_cast<char>('a' + rank % 26));
}

/// What is wrong with writing this rank's part; empty for nothing.
std::string write_part(const std::string& file, int rank) {
  const Descriptor out(file, O_WRONLY | O_CREAT | O_CLOEXEC);
  if (out < 0) return reason();
  const std::vector<char> bytes = contents(rank);
  const auto place = static_cast<off_t>(part * static_cast<size_t>(rank));
  if (pwrite(out, bytes.data(), part, place) != static_cast<ssize_t>(part)) return reason();
  return fsync(out) == 0 ? "" : reason();
}

/// The same of reading the next rank's.
std::string read_part(const std::string& file, int rank) {
  const Descriptor in(file, O_RDONLY | O_CLOEXEC);
  if (in < 0) return reason();
  std::vector<char> bytes(part, 0);
  const auto place = static_cast<off_t>(part * static_cast<size_t>(rank));
  if (pread(in, bytes.data(), part, place) != static_cast<ssize_t>(part)) {
    return "the file is shorter than what was written";
  }
  return bytes == contents(rank) ? "" : fmt::format("what rank {} wrote is not what is read", rank);
}

/// Whether another rank can take the lock that rank 0 holds.
bool takes_lock(const std::string& file) {
  const Descriptor lock(file, O_RDWR | O_CLOEXEC);
  return lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
}

/// Names travel late on some network file systems.
bool appears(const std::string& file) {
  const Clock::time_point begin = Clock::now();
  while (!fs::exists(file) && seconds_since(begin) < 5.0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return fs::exists(file);
}

/// A folder that nobody needs, for as long as the check takes.
class Scratch {
 public:
  Scratch(const std::string& folder, Communicator& host) : host_(host) {
    fs::path there = fs::absolute(folder);
    while (!fs::exists(there)) there = there.parent_path();
    below_ = there.string();
    path_ = (there / ".rondo-doctor").string();
    std::error_code error;
    if (host.rank() == 0) fs::create_directories(path_, error);
    complaint_ = first_complaint(host, error ? error.message() : "");
  }
  ~Scratch() {
    std::error_code ignored;
    if (host_.rank() == 0) fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// The part of `folder` that exists.
  const std::string& below() const { return below_; }
  const std::string& complaint() const { return complaint_; }

 private:
  Communicator& host_;
  std::string below_;
  std::string path_;
  std::string complaint_;
};

Finding room(const std::string& folder) {
  struct statvfs info {};
  statvfs(folder.c_str(), &info);
  const double bytes = static_cast<double>(info.f_bavail) * static_cast<double>(info.f_frsize);
  const std::string text = fmt::format("{} has room for {}B", folder, format_si(bytes));
  if (bytes > 1e9) return {Grade::fine, "files", text};
  return {Grade::warning, "files",
          text + ": make room, or choose another log.dir or checkpoint.dir"};
}

Finding locks(const std::string& file, Communicator& host) {
  const Descriptor own(file, O_RDWR | O_CREAT | O_CLOEXEC);
  const bool held = host.rank() > 0 || flock(own, LOCK_EX | LOCK_NB) == 0;
  host.barrier();
  const bool taken = host.rank() + 1 == host.size() && host.rank() > 0 && takes_lock(file);
  const std::string wrong = first_complaint(host, !held   ? "cannot be taken"
                                                  : taken ? "are not seen by all ranks"
                                                          : "");
  if (wrong.empty()) return {Grade::fine, "files", "locks keep other runs out"};
  return {
      Grade::warning, "files",
      fmt::format("locks {}: nothing keeps two runs out of one folder (mount with flock)", wrong)};
}

}  // namespace

Findings check_files(const std::string& folder, Communicator& host) {
  const Scratch scratch(folder, host);
  const auto failed = [&](const std::string& what, const std::string& why) -> Findings {
    return {{Grade::failure, "files",
             fmt::format("{}: {}: {}; choose another log.dir or checkpoint.dir", scratch.below(),
                         what, why)}};
  };
  if (!scratch.complaint().empty()) return failed("no folder can be made", scratch.complaint());
  const std::string partial = scratch.file("file.partial");
  host.barrier();
  const Clock::time_point begin = Clock::now();
  const std::string unwritten = first_complaint(host, write_part(partial, host.rank()));
  const double seconds = seconds_since(begin);
  if (!unwritten.empty()) return failed("all ranks cannot write into one file", unwritten);
  const int next = (host.rank() + 1) % host.size();
  const std::string unread = first_complaint(host, read_part(partial, next));
  if (!unread.empty()) return failed("ranks do not read what others wrote", unread);
  const std::string whole = scratch.file("file");
  std::error_code error;
  if (host.rank() == 0) fs::rename(partial, whole, error);
  std::string unnamed = first_complaint(host, error ? error.message() : "");
  if (unnamed.empty()) {
    unnamed = first_complaint(
        host, appears(whole) ? "" : fmt::format("rank {} does not see the new name", host.rank()));
  }
  if (!unnamed.empty()) return failed("a file cannot be renamed", unnamed);
  const double bytes = static_cast<double>(part) * host.size();
  Findings found = {{Grade::fine, "files",
                     fmt::format("{}: all ranks write into one file ({}B/s to the disk), read each "
                                 "other's part and see its new name",
                                 scratch.below(), format_si(bytes / seconds))}};
  found.push_back(locks(scratch.file("lock"), host));
  found.push_back(room(scratch.below()));
  host.barrier();
  return found;
}

}  // namespace rondo
