// A job that must not end well: comm_job_end_test.cmake looks at how it ends. The last rank goes
// wrong as the first argument says; the others wait for it in a collective.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "distributed/comm/mpi_communicator.h"

namespace {

void go_wrong(const std::string& how, rondo::Communicator& world) {
  if (how == "absent") std::this_thread::sleep_for(std::chrono::minutes(10));
  if (how == "killed") std::raise(SIGKILL);
  if (how == "error") rondo::end_job("the last rank has run out of luck");
  if (how == "out_of_step") world.barrier();
  throw std::invalid_argument(how);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string how = argv[1];
  const double deadline_s = std::stod(argv[2]);
  const rondo::MpiSession session;
  const auto world = rondo::make_mpi_world(deadline_s);
  std::vector<int> everyone;
  for (int rank = 0; rank < world->size(); ++rank) everyone.push_back(rank);
  const auto groups = world->subgroups({{"replica group 0", everyone}});
  std::cout << "process " << getpid() << std::endl;
  world->barrier();

  if (world->rank() + 1 == world->size()) go_wrong(how, *world);
  std::vector<float> values(100000);
  groups[0]->all_reduce_sum({values.data(), 100000, rondo::ElementType::float32});
  return 0;
}
