#include "launcher/job.h"

#include <exception>

#include "base/user_error.h"
#include "distributed/comm/mpi_communicator.h"
#include "launcher/agree.h"

namespace rondo {
namespace {

/// Of the calls that set a job up; training has its own, `distributed.deadline_s`.
constexpr double setup_deadline_s = 300;

}  // namespace

void run_job(const std::function<void(Communicator& host)>& body) {
  const MpiSession session;
  const std::unique_ptr<Communicator> host = make_mpi_world(setup_deadline_s);
  try {
    body(*host);
  } catch (const AgreedError&) {
    throw;
  } catch (const std::exception& error) {
    if (host->size() == 1 && dynamic_cast<const UserError*>(&error) != nullptr) throw;
    const std::string text = error.what();  // LibTorch adds a stack trace behind the first line
    end_job(text.substr(0, text.find('\n')));
  }
}

}  // namespace rondo
