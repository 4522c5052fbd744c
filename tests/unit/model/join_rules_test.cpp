// What the operands of JOIN must be: right, and then with one thing wrong at a time.
#include <functional>
#include <gmock/gmock.h>

#include "model/op_rules.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

struct Joined {
  Joined() {
    described.values = {{false, 6, 0}, {false, 4, 0}, {false, 10, 0}, {true, 10, 0}, {false, 4, 4}};
    op.kind = OpKind::kJoin;
    op.in[0] = 0;
    op.in[1] = 1;
    op.out = 2;
    op.i = {1};
  }
  std::string wrong() const { return wrong_op(op, described, declared); }
  Described described;
  Declared declared;
  DescribedOp op;
};

TEST(JoinRules, TakeWhatIsRightAndRefuseTheRest) {
  EXPECT_EQ(Joined().wrong(), "");
  struct Spoilt {
    std::function<void(Joined&)> spoil;
    const char* says;
  };
  const Spoilt cases[] = {
      {[](Joined& j) { j.op.in[1] = 0; }, "the width of its result is 10, where 12"},
      {[](Joined& j) { j.op.in[1] = kNoIndex; }, "1 inputs"},
      {[](Joined& j) { j.op.out = 3; }, "rows of different kinds"},
      {[](Joined& j) { j.op.in[1] = 4; }, "what every rank has all of"},
      {[](Joined& j) { j.op.i[0] = 3; }, "at most 2 is possible"},
      {[](Joined& j) { j.op.accumulate = true; }, "it cannot add to what is there"},
      {[](Joined& j) { j.op.kv_group = 0; }, "it names a KV group"},
      {[](Joined& j) { j.op.weights[0] = 0; }, "0 weights at most"},
  };
  for (const Spoilt& c : cases) {
    Joined j;
    c.spoil(j);
    EXPECT_THAT(j.wrong(), HasSubstr(c.says));
  }
}

} // namespace
} // namespace plimsoll::testing
