// Every collective on real devices, one rank per device. Exit code 77 means NOT RUN.
#include <cuda_runtime_api.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "distributed/comm/mpi_communicator.h"
#include "distributed/comm/nccl_communicator.h"

namespace {

using rondo::Buffer;
using rondo::ElementType;

constexpr int not_run = 77;
constexpr double deadline_s = 60;
constexpr int64_t count = 12 * 100003;  // equal parts on 1, 2, 3 and 4 ranks

void expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("not so: " + what);
}

/// `count` floats on the device, all `value`.
class DeviceFloats {
 public:
  explicit DeviceFloats(float value) {
    expect(cudaMalloc(&data_, count * sizeof(float)) == cudaSuccess, "cudaMalloc");
    write(std::vector<float>(count, value), 0);
  }
  ~DeviceFloats() { cudaFree(data_); }
  DeviceFloats(const DeviceFloats&) = delete;
  DeviceFloats& operator=(const DeviceFloats&) = delete;

  void write(const std::vector<float>& values, int64_t begin) {
    expect(cudaMemcpy(static_cast<float*>(data_) + begin, values.data(),
                      values.size() * sizeof(float), cudaMemcpyHostToDevice) == cudaSuccess,
           "cudaMemcpy");
  }
  bool all_are(float value, int64_t begin, int64_t end) const {
    std::vector<float> values(end - begin);
    expect(cudaMemcpy(values.data(), static_cast<float*>(data_) + begin,
                      values.size() * sizeof(float), cudaMemcpyDeviceToHost) == cudaSuccess,
           "cudaMemcpy");
    return values == std::vector<float>(end - begin, value);
  }
  Buffer buffer() const { return {data_, count, ElementType::float32}; }

 private:
  void* data_ = nullptr;
};

/// All collectives of `group`, whose member `rank` puts in rank + 1.
void check_collectives(rondo::Communicator& group) {
  const int size = group.size();
  const int64_t part = count / size;
  const int64_t own = part * group.rank();
  const auto own_value = static_cast<float>(group.rank() + 1);
  const auto sum = static_cast<float>(size * (size + 1) / 2);

  DeviceFloats reduced(own_value);
  group.all_reduce_sum(reduced.buffer());
  expect(reduced.all_are(sum, 0, count), "all_reduce_sum sums on " + group.name());

  DeviceFloats scattered(own_value);
  group.reduce_scatter_sum(scattered.buffer());
  expect(scattered.all_are(sum, own, own + part), "reduce_scatter_sum sums on " + group.name());

  DeviceFloats gathered(-1);
  gathered.write(std::vector<float>(part, own_value), own);
  group.all_gather(gathered.buffer());
  for (int rank = 0; rank < size; ++rank) {
    expect(gathered.all_are(static_cast<float>(rank + 1), part * rank, part * (rank + 1)),
           "all_gather gathers on " + group.name());
  }

  DeviceFloats sent(own_value);
  group.broadcast(sent.buffer(), size - 1);
  expect(sent.all_are(static_cast<float>(size), 0, count), "broadcast sends on " + group.name());

  group.barrier();
  const int64_t once = 4 * count / size * (size - 1);
  expect(group.traffic().reduce == 3 * once, "reductions are counted on " + group.name());
  expect(group.traffic().gather == once, "gathers are counted on " + group.name());
}

/// Calls on the side stream: two sums in a row, and a ring of messages of which each rank receives
/// before it sends, but the last one.
void check_started_calls(rondo::Communicator& group) {
  const int size = group.size();
  const auto sum = static_cast<float>(size * (size + 1) / 2);
  DeviceFloats reduced(static_cast<float>(group.rank() + 1));
  const auto first = group.start_all_reduce_sum(reduced.buffer());
  const auto second = group.start_all_reduce_sum(reduced.buffer());
  second->wait();
  first->wait();
  expect(reduced.all_are(sum * static_cast<float>(size), 0, count), "started sums follow in order");
  if (size == 1) return;
  DeviceFloats out(static_cast<float>(group.rank() + 1));
  DeviceFloats in(0);
  const int left = (group.rank() + size - 1) % size;
  const int right = (group.rank() + 1) % size;
  const bool sends_first = group.rank() + 1 == size;
  auto send = sends_first ? group.start_send(out.buffer(), right) : nullptr;
  group.start_receive(in.buffer(), left)->wait();
  if (!send) send = group.start_send(out.buffer(), right);
  send->wait();
  expect(in.all_are(static_cast<float>(left + 1), 0, count), "messages arrive");
  expect(group.traffic().activation == 4 * count, "messages are counted");
}

void check_world(rondo::Communicator& host) {
  const auto world = rondo::make_nccl_world(host, {deadline_s, nullptr});
  check_collectives(*world);
  check_started_calls(*world);
  std::vector<rondo::Group> groups{{"all", {}}, {"all but the last", {}}};
  for (int rank = 0; rank < host.size(); ++rank) {
    groups[0].ranks.push_back(rank);
    if (rank == 0 || rank + 1 < host.size()) groups[1].ranks.push_back(rank);
    groups.push_back({"rank " + std::to_string(rank), {rank}});
  }
  for (const auto& group : world->subgroups(groups)) {
    if (group) check_collectives(*group);
  }
}

}  // namespace

int main() {
  const rondo::MpiSession session;
  const auto host = rondo::make_mpi_world(deadline_s);
  const int devices = rondo::cuda_device_count();
  if (devices < host->size()) {
    if (host->rank() == 0) {
      std::cout << "NOT RUN: "
                << (devices == 0 ? "no CUDA device" : "fewer CUDA devices than ranks") << std::endl;
    }
    return not_run;
  }
  try {
    expect(cudaSetDevice(host->rank()) == cudaSuccess, "cudaSetDevice");
    check_world(*host);
  } catch (const std::exception& error) {
    rondo::end_job(error.what());
  }
  if (host->rank() == 0) std::cout << "passed on " << host->size() << " device(s)" << std::endl;
  return 0;
}
