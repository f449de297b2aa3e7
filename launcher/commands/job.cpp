#include "launcher/commands/job.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <string>

#include "base/user_error.h"
#include "distributed/comm/agree.h"
#include "distributed/comm/mpi_communicator.h"

namespace rondo {
namespace {

/// Of the calls that set a job up; training has its own, `distributed.deadline_s`.
constexpr double setup_deadline_s = 300;

/// Whether mpirun, srun or another launcher started this process, as one rank of several perhaps.
bool has_launcher() {
  constexpr std::array variables = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK",
                                    "SLURM_PROCID"};
  return std::any_of(variables.begin(), variables.end(),
                     [](const char* name) { return std::getenv(name) != nullptr; });
}

}  // namespace

bool is_first_of_job() {
  constexpr std::array variables = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                    "SLURM_PROCID"};
  for (const char* name : variables) {
    if (const char* rank = std::getenv(name)) return std::string(rank) == "0";
  }
  return true;
}

void run_job(const ReadWords& read_words, const std::function<void(Communicator& host)>& body) {
  const bool alone = !has_launcher();
  if (alone && !read_words(/*speaks=*/true)) return;
  const MpiSession session;
  const std::unique_ptr<Communicator> host = make_mpi_world(setup_deadline_s);
  try {
    bool goes_on = true;
    if (!alone) agree(*host, [&] { goes_on = read_words(host->rank() == 0); });
    if (goes_on) body(*host);
  } catch (const AgreedError&) {
    throw;
  } catch (const std::exception& error) {
    if (host->size() == 1) throw;
    const std::string text = error.what();  // LibTorch adds a stack trace behind the first line
    end_job(text.substr(0, text.find('\n')));
  }
}

}  // namespace rondo
