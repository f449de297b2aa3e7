#include "launcher/reports/progress.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <string>

#include "base/quantity.h"

namespace rondo {
namespace {

TEST(FourDigits, HaveNoExponentAboveThePoint) {
  EXPECT_EQ(four_digits(0.12341), "0.1234");
  EXPECT_EQ(four_digits(12.345), "12.35");
  EXPECT_EQ(four_digits(9999.4), "9999");
  EXPECT_EQ(four_digits(190812.4), "190812");
}

TEST(Duration, ShowsTheTwoLargestUnits) {
  EXPECT_EQ(format_duration(0), "0.0s");
  EXPECT_EQ(format_duration(0.44), "0.4s");
  EXPECT_EQ(format_duration(42), "42s");
  EXPECT_EQ(format_duration(100), "1m 40s");
  EXPECT_EQ(format_duration(7500), "2h 05m");
  EXPECT_EQ(format_duration(273600), "3d 04h");
}

TEST(Duration, RoundsIntoTheNextUnit) {
  EXPECT_EQ(format_duration(59.6), "1m 00s");
  EXPECT_EQ(format_duration(3599.6), "1h 00m");
}

TEST(Duration, IsAQuestionMarkWhenItIsNotKnown) {
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "?");
  EXPECT_EQ(format_duration(std::nan("")), "?");
}

TEST(SiNumber, HasThreeDigitsAndAPrefix) {
  EXPECT_EQ(format_si(0), "0");
  EXPECT_EQ(format_si(950), "950");
  EXPECT_EQ(format_si(8500), "8.5k");
  EXPECT_EQ(format_si(1234567), "1.23M");
  EXPECT_EQ(format_si(-2.5e9), "-2.5G");
  EXPECT_EQ(format_si(std::nan("")), "?");
}

TEST(SiNumber, NeverShowsAThousandOfAUnit) {
  EXPECT_EQ(format_si(999.4), "999");
  EXPECT_EQ(format_si(999.6), "1k");
  EXPECT_EQ(format_si(999.6e3), "1M");
}

const ProgressState typical = {.step = 120,
                               .steps = 400,
                               .loss = 1.2341,
                               .tokens_per_s = 8500,
                               .mfu = 0.312,
                               .grad_norm = 0.829,
                               .lr = 3e-4,
                               .eta_s = 100};

TEST(ProgressLine, ReadsAsInTheManual) {
  EXPECT_EQ(progress_line(typical),
            "step 120/400  loss 1.234  8.5k tok/s  MFU 31.2%  grad 0.83  lr 3.0e-04  ETA 1m 40s");
}

TEST(ProgressLine, LeavesOutAnUnknownMfu) {
  ProgressState state = typical;
  state.mfu = 0;
  EXPECT_EQ(progress_line(state),
            "step 120/400  loss 1.234  8.5k tok/s  grad 0.83  lr 3.0e-04  ETA 1m 40s");
}

TEST(ByteBar, FillsAsTheWorkIsDone) {
  EXPECT_EQ(byte_bar(0, 4000000, 0), "[--------------------]   0%  0.0/4.0 MB  0.0 MB/s  ETA ?");
  EXPECT_EQ(byte_bar(2000000, 4000000, 2),
            "[##########----------]  50%  2.0/4.0 MB  1.0 MB/s  ETA 2.0s");
  EXPECT_EQ(byte_bar(4000000, 4000000, 4),
            "[####################] 100%  4.0/4.0 MB  1.0 MB/s  in 4.0s");
}

TEST(ByteBar, SaysAHundredPercentOnlyWhenAllIsDone) {
  EXPECT_NE(byte_bar(3999999, 4000000, 4).find(" 99%"), std::string::npos);
}

TEST(ByteBar, TakesAnEmptyFileForDone) {
  EXPECT_NE(byte_bar(0, 0, 0).find("100%"), std::string::npos);
}

TEST(StatusLine, RewritesInPlaceAndCutsWhatWouldWrap) {
  std::ostringstream out;
  StatusLine(out, 5).rewrite("abcdefgh");
  EXPECT_EQ(out.str(), "\rabcd\x1b[K");
}

TEST(StatusLine, KeepsALogFreeOfControlCharacters) {
  std::ostringstream out;
  StatusLine line(out, 0);
  line.rewrite("abc");
  line.print("def");
  EXPECT_EQ(out.str(), "def\n");
}

std::string log_of_run(int64_t steps, int64_t every) {
  std::ostringstream out;
  Progress progress(StatusLine(out, 0), steps, every);
  for (int64_t step = 1; step <= steps; ++step) {
    progress.show({{.step = step, .step_s = 2.0}, 0.0, 2.0 * static_cast<double>(steps - step)});
  }
  return out.str();
}

TEST(Progress, LogsTheFirstEveryNthAndTheLastStep) {
  std::istringstream log(log_of_run(7, 3));
  std::string found;
  for (std::string line; std::getline(log, line);) {
    found += line.substr(0, line.find("  ")) + ";";
  }
  EXPECT_EQ(found, "step 1/7;step 3/7;step 6/7;step 7/7;");
}

TEST(Progress, ShowsTheTimeThatIsLeft) {
  EXPECT_NE(log_of_run(51, 100).find("step 1/51  loss 0.000  0 tok/s  grad 0.00  lr 0.0e+00  "
                                     "ETA 1m 40s"),
            std::string::npos);
}

TEST(Progress, RewritesOnATerminalAndLeavesTheLastStepBehind) {
  std::ostringstream out;
  Progress progress(StatusLine(out, 200), 2, 1);
  progress.show({{.step = 1}});
  EXPECT_EQ(out.str().find('\n'), std::string::npos);
  progress.show({{.step = 2}});
  EXPECT_EQ(out.str().back(), '\n');
}

TEST(ByteProgress, LeavesOneLineInALog) {
  std::ostringstream out;
  ByteProgress progress(StatusLine(out, 0), 10);
  progress.show(5);
  EXPECT_EQ(out.str(), "");
  progress.show(10);
  EXPECT_NE(out.str().find("100%"), std::string::npos);
}

}  // namespace
}  // namespace rondo
