#include "launcher/commands/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <string>

#include "base/user_error.h"
#include "distributed/comm/agree.h"
#include "distributed/comm/mpi_communicator.h"
#include "distributed/comm/peer_watch.h"
#include "launcher/commands/error_line.h"

namespace rondo {
namespace {

/// A number in the environment, or none.
int64_t number_in(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : std::strtoll(text, nullptr, 10);
}

/// Whether this is the script of a Slurm job, which one process runs for all tasks to come.
bool is_batch_script() {
  return std::getenv("SLURM_JOB_ID") != nullptr && std::getenv("SLURM_STEP_ID") == nullptr &&
         number_in("SLURM_PROCID") == 0;
}

/// Processes that a launcher started together, by its own word and not MPI's; 0 where it gives
/// none.
struct Launched {
  int64_t tasks = 0;
  const char* instead = "";  ///< what MPI would have understood
};

Launched launched() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return {};
  if (std::getenv("SLURM_PROCID") != nullptr && !is_batch_script()) {
    const int64_t step = number_in("SLURM_STEP_NUM_TASKS");
    return {step > 0 ? step : number_in("SLURM_NTASKS"), "srun --mpi=pmix"};
  }
  return {number_in("PMI_SIZE"), "the mpirun of Open MPI"};
}

/// Without a common MPI each task would do the whole job alone. Throws UserError.
void check_all_are_seen(int64_t ranks) {
  const auto [tasks, instead] = launched();
  if (ranks > 1 || tasks <= 1) return;
  throw UserError(fmt::format("{} tasks, but MPI sees 1: start them with {}", tasks, instead));
}

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
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  return rank == nullptr || std::string(rank) == "0";
}

void run_job(const ReadWords& read_words, const std::function<void(Communicator& host)>& body) {
  const bool alone = !has_launcher();
  if (alone && !read_words(/*speaks=*/true)) return;
  const MpiSession session;
  const PeerWatch peers;
  const std::unique_ptr<Communicator> host = make_mpi_world(setup_deadline_s);
  check_all_are_seen(host->size());
  try {
    bool goes_on = true;
    if (!alone) agree(*host, [&] { goes_on = read_words(host->rank() == 0); });
    if (goes_on) body(*host);
  } catch (const AgreedError& error) {
    print_error(error);
    throw AgreedError("");
  } catch (const AgreedRunError& error) {
    print_error(error);
    throw AgreedRunError("");
  } catch (const std::exception& error) {
    if (host->size() == 1 && !wants_memory(error)) throw;
    end_job(rank_prefix() + error_line(error));
  }
}

}  // namespace rondo
