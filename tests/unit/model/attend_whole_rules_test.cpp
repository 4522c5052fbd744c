// What the operands of an attention over whole sequences must be: one op, right, and then with one thing wrong at a time.
#include <functional>
#include <gmock/gmock.h>

#include "model/op_rules.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

// Queries of 4 heads of 6 over 2 heads of keys of 6 and of values of 5.
struct WholeOp {
  WholeOp() {
    for (const std::uint64_t width : {24U, 12U, 10U, 20U}) described.values.push_back({false, width, 0});
    described.values.push_back({true, 20, 0});
    op.kind = OpKind::kAttendWhole;
    op.out = 3;
    op.in = {0, 1, 2, kNoIndex, kNoIndex, kNoIndex};
    op.i = {4, 2, 6, 5, 128};
    op.f = {0.5, 0};
  }
  Described described;
  Declared declared;
  DescribedOp op;
};

TEST(AttendWholeRules, TakeWhatIsRight) {
  WholeOp whole;
  EXPECT_EQ(wrong_op(whole.op, whole.described, whole.declared), "");
  whole.op.accumulate = true;
  EXPECT_EQ(wrong_op(whole.op, whole.described, whole.declared), "");
}

TEST(AttendWholeRules, RefuseTheRest) {
  struct Spoilt {
    std::function<void(WholeOp&)> spoil;
    const char* says;
  };
  const Spoilt cases[] = {{[](WholeOp& o) { o.op.in[2] = kNoIndex; }, "2 inputs"},
                          {[](WholeOp& o) { o.op.weights[0] = 0; }, "0 weights at most"},
                          {[](WholeOp& o) { o.op.kv_group = 0; }, "it names a KV group"},
                          {[](WholeOp& o) { o.op.i[1] = 0; }, "a size is 0"},
                          {[](WholeOp& o) { o.op.i[1] = 3; }, "4 heads over 3 of keys"},
                          {[](WholeOp& o) { o.op.i[2] = 5; }, "the width of the queries is 24, where 20"},
                          {[](WholeOp& o) { o.op.in[1] = 2; }, "the width of the keys is 10, where 12"},
                          {[](WholeOp& o) { o.op.in[2] = 1; }, "the width of the values is 12, where 10"},
                          {[](WholeOp& o) { o.op.out = 0; }, "the width of its result is 24, where 20"},
                          {[](WholeOp& o) { o.op.out = 4; }, "rows of different kinds"},
                          {[](WholeOp& o) {
                             o.op.i[3] = 6;
                             o.op.in[2] = 1;
                             o.op.out = 0;
                           },
                           "it works in place"}};
  for (const Spoilt& c : cases) {
    WholeOp whole;
    c.spoil(whole);
    EXPECT_THAT(wrong_op(whole.op, whole.described, whole.declared), HasSubstr(c.says));
  }
}

TEST(AttendWholeRules, KindsThatNobodyKnowsAreNone) {
  EXPECT_EQ(op_kind(PLIMSOLL_OP_ATTEND_WHOLE), OpKind::kAttendWhole);
  for (const std::uint32_t number : {0U, 63U, 64U, 273U, UINT32_MAX}) EXPECT_EQ(op_kind(number), std::nullopt) << number;
}

} // namespace
} // namespace plimsoll::testing
