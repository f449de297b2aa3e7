#include "distributed/plan/schedule/schedule_text.h"

#include <gtest/gtest.h>

#include "base/user_error.h"
#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule.h"
#include "tests/distributed/plan/small_model.h"

namespace rondo {
namespace {

TEST(ScheduleText, ReadsBackWhatItWrote) {
  const ModelDefinition model = small_model(make_sharing_map({"universal"}, 6), true);
  const Placement placement = make_placement({3, "vee", 2}, model);
  for (const ScheduleKind kind : {ScheduleKind::interleaved, ScheduleKind::zero_bubble}) {
    const Program program =
        lower(generate({kind, 5}, placement), placement, summed_groups(model, placement, 1));
    EXPECT_EQ(from_csv(to_csv(program)), program);
  }
}

TEST(ScheduleText, IsALoweredProgramAsPyTorchPrintsIt) {
  const ModelDefinition model = small_model(make_sharing_map({"universal"}, 2), false);
  const Placement placement = make_placement({2, "contiguous"}, model);
  const Program program = lower(generate({ScheduleKind::one_forward_one_backward, 2}, placement),
                                placement, summed_groups(model, placement, 1));
  EXPECT_EQ(to_csv(program),
            "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0REDUCE_GRAD\n"
            "1RECV_F0,1RECV_F1,1F0,1B0,1SEND_B0,1F1,1B1,1SEND_B1,0REDUCE_GRAD\n");
}

TEST(ScheduleText, SkipsTheCellsOfARankThatWaits) {
  EXPECT_EQ(from_csv("0F0,,,0B0\r\n,1F0,1B0\r\n"),
            (Program{{{Op::forward, 0, 0}, {Op::backward, 0, 0}},
                     {{Op::forward, 1, 0}, {Op::backward, 1, 0}}}));
}

TEST(ScheduleText, NamesLineAndCellOfWhatIsNoAction) {
  for (const char* wrong : {"F0", "0X0", "0F", "0F0x", "-1F0", "0REDUCE_GRAD7", "99999999999F0"}) {
    try {
      from_csv(std::string("0F0\n1F0,") + wrong + "\n");
      ADD_FAILURE() << wrong;
    } catch (const UserError& error) {
      EXPECT_EQ(std::string(error.what()).rfind("schedule, line 2, cell 2: '", 0), 0u);
    }
  }
}

}  // namespace
}  // namespace rondo
