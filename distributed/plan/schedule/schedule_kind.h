// The kinds of schedules, one row each: whoever names, enumerates, prices or generates them reads
// this table.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace rondo {

/// Cheapest first: the planner takes the first of equal ones.
/// one_forward_one_backward: a forward waits until a backward made room, with at most as many
/// activations as the pipeline has chunks (arXiv 2006.09503). interleaved: the same with room for
/// one more activation per hop to the last chunk, which hides the way back (arXiv 2104.04473).
/// zero_bubble: backward in two halves; weight gradients fill the gaps (arXiv 2401.10241). gpipe:
/// all forwards, then all backwards (arXiv 1811.06965; breadth first over passes, arXiv
/// 2211.05953). given: somebody wrote the order down.
enum class ScheduleKind { one_forward_one_backward, interleaved, zero_bubble, gpipe, given };

/// What distinguishes a kind.
struct ScheduleRule {
  ScheduleKind kind;
  std::string_view name;  ///< as `distributed.schedule` has it
  /// All microbatches pass a chunk before any passes the next, so that a rank holds all of them.
  bool one_round;
  int room_per_hop;  ///< more activations for each hop from the rank's last chunk to the end
  bool split;        ///< backward in two halves
};

/// The kinds that `generate` makes.
inline constexpr std::array<ScheduleRule, 4> schedule_rules = {{
    {ScheduleKind::one_forward_one_backward, "1f1b", false, 0, false},
    {ScheduleKind::interleaved, "interleaved", false, 1, false},
    {ScheduleKind::zero_bubble, "zero_bubble", false, 0, true},
    {ScheduleKind::gpipe, "gpipe", true, 0, false},
}};

inline constexpr ScheduleRule given_rule = {ScheduleKind::given, "given", false, 0, false};

constexpr const ScheduleRule& rule_of(ScheduleKind kind) {
  for (const ScheduleRule& rule : schedule_rules) {
    if (rule.kind == kind) return rule;
  }
  return given_rule;
}

inline std::string schedule_name(ScheduleKind kind) { return std::string(rule_of(kind).name); }

/// "1f1b", "interleaved", "zero_bubble", "gpipe", "given". Throws UserError.
ScheduleKind parse_schedule(const std::string& name);

}  // namespace rondo
