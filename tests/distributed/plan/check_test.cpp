#include "distributed/plan/schedule/check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule.h"
#include "distributed/plan/schedule/schedule_text.h"
#include "tests/distributed/plan/small_model.h"

namespace rondo {
namespace {

/// Executes a lowered program on values: an independent judge of what `check` proves. Every call
/// blocks until its peers make the matching one, so the outcome does not depend on timing.
class Machine {
 public:
  Machine(const Program& program, const StepSpec& step)
      : program_(program), step_(step), next_(program.size(), 0), live_(program.size(), 0) {}

  /// Whether the program ends with every gradient summed exactly once.
  bool executes() {
    for (bool moved = true; moved && right_;) {
      moved = false;
      for (size_t rank = 0; rank < program_.size() && right_; ++rank) {
        if (next_[rank] < program_[rank].size() && step(rank)) moved = true;
      }
    }
    return right_ && finished();
  }

 private:
  /// Of one (chunk, microbatch): how often its values were made, and where they are.
  struct Cell {
    std::set<size_t> input_on, gradient_on;  ///< ranks that have the input / the output's gradient
    bool output = false, input_gradient = false;
    int weight_gradients = 0;
  };

  Cell& cell(int chunk, int i) { return cells_[{chunk, i}]; }
  const Action& now(size_t rank) const { return program_[rank][next_[rank]]; }
  size_t home(int chunk) const { return static_cast<size_t>(step_.placement.rank_of(chunk)); }

  bool step(size_t rank) {
    const auto& [op, k, i, group] = now(rank);
    if (is_receive(op)) return false;
    if (is_send(op)) return transfer(rank);
    if (op == Op::reduce) return sum();
    compute(rank, op, k, i);
    ++next_[rank];
    return true;
  }

  void compute(size_t rank, Op op, int k, int i) {
    const int last = step_.placement.size() - 1;
    Cell& here = cell(k, i);
    right_ = right_ && home(k) == rank;
    if (op == Op::forward) {
      const bool local = k > 0 && home(k - 1) == rank && cell(k - 1, i).output;
      right_ = right_ && !here.output && (k == 0 || local || here.input_on.count(rank) > 0);
      here.output = true;
      right_ = right_ && ++live_[rank] <= step_.live_bounds[rank];
    }
    if (gives_input_gradient(op)) {
      const bool local = k < last && home(k + 1) == rank && cell(k + 1, i).input_gradient;
      const bool given = k == last || local || here.gradient_on.count(rank) > 0;
      right_ = right_ && here.output && !here.input_gradient && given;
      here.input_gradient = true;
    }
    if (gives_weight_gradient(op)) {
      right_ = right_ && here.input_gradient && ++here.weight_gradients == 1;
      --live_[rank];
      for (const auto& [g, ranks] : summed_) {
        const auto& chunks = step_.groups[g].chunks;
        const bool late = std::count(chunks.begin(), chunks.end(), k) > 0;
        right_ = right_ && !late;
      }
    }
  }

  bool transfer(size_t rank) {
    const auto& [op, k, i, group] = now(rank);
    const bool activation = op == Op::send_activation;
    const int target = activation ? k + 1 : k - 1;
    if (target < 0 || target >= step_.placement.size()) return right_ = false;
    const size_t peer = home(target);
    if (next_[peer] == program_[peer].size() || !is_receive(now(peer).op)) return false;
    const auto& [their_op, their_chunk, their_i, their_group] = now(peer);
    const bool theirs = their_op == Op::receive_activation;
    if (their_chunk + (theirs ? -1 : 1) < 0) return right_ = false;
    if (home(their_chunk + (theirs ? -1 : 1)) != rank) return false;  // waits for another rank
    const bool exists = activation ? cell(k, i).output : cell(k, i).input_gradient;
    const bool same = theirs == activation && their_chunk == target && their_i == i;
    right_ = right_ && exists && same && home(k) == rank && peer != rank;
    auto& places = activation ? cell(target, i).input_on : cell(target, i).gradient_on;
    right_ = right_ && places.insert(peer).second;
    ++next_[rank];
    ++next_[peer];
    return true;
  }

  bool sum() {
    for (size_t g = 0; g < step_.groups.size(); ++g) {
      const std::vector<int> ranks = step_.groups[g].pipeline_ranks;
      const Action reduce = reduce_action(static_cast<int>(g));
      const bool together = std::all_of(ranks.begin(), ranks.end(), [&](int r) {
        const auto rank = static_cast<size_t>(r);
        return next_[rank] < program_[rank].size() && now(rank) == reduce;
      });
      if (!together) continue;
      right_ = right_ && summed_.emplace(static_cast<int>(g), ranks.size()).second;
      for (int rank : ranks) ++next_[rank];
      return true;
    }
    return false;
  }

  bool finished() {
    for (size_t rank = 0; rank < program_.size(); ++rank) {
      if (next_[rank] < program_[rank].size()) return false;
    }
    for (int k = 0; k < step_.placement.size(); ++k) {
      for (int i = 0; i < step_.microbatches; ++i) {
        if (cell(k, i).weight_gradients != 1) return false;
      }
    }
    return summed_.size() == step_.groups.size();
  }

  const Program& program_;
  const StepSpec& step_;
  std::vector<size_t> next_;
  std::vector<int> live_;
  std::map<std::pair<int, int>, Cell> cells_;
  std::map<int, size_t> summed_;
  bool right_ = true;
};

bool executes(const Program& program, const StepSpec& step) {
  return Machine(program, step).executes();
}

struct Sample {
  Program program;
  StepSpec step;
};

Sample sample(std::mt19937& random) {
  const auto upto = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  static const std::vector<std::string> routes = {"+", "++", "+-", "++-", "+-+-", "-+"};
  static const std::vector<std::string> strategies = {"none", "universal", "cycle:2", "sequence:2"};
  const int pipeline = 1 + upto(4);
  const std::string& route = routes[upto(6)];
  const int depth = pipeline * static_cast<int>(route.size()) + upto(3);
  const std::string& strategy = strategies[depth < 3 ? 0 : static_cast<size_t>(upto(4))];
  const bool tied = upto(2) == 0;
  const ModelDefinition model =
      small_model(make_sharing_map({strategy}, depth), tied, upto(2) == 0);
  Sample made;
  made.step.placement = make_placement({pipeline, route}, model);
  made.step.microbatches = 1 + upto(6);
  made.step.groups = summed_groups(model, made.step.placement, 1 + upto(2));
  const ScheduleOptions options{static_cast<ScheduleKind>(upto(4)), made.step.microbatches};
  made.step.live_bounds = live_bounds(options, made.step.placement);
  made.program =
      lower(generate(options, made.step.placement), made.step.placement, made.step.groups);
  return made;
}

enum class Defect { dropped, doubled, swapped, swapped_neighbours };

/// One random defect in one random list.
Program broken(Program program, Defect defect, std::mt19937& random) {
  const auto upto = [&](size_t n) { return static_cast<size_t>(random() % n); };
  RankProgram& list = program[upto(program.size())];
  const size_t at = upto(list.size());
  const size_t other = defect == Defect::swapped ? upto(list.size()) : (at + 1) % list.size();
  const auto position = [&](size_t i) { return list.begin() + static_cast<std::ptrdiff_t>(i); };
  if (defect == Defect::dropped) {
    list.erase(position(at));
  } else if (defect == Defect::doubled) {
    list.insert(position(upto(list.size() + 1)), Action(list[at]));
  } else {
    std::swap(list[at], list[other]);
  }
  return program;
}

TEST(Check, RejectsEveryRandomDefectThatHarms) {
  std::mt19937 random(20240607);
  std::map<Defect, int> accepted;
  for (int n = 0; n < 500; ++n) {
    const Sample good = sample(random);
    ASSERT_EQ(check(good.program, good.step), std::vector<std::string>()) << to_csv(good.program);
    ASSERT_TRUE(executes(good.program, good.step)) << to_csv(good.program);
    for (int i = 0; i < 20; ++i) {
      const auto defect = static_cast<Defect>(i % 4);
      const Program bad = broken(good.program, defect, random);
      const bool passes = check(bad, good.step).empty();
      if (passes) {
        ASSERT_TRUE(executes(bad, good.step)) << to_csv(good.program) << to_csv(bad);
        ++accepted[defect];
      } else if (defect == Defect::swapped_neighbours) {
        // Nor does it reject what runs, as far as one swap goes.
        ASSERT_FALSE(executes(bad, good.step)) << check(bad, good.step).front() << "\n"
                                               << to_csv(good.program) << to_csv(bad);
      }
    }
  }
  EXPECT_EQ(accepted[Defect::dropped], 0);
  EXPECT_EQ(accepted[Defect::doubled], 0);
  EXPECT_GT(accepted[Defect::swapped_neighbours], 100);  // some do no harm
}

/// Two ranks, two microbatches, a universal block with a copy on each.
Sample small() {
  const ModelDefinition model = small_model(make_sharing_map({"universal"}, 2), false);
  Sample made;
  made.step.placement = make_placement({2, "contiguous"}, model);
  made.step.microbatches = 2;
  made.step.groups = summed_groups(model, made.step.placement, 1);
  made.step.live_bounds = {2, 1};
  made.program = from_csv(
      "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0REDUCE_GRAD\n"
      "1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1,0REDUCE_GRAD\n");
  return made;
}

std::string first_complaint(const std::string& csv) {
  Sample s = small();
  s.program = from_csv(csv);
  const std::vector<std::string> complaints = check(s.program, s.step);
  return complaints.empty() ? "" : complaints.front();
}

TEST(Check, SaysWhatIsWrongAndWhere) {
  const std::string good = "1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1,0REDUCE_GRAD\n";
  EXPECT_EQ(
      first_complaint("0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0REDUCE_GRAD\n" + good),
      "");
  EXPECT_EQ(
      first_complaint("0F0,0SEND_F0,0F1,0SEND_F1,0B0,0RECV_B0,0RECV_B1,0B1,0REDUCE_GRAD\n" + good),
      "rank 0: 0B0 stands before 0RECV_B0");
  EXPECT_EQ(
      first_complaint("0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0REDUCE_GRAD,0B1\n" + good),
      "rank 0: 0REDUCE_GRAD stands before 0B1");
  EXPECT_EQ(
      first_complaint("0F0,0SEND_F0,0F1,0RECV_B0,0B0,0SEND_F1,0RECV_B1,0B1,0REDUCE_GRAD\n" + good),
      "rank 0: waits for ever at 0RECV_B0");
  EXPECT_EQ(first_complaint(
                "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0I1,0REDUCE_GRAD\n" + good),
            "rank 0: 0I1 has no place there");
  EXPECT_EQ(first_complaint(good), "1 lists for 2 pipeline ranks");
}

TEST(Check, CountsLiveActivationsAgainstTheBound) {
  Sample s = small();
  s.step.live_bounds = {1, 1};
  EXPECT_EQ(check(s.program, s.step).front(), "rank 0: 0F1 is activation 2 of 1 that may live");
  s.step.live_bounds = {};
  EXPECT_TRUE(check(s.program, s.step).empty());
}

TEST(Check, RejectsSumsInDifferentOrdersOnTwoRanks) {
  const ModelDefinition model = small_model(make_sharing_map({"universal"}, 2), true);
  const Placement placement = make_placement({2, "contiguous"}, model);
  StepSpec step{placement, 1, summed_groups(model, placement, 1), {}};
  step.groups.push_back(step.groups.front());
  const Program program =
      lower(generate({ScheduleKind::gpipe, 1}, placement), placement, step.groups);
  EXPECT_TRUE(check(program, step).empty());
  Program bad = program;
  std::swap(bad[1][bad[1].size() - 1], bad[1][bad[1].size() - 2]);
  EXPECT_FALSE(check(bad, step).empty());
}

TEST(Lower, RefusesSchedulesThatHangAndStrangers) {
  const ModelDefinition model = small_model(make_sharing_map({"none"}, 2), false);
  const Placement placement = make_placement({2, "contiguous"}, model);
  EXPECT_ANY_THROW(lower(from_csv("0F0,0B0\n1B0,1F0\n"), placement, {}));
  EXPECT_ANY_THROW(lower(from_csv("0F0,1F0\n1B0\n"), placement, {}));
  EXPECT_ANY_THROW(lower(from_csv("0F0,0B0\n"), placement, {}));
  EXPECT_ANY_THROW(lower(from_csv("0F0,0B0,0F999999999\n1F0,1B0\n"), placement, {}));
}

}  // namespace
}  // namespace rondo
