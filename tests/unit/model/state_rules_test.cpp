// What the operands of ops that keep states must be: one model of two ops, right, and then with one thing wrong at a time.
#include <functional>
#include <gmock/gmock.h>

#include "model/op_rules.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

// x, b, c and steps of 4 heads of 2 elements, in 2 groups, with states of 3; a convolution of 4 taps over 8 and 6 channels.
struct StateOps {
  StateOps() {
    for (const std::uint64_t width : {8U, 6U, 6U, 4U, 8U}) described.values.push_back({false, width, 0});
    described.values.push_back({true, 8, 0});
    declare("taps", {14, 1, 4});
    declare("bias", {14});
    for (WeightClass& c : declared.weights) c.parts = {{8, 4, false}, {6, 2, true}};
    declare("heads", {4});
    declare("decay", {4, 3});
    KvGroup& group = declared.kv.emplace_back();
    group.kind = CacheKind::kState;
    group.regions = {{"conv", false, std::nullopt, 42, 2, 14}, {"ssm", true, std::nullopt, 24, 4, 0}};
    declared.kv.emplace_back().kind = CacheKind::kFull;
    conv.kind = OpKind::kConv;
    conv.out = 1;
    conv.in[0] = 1;
    conv.weights[0] = 0;
    conv.weights[1] = 1;
    conv.kv_group = 0;
    conv.i = {1, 4, 1, 0, 8};
    scan.kind = OpKind::kSsmScan;
    scan.out = 4;
    scan.in = {0, 1, 2, 3, kNoIndex, kNoIndex};
    scan.weights[0] = 3;
    scan.weights[1] = scan.weights[2] = 2;
    scan.kv_group = 0;
    scan.i = {4, 2, 3, 2, 1};
    scan.f = {0.001, 0.1};
    delta.kind = OpKind::kDeltaRule; // queries and keys of 2 heads of 3, values of 4 heads of 2
    delta.out = 4;
    delta.in = {1, 2, 0, 3, 3, kNoIndex};
    delta.weights[0] = delta.weights[1] = 2;
    delta.kv_group = 0;
    delta.i = {4, 2, 3, 2, 1};
    delta.f = {1e-6, 0.5};
    columns.kind = OpKind::kColumns; // of two heads of 3 the last two
    columns.out = 3;
    columns.in[0] = 1;
    columns.i = {2, 3, 1, 2};
  }
  void declare(const char* label, std::initializer_list<std::uint64_t> dims) {
    WeightClass& c = declared.weights.emplace_back();
    c.label = label;
    for (const std::uint64_t dim : dims) c.dims[c.n_dims++] = dim;
  }
  std::string wrong_conv() const { return wrong_op(conv, described, declared); }
  std::string wrong_scan() const { return wrong_op(scan, described, declared); }
  std::string wrong_delta() const { return wrong_op(delta, described, declared); }
  std::string wrong_columns() const { return wrong_op(columns, described, declared); }

  Described described;
  Declared declared;
  DescribedOp conv, scan, delta, columns;
};

// What is wrong with an op once it is spoilt.
struct Spoilt {
  std::function<void(StateOps&)> spoil;
  const char* says;
};
void expect_refused(std::string (StateOps::*wrong)() const, std::initializer_list<Spoilt> cases) {
  for (const Spoilt& c : cases) {
    StateOps ops;
    c.spoil(ops);
    EXPECT_THAT((ops.*wrong)(), HasSubstr(c.says));
  }
}

TEST(StateRules, TakeWhatIsRight) {
  StateOps ops;
  EXPECT_EQ(ops.wrong_conv(), "");
  EXPECT_EQ(ops.wrong_scan(), "");
  ops.scan.weights[0] = 2; // one a head
  EXPECT_EQ(ops.wrong_scan(), "");
  ops.scan.f = {0.5, 0}; // no limit above
  EXPECT_EQ(ops.wrong_scan(), "");
  ops.conv.weights[1] = kNoIndex;
  EXPECT_EQ(ops.wrong_conv(), "");
}

TEST(StateRules, RefuseADeltaRule) {
  StateOps ops;
  EXPECT_EQ(ops.wrong_delta(), "");
  EXPECT_EQ(ops.wrong_columns(), "");
  expect_refused(&StateOps::wrong_delta,
                 {
                     {[](StateOps& o) { o.delta.in[4] = kNoIndex; }, "4 inputs"},
                     {[](StateOps& o) { o.delta.weights[0] = kNoIndex; }, "its weight 0 is missing"},
                     {[](StateOps& o) { o.delta.weights[2] = 2; }, "2 weights at most"},
                     {[](StateOps& o) { o.delta.accumulate = true; }, "it cannot add to what is there"},
                     {[](StateOps& o) { o.delta.kv_group = kNoIndex; }, "it names no KV group"},
                     {[](StateOps& o) { o.delta.kv_group = 1; }, "its KV group is of another kind"},
                     {[](StateOps& o) { o.delta.i[2] = 0; }, "a size is 0"},
                     {[](StateOps& o) { o.delta.i[1] = 3; }, "4 heads over 3 of keys"},
                     {[](StateOps& o) { o.delta.i[2] = 4; }, "the width of the queries is 6, where 8 was expected"},
                     {[](StateOps& o) { o.delta.in[1] = 0; }, "the width of the keys is 8, where 6 was expected"},
                     {[](StateOps& o) { o.delta.i[3] = 1; }, "the width of the values is 8, where 4 was expected"},
                     {[](StateOps& o) { o.delta.out = 1; }, "the width of its result is 6, where 8 was expected"},
                     {[](StateOps& o) { o.delta.in[3] = 0; }, "the width of what decays is 8, where 12 was expected"},
                     {[](StateOps& o) { o.delta.in[4] = 0; }, "the width of what is written is 8, where 4 was expected"},
                     {[](StateOps& o) { o.delta.weights[0] = 3; }, "the number of elements of 'decay' is 12, where 4 was expected"},
                     {[](StateOps& o) { o.delta.weights[1] = 3; }, "the number of elements of 'decay' is 12, where 4 was expected"},
                     {[](StateOps& o) { o.delta.i[4] = 2; }, "region 2 of a state that has 2"},
                     {[](StateOps& o) { o.declared.kv[0].regions[1].elements = 23; }, "the end of its part of the state is 24; at most 23"},
                     {[](StateOps& o) { o.delta.i[5] = 2; }, "a switch is 2"},
                     {[](StateOps& o) { o.delta.f[0] = 0; }, "its epsilon is not above 0"},
                     {[](StateOps& o) { o.delta.out = 5; }, "rows of different kinds"},
                 });
  expect_refused(&StateOps::wrong_columns,
                 {
                     {[](StateOps& o) { o.columns.i[0] = 0; }, "a size is 0"},
                     {[](StateOps& o) { o.columns.i[0] = 3; }, "the width of what it reads is 6, where 9 was expected"},
                     {[](StateOps& o) { o.columns.i[2] = 2; }, "columns 2 + 2 of a head of 3"},
                     {[](StateOps& o) { o.columns.i[3] = 1; }, "the width of its result is 4, where 2 was expected"},
                     {[](StateOps& o) { o.columns.kv_group = 0; }, "it names a KV group"},
                     {[](StateOps& o) {
                        o.columns.out = 1;
                        o.columns.i = {2, 3, 0, 3};
                      },
                      "it cannot work in place"},
                 });
}

TEST(StateRules, RefuseAConvolution) {
  expect_refused(&StateOps::wrong_conv,
                 {
                     {[](StateOps& o) { o.conv.weights[0] = kNoIndex; }, "its weight 0 is missing"},
                     {[](StateOps& o) { o.conv.in[0] = kNoIndex; }, "0 inputs"},
                     {[](StateOps& o) { o.conv.accumulate = true; }, "it cannot add to what is there"},
                     {[](StateOps& o) { o.conv.kv_group = kNoIndex; }, "it names no KV group"},
                     {[](StateOps& o) { o.conv.kv_group = 1; }, "its KV group is of another kind"},
                     {[](StateOps& o) { o.conv.i[0] = 2; }, "'taps' is no convolution with a part 2"},
                     {[](StateOps& o) { o.conv.i[0] = 0; }, "the channels of 'taps' is 8, where 6 was expected"},
                     {[](StateOps& o) { o.conv.i[0] = PLIMSOLL_ALL_PARTS; }, "the channels of 'taps' is 14, where 6 was expected"},
                     {[](StateOps& o) { o.conv.i[1] = 0; }, "the number of taps is 0"},
                     {[](StateOps& o) { o.conv.i[1] = 3; }, "the elements of 'taps' is 56, where 42 was expected"},
                     {[](StateOps& o) { o.conv.i[2] = PLIMSOLL_ACT_SOFT_CAP; }, "the activation is 6; at most 5"},
                     {[](StateOps& o) { o.conv.i[3] = 2; }, "region 2 of a state that has 2"},
                     {[](StateOps& o) { o.conv.i[4] = 9; }, "the end of its part of the state is 45; at most 42"},
                     {[](StateOps& o) { o.conv.i[4] = UINT64_MAX; }, "the end of its part of the state"},
                     {[](StateOps& o) { o.conv.in[0] = 0; }, "the width of what it reads is 8, where 6 was expected"},
                     {[](StateOps& o) { o.conv.weights[1] = 2; }, "the number of elements of its bias is 0, where 6 was expected"},
                     {[](StateOps& o) { o.declared.weights[0].experts = 2; }, "'taps' is no convolution"},
                 });
}

TEST(StateRules, RefuseAScan) {
  expect_refused(&StateOps::wrong_scan,
                 {
                     {[](StateOps& o) { o.scan.in[3] = kNoIndex; }, "3 inputs"},
                     {[](StateOps& o) { o.scan.kv_group = kNoIndex; }, "it names no KV group"},
                     {[](StateOps& o) { o.scan.kv_group = 1; }, "its KV group is of another kind"},
                     {[](StateOps& o) { o.scan.i[2] = 0; }, "a size is 0"},
                     {[](StateOps& o) { o.scan.i[3] = 3; }, "4 heads in 3 groups"},
                     {[](StateOps& o) { o.scan.i[1] = 3; }, "the width of x is 8, where 12 was expected"},
                     {[](StateOps& o) { o.scan.in[1] = 0; }, "the width of b is 8, where 6 was expected"},
                     {[](StateOps& o) { o.scan.in[2] = 0; }, "the width of c is 8, where 6 was expected"},
                     {[](StateOps& o) { o.scan.in[3] = 0; }, "the width of its steps is 8, where 4 was expected"},
                     {[](StateOps& o) { o.scan.out = 1; }, "the width of its result is 6, where 8 was expected"},
                     {[](StateOps& o) { o.scan.weights[0] = 1; }, "the number of elements of 'bias' is 14, where 12 was expected"},
                     {[](StateOps& o) { o.scan.weights[1] = 1; }, "the number of elements of 'bias' is 14, where 4 was expected"},
                     {[](StateOps& o) { o.scan.weights[2] = 3; }, "the number of elements of 'decay' is 12, where 4 was expected"},
                     {[](StateOps& o) { o.scan.i[4] = 2; }, "region 2 of a state that has 2"},
                     {[](StateOps& o) { o.declared.kv[0].regions[1].elements = 23; }, "the end of its part of the state is 24; at most 23"},
                     {[](StateOps& o) { o.scan.i[5] = 2; }, "a switch is 2"},
                     {[](StateOps& o) {
                        o.scan.f = {0.5, 0.25};
                      },
                      "limits of a step that leave nothing between them"},
                     {[](StateOps& o) {
                        o.scan.f = {-1, 0};
                      },
                      "limits of a step"},
                     {[](StateOps& o) { o.scan.out = 5; }, "rows of different kinds"},
                 });
}

} // namespace
} // namespace plimsoll::testing
