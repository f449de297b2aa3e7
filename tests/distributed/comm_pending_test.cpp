// Messages and collectives that run behind the caller's back, on as many ranks as mpirun gives.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "distributed/comm/call_queue.h"
#include "distributed/comm/mpi_communicator.h"

namespace rondo {
namespace {

constexpr double deadline_s = 60;

Buffer buffer_of(std::vector<double>& values) {
  return {values.data(), static_cast<int64_t>(values.size()), ElementType::float64};
}

/// What rank `from` sends as its n-th message.
std::vector<double> message(int from, int n, int64_t count) {
  std::vector<double> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 1000.0 * from + 100.0 * n);
  return values;
}

class PendingCalls : public testing::Test {
 protected:
  std::unique_ptr<Communicator> world_ = make_mpi_world(deadline_s);
  int rank_ = world_->rank();
  int size_ = world_->size();
};

/// Small ones fit into the transport's own buffers, large ones wait for the receiver.
TEST_F(PendingCalls, MessagesArriveInTheOrderInWhichTheyWereSent) {
  for (const int64_t count : {1, 1000, 300000}) {
    std::vector<std::vector<double>> out, in;
    std::vector<std::unique_ptr<Pending>> calls;
    constexpr int messages = 4;
    for (int n = 0; n < messages; ++n) {
      for (int peer = 0; peer < size_; ++peer) {
        out.push_back(message(rank_, n, count));
        in.emplace_back(static_cast<size_t>(count));
      }
    }
    for (size_t k = 0; k < out.size(); ++k) {
      const int peer = static_cast<int>(k) % size_;
      if (peer == rank_) continue;
      calls.push_back(world_->start_send(buffer_of(out[k]), peer));
      calls.push_back(world_->start_receive(buffer_of(in[k]), peer));
    }
    for (const auto& call : calls) call->wait();
    for (const auto& call : calls) EXPECT_TRUE(call->done());
    for (size_t k = 0; k < in.size(); ++k) {
      const int peer = static_cast<int>(k) % size_;
      if (peer == rank_) continue;
      EXPECT_EQ(in[k], message(peer, static_cast<int>(k) / size_, count)) << "from " << peer;
    }
  }
  const int64_t bytes = (1 + 1000 + 300000) * 8;
  EXPECT_EQ(world_->traffic().activation, 4 * (size_ - 1) * bytes);
  EXPECT_EQ(world_->traffic().reduce, 0);
}

TEST_F(PendingCalls, CollectivesThatWereStartedGiveWhatTheOthersGive) {
  const int64_t count = int64_t{60000} * size_;
  std::vector<std::vector<double>> started(3, message(rank_, 0, count));
  std::vector<std::vector<double>> called = started;
  std::vector<std::unique_ptr<Pending>> calls;
  calls.push_back(world_->start_all_reduce_sum(buffer_of(started[0])));
  calls.push_back(world_->start_reduce_scatter_sum(buffer_of(started[1])));
  calls.push_back(world_->start_all_gather(buffer_of(started[2])));
  for (const auto& call : calls) call->wait();
  const SentBytes half = world_->traffic();
  world_->all_reduce_sum(buffer_of(called[0]));
  world_->reduce_scatter_sum(buffer_of(called[1]));
  world_->all_gather(buffer_of(called[2]));
  EXPECT_EQ(started[0], called[0]);
  EXPECT_EQ(started[2], called[2]);
  const auto part = [&](const std::vector<double>& whole) {
    const auto begin = whole.begin() + count / size_ * rank_;
    return std::vector<double>(begin, begin + count / size_);
  };
  EXPECT_EQ(part(started[1]), part(called[1]));
  EXPECT_EQ(world_->traffic().reduce, 2 * half.reduce);
  EXPECT_EQ(world_->traffic().gather, 2 * half.gather);
}

TEST_F(PendingCalls, ABlockingCallComesAfterWhatWasStartedBeforeIt) {
  std::vector<int> everyone(static_cast<size_t>(size_));
  std::iota(everyone.begin(), everyone.end(), 0);
  const auto groups = world_->subgroups({{"a", everyone}, {"b", everyone}});
  std::vector<double> sum(300000, 1.0);
  const auto first = groups[0]->start_all_reduce_sum(buffer_of(sum));
  groups[1]->all_reduce_sum(buffer_of(sum));
  first->wait();
  EXPECT_EQ(sum.front(), size_ * size_);
  EXPECT_EQ(sum.back(), size_ * size_);
}

TEST_F(PendingCalls, MessagesTravelWhileASumIsUnderWay) {
  if (size_ == 1) return;
  std::vector<double> sum(2000000, 1.0);
  const auto reduce = world_->start_all_reduce_sum(buffer_of(sum));
  std::vector<double> out = message(rank_, 0, 100000), in(100000);
  const auto receive = world_->start_receive(buffer_of(in), (rank_ + size_ - 1) % size_);
  const auto send = world_->start_send(buffer_of(out), (rank_ + 1) % size_);
  receive->wait();
  EXPECT_EQ(in, message((rank_ + size_ - 1) % size_, 0, 100000));
  send->wait();
  reduce->wait();
  EXPECT_EQ(sum[1234567], size_);
}

TEST(CallQueue, HandsAnErrorToWhoWaits) {
  CallQueue queue([] {});
  std::future<void> good = queue.start([] {});
  std::future<void> bad = queue.start([] { throw std::runtime_error("no"); });
  std::future<void> behind = queue.start([] {});
  EXPECT_NO_THROW(good.get());
  EXPECT_THROW(bad.get(), std::runtime_error);
  EXPECT_NO_THROW(behind.get());
}

TEST(CallQueue, LooksAfterMessagesUntilThereAreNone) {
  std::promise<void> looked;
  bool first = true;
  CallQueue queue([&] {
    if (std::exchange(first, false)) looked.set_value();
  });
  queue.message_started();
  looked.get_future().wait();
  queue.message_finished();
}

}  // namespace
}  // namespace rondo
