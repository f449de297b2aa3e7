#include "launcher/lost_files.h"

#include <csignal>
#include <string>

#include "base/mapped_file.h"
#include "distributed/comm/mpi_session.h"

namespace rondo {
namespace {

/// The fault is a read of ours, not within a library that holds a lock: what allocates may be
/// called.
void on_bus_error(int number, siginfo_t* info, void*) {
  const std::string path = mapped_path_at(info->si_addr);
  if (!path.empty()) {
    end_job(
        rank_prefix() + path +
        ": cannot be read any more: it was cut off, or its disk fails; restore it, and give the "
        "same command again");
  }
  std::signal(number, SIG_DFL);  // the instruction is tried again, and ends the process
}

}  // namespace

void name_lost_files() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace rondo
