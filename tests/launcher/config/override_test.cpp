#include "launcher/config/override.h"

#include <gtest/gtest.h>

#include <set>

#include "base/nearest.h"
#include "launcher/config/compose.h"
#include "tests/launcher/config/config_test_folder.h"

namespace rondo {
namespace {

using Runs = std::vector<std::vector<std::string>>;

std::string literal(const std::string& value) {
  return toml_literal(override_value(parse_override("log.dir=" + value)));
}

TEST(Override, ValuesFollowTomlAndAnythingElseIsText) {
  EXPECT_EQ(literal("3"), "3");
  EXPECT_EQ(literal("-2"), "-2");
  EXPECT_EQ(literal("1e-3"), "0.001");
  EXPECT_EQ(literal("2.0"), "2.0");
  EXPECT_EQ(literal("true"), "true");
  EXPECT_EQ(literal("True"), "\"True\"");
  EXPECT_EQ(literal("plain/path.h5"), "\"plain/path.h5\"");
  EXPECT_EQ(literal("skip:2"), "\"skip:2\"");
  EXPECT_EQ(literal("a=b"), "\"a=b\"");
  EXPECT_EQ(literal("it's"), "\"it's\"");
  EXPECT_EQ(literal("\"3\""), "\"3\"");
  EXPECT_EQ(literal("'a,b'"), "\"a,b\"");
  EXPECT_EQ(literal(""), "\"\"");
  EXPECT_EQ(literal("2024-01-01"), "\"2024-01-01\"");
}

TEST(Override, NothingOfAValueIsDroppedAsACommentOrASecondLine) {
  EXPECT_EQ(literal("5#3"), "\"5#3\"");
  EXPECT_EQ(literal("5\nx = 2"), "\"5\\u000Ax = 2\"");
}

TEST(Override, ListsMayHoldBareTextAndLists) {
  EXPECT_EQ(literal("[0,1,2]"), "[0, 1, 2]");
  EXPECT_EQ(literal("[]"), "[]");
  EXPECT_EQ(literal("[ 1 , 2, ]"), "[1, 2]");
  EXPECT_EQ(literal("[a/b,0.7,\"c,d\",0.3]"), "[\"a/b\", 0.7, \"c,d\", 0.3]");
  EXPECT_EQ(literal("[[1,2],[x]]"), "[[1, 2], [\"x\"]]");
}

TEST(Override, AnOpenQuoteOrBracketIsAnError) {
  EXPECT_EQ(error_of([] { literal("\"abc"); }),
            "override 'log.dir=\"abc': the quote \" is not closed");
  EXPECT_EQ(error_of([] { literal("[1,2"); }),
            "override 'log.dir=[1,2': brackets [ ] do not match");
  EXPECT_EQ(error_of([] { literal("1]"); }), "override 'log.dir=1]': brackets [ ] do not match");
  EXPECT_NE(error_of([] { literal("\"a\"b"); }).find("\"a\"b is not a TOML value"),
            std::string::npos);
}

TEST(Override, SeveralValuesAskForMultirunOrAList) {
  EXPECT_EQ(error_of([] { literal("1,2"); }),
            "override 'log.dir=1,2': several values; write a list [1,2], or add --multirun for a "
            "run of each");
}

TEST(Override, WhatIsNoOverrideShowsTheFourForms) {
  for (const std::string text : {"steps", "=3", "", "~", "~a.b=3", "+", "+a.b", "++=1", "+++a=1"}) {
    EXPECT_EQ(error_of([&] { parse_override(text); }),
              "override '" + text +
                  "': write group=option, table.key=value, +table.key=value or ~table.key");
  }
}

TEST(Nearest, CountsSwappedNeighboursAsOneSlip) {
  EXPECT_EQ(nearest("badc", {"bxyz", "abcd"}), "abcd");
}

TEST(Nearest, FindsARightNameInAWrongTableButPrefersTheWholeKey) {
  EXPECT_EQ(nearest("run.steps", {"run.steep", "train.steps"}), "train.steps");
  EXPECT_EQ(nearest("log.evry", {"checkpoint.every", "log.every"}), "log.every");
  EXPECT_EQ(nearest("log.evry", {}), "");
  EXPECT_EQ(nearest("9", {"0", "10"}), "10") << "numbers by difference";
  EXPECT_EQ(nearest("fp16", {"float32", "float64", "bfloat16"}), "bfloat16");
  EXPECT_EQ(nearest("float", {"boat", "mean"}), "boat") << "no candidate of another program's";
}

TEST(Nearest, AFarWordIsNoSuggestion) {
  const std::vector<std::string> keys = {"train.steps", "optimizer.lr", "log.dir"};
  EXPECT_EQ(near("elephant", keys), std::nullopt);
  EXPECT_EQ(near("x", {"y", "cycle"}), std::nullopt);
  EXPECT_EQ(near("train.step", keys), "train.steps");
  EXPECT_EQ(near("run.steps", keys), "train.steps");
  EXPECT_EQ(near("optim", {"optimizer", "model"}), "optimizer") << "a beginning";
  EXPECT_EQ(near("fp16", {"float32", "bfloat16"}), "bfloat16");
  EXPECT_EQ(did_you_mean("elephant", keys), "");
  EXPECT_EQ(choice_among("elephant", {"sum", "mean"}), "possible: sum, mean");
  EXPECT_EQ(choice_among("summ", {"sum", "mean"}), "did you mean sum? possible: sum, mean");
}

TEST(Multirun, TheLastOverrideVariesFastest) {
  EXPECT_EQ(expand_multirun({"a=1,2", "b=x,y"}),
            (Runs{{"a=1", "b=x"}, {"a=1", "b=y"}, {"a=2", "b=x"}, {"a=2", "b=y"}}));
}

TEST(Multirun, CommasInsideBracketsAndQuotesDoNotSplit) {
  EXPECT_EQ(expand_multirun({"a=[0,1],[1,[2,3]]", "b='x,y',\"z,w\""}),
            (Runs{{"a=[0,1]", "b='x,y'"},
                  {"a=[0,1]", "b=\"z,w\""},
                  {"a=[1,[2,3]]", "b='x,y'"},
                  {"a=[1,[2,3]]", "b=\"z,w\""}}));
}

TEST(Multirun, OverridesWithOneValueAndDeletionsStayAsTheyAre) {
  EXPECT_EQ(expand_multirun({}), Runs{{}});
  EXPECT_EQ(expand_multirun({"~log.dir", "model=a", "+b.c=1,2"}),
            (Runs{{"~log.dir", "model=a", "+b.c=1"}, {"~log.dir", "model=a", "+b.c=2"}}));
}

TEST(Multirun, TheNumberOfRunsIsTheProductAndAllRunsDiffer) {
  const Runs runs = expand_multirun({"a=1,2,3", "b=[1,2]", "c=x,y", "d=p,q,r,s"});
  EXPECT_EQ(runs.size(), 24u);
  EXPECT_EQ(std::set<std::vector<std::string>>(runs.begin(), runs.end()).size(), 24u);
}

TEST(Multirun, AnEmptyChoiceIsAnError) {
  EXPECT_EQ(error_of([] { expand_multirun({"a.b=1,,2"}); }),
            "override 'a.b=1,,2': a value between commas is empty");
}

TEST(Multirun, RangesAndChoicesAreListsOfValues) {
  EXPECT_EQ(expand_multirun({"a.b=range(1,4)"}), (Runs{{"a.b=1"}, {"a.b=2"}, {"a.b=3"}}));
  EXPECT_EQ(expand_multirun({"a.b=range(0,1,0.5)"}), (Runs{{"a.b=0.0"}, {"a.b=0.5"}}));
  EXPECT_EQ(expand_multirun({"a.b=range(4,0,-2)"}), (Runs{{"a.b=4"}, {"a.b=2"}}));
  EXPECT_EQ(expand_multirun({"a.b=choice(x,[1,2])"}), (Runs{{"a.b=x"}, {"a.b=[1,2]"}}));
  EXPECT_EQ(expand_multirun({"a.b=choice(x)"}), (Runs{{"a.b=x"}}));
  for (const char* wrong : {"a.b=range(1)", "a.b=range(1,0)", "a.b=range(0,1,0)", "a.b=range(x,2)",
                            "a.b=range(0,1,1e-9)", "a.b=range(1,3", "a.b=choice(1,3"}) {
    EXPECT_NE(error_of([&] { expand_multirun({wrong}); }), "") << wrong;
  }
}

}  // namespace
}  // namespace rondo
