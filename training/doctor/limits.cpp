#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>

#include "base/counted.h"
#include "base/quantity.h"
#include "base/user_error.h"
#include "training/doctor/checks.h"
#include "training/machine/memory.h"

namespace rondo {
namespace {

/// The limit that holds; infinity for none.
double limit_of(int resource) {
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0 ||
      limit.rlim_cur == RLIM_INFINITY) {
    return std::numeric_limits<double>::infinity();
  }
  return static_cast<double>(limit.rlim_cur);
}

struct Limit {
  int resource;
  double least;
  const char* about;
  const char* cure;
};

constexpr double gigabyte = 1e9;
constexpr std::array limits = {
    Limit{RLIMIT_NOFILE, 1024, "open files", "ulimit -n 4096"},
    Limit{RLIMIT_FSIZE, 1e6 * gigabyte, "bytes of a file", "ulimit -f unlimited"},
    Limit{RLIMIT_AS, 1e6 * gigabyte, "bytes of memory", "ulimit -v unlimited"},
};

int cores_here() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
}

/// Bytes that this process' control group may have; infinity for no bound.
double group_memory() {
  std::ifstream file("/sys/fs/cgroup/memory.max");
  double bytes = 0;
  return file >> bytes ? bytes : std::numeric_limits<double>::infinity();
}

/// Bytes that the system could still give.
double available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string name, unit; file >> name;) {
    double kilobytes = 0;
    file >> kilobytes;
    std::getline(file, unit);
    if (name == "MemAvailable:") return 1024.0 * kilobytes;
  }
  return 0.0;
}

Finding cores(const Config& config, int ranks_here) {
  const int64_t wanted = config.train.threads * ranks_here;
  const int have = cores_here();
  // Ranks that are bound each to cores of their own see no others.
  if (have >= wanted || (have >= config.train.threads && have < ranks_here)) {
    return {Grade::fine, "cores",
            fmt::format("{} of {} each; a rank may use {}", counted(int64_t{ranks_here}, "rank"),
                        counted(config.train.threads, "thread"), counted(int64_t{have}, "core"))};
  }
  return {Grade::warning, "cores",
          fmt::format("{} of {} each share {}: start fewer ranks, or lower train.threads",
                      counted(int64_t{ranks_here}, "rank"), counted(config.train.threads, "thread"),
                      counted(int64_t{have}, "core"))};
}

Finding memory() {
  const double free = available_memory();
  const double bound = group_memory();
  const std::string group = bound < 1e15 ? fmt::format(", {}B for this job", format_si(bound)) : "";
  const std::string text = fmt::format("{}B free{}", format_si(free), group);
  if (free > gigabyte && bound > gigabyte) return {Grade::fine, "memory", text};
  return {Grade::warning, "memory", text + ": ask for more (sbatch --mem), or end what takes it"};
}

/// Open MPI and NCCL pass messages within a node through it.
Finding shared_memory(int ranks_here) {
  struct statvfs info {};
  if (statvfs("/dev/shm", &info) != 0) {
    return {Grade::warning, "memory", "there is no /dev/shm, through which ranks of a node talk"};
  }
  const double size = static_cast<double>(info.f_blocks) * static_cast<double>(info.f_frsize);
  const double wanted = 3.2e7 * ranks_here;
  if (size >= wanted) {
    return {Grade::fine, "memory", fmt::format("/dev/shm holds {}B", format_si(size))};
  }
  return {Grade::warning, "memory",
          fmt::format("/dev/shm holds {}B, and {} want {}B: start the container with --shm-size",
                      format_si(size), counted(int64_t{ranks_here}, "rank"), format_si(wanted))};
}

}  // namespace

Findings check_memory_need(const Config& config, const ModelDefinition& model, int world_size,
                           int ranks_here) {
  if (config.distributed.backend != "mpi") return {};
  const MemoryNeed need = memory_need(config, model, world_size);
  try {
    check_fits(need, physical_memory(), ranks_here);
  } catch (const UserError& error) {
    return {{Grade::failure, "memory", error.what()}};
  }
  const double free = std::min(available_memory(), group_memory());
  const std::string text =
      fmt::format("the run keeps {}B or more on each of {} here", format_si(need.total()),
                  counted(int64_t{ranks_here}, "rank"));
  if (need.total() * ranks_here <= free) return {{Grade::fine, "memory", text}};
  return {{Grade::warning, "memory",
           fmt::format("{}, and {}B are free: end what takes the rest, or start fewer ranks", text,
                       format_si(free))}};
}

Findings check_limits(const Config& config, int ranks_here) {
  Findings found = {cores(config, ranks_here), memory(), shared_memory(ranks_here)};
  std::string small;
  for (const auto& [resource, least, about, cure] : limits) {
    const double limit = limit_of(resource);
    if (limit >= least) continue;
    small += fmt::format("{}at most {:.0f} {}: {}", small.empty() ? "" : "; ", limit, about, cure);
  }
  found.push_back(small.empty()
                      ? Finding{Grade::fine, "limits", "open files, sizes, memory: enough"}
                      : Finding{Grade::warning, "limits", small});
  return found;
}

}  // namespace rondo
