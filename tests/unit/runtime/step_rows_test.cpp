// Rows of logits as a budget of a step.
#include <gtest/gtest.h>

#include "runtime/step_rows.hpp"

namespace plimsoll::step_rows_test {
namespace {

TEST(StepRows, OneEachWhereNobodyWantsMore) {
  StepRows rows(2, false);
  EXPECT_EQ(rows.fitting(100, false), 100U);
  rows.add(100, false);
  rows.add(1, false);
  EXPECT_EQ(rows.fitting(100, false), 0U);
}

TEST(StepRows, WhoWantsEarlierRowsGetsAsManyTokensAsThereAreRows) {
  StepRows rows(8, false);
  EXPECT_EQ(rows.fitting(100, true), 8U);
  rows.add(1, false); // decodes
  rows.add(1, false);
  EXPECT_EQ(rows.fitting(100, true), 6U);
}

TEST(StepRows, OthersThenGiveAsManyTrailingRows) {
  StepRows rows(8, false);
  rows.add(50, false); // a prompt, one row so far
  EXPECT_EQ(rows.fitting(100, true), 4U) << "4 rows of it and 4 of the other";
  rows.add(4, true);
  EXPECT_EQ(rows.fitting(9, false), 0U) << "none is left";
  StepRows more(9, false);
  more.add(50, false);
  more.add(4, true);
  EXPECT_EQ(more.fitting(9, false), 1U);
}

TEST(StepRows, SoManyOfEachWhereTokensAreDrafted) {
  StepRows rows(9, false, 4); // three drafted ones
  EXPECT_EQ(rows.fitting(100, false), 100U);
  rows.add(100, false); // 4 rows
  rows.add(1, false);   // decodes
  EXPECT_EQ(rows.fitting(100, false), 100U);
  rows.add(7, false);
  EXPECT_EQ(rows.fitting(9, false), 0U);
}

TEST(StepRows, AllTokensWhereTheModelGivesAll) {
  StepRows rows(10, true);
  EXPECT_EQ(rows.fitting(100, false), 10U);
  rows.add(7, false);
  EXPECT_EQ(rows.fitting(2, false), 2U);
  EXPECT_EQ(rows.fitting(100, false), 3U);
}

} // namespace
} // namespace plimsoll::step_rows_test
