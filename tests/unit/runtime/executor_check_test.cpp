// Programs, weights, groups and memory that do not belong together are refused when an executor is made.
#include "runtime/executor_check.hpp"

#include <functional>
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_check_test {
namespace {

using test::Pool;
using test::ProgramBuilder;

// One op of each kind, all of them right.
struct Parts {
  Parts() {
    x = b.value(8);
    y = b.value(8);
    q = b.value(12);
    latent = b.value(10);
    routes = b.value(4);
    one = b.value(1);
    logits = b.value(8, true);
    const std::uint32_t table = b.random_weight({20, 8}, 1), square = b.weight({8, 8}, std::vector<double>(64), "float32", 0, 1, {6, 2});
    const std::uint32_t gain = b.random_weight({8}, 1), up = b.random_weight({6, 8}, 1), router = b.random_weight({4, 8}, 1);
    const std::uint32_t experts = b.random_weight({8, 8}, 1, 4), two = b.random_weight({2}, 1);
    b.rope({1, 2});
    b.op(OpKind::kEmbed, x, {}, {table}, {}, {1});
    b.op(OpKind::kNorm, y, {x}, {gain}, {}, {1e-5});
    b.op(OpKind::kLinear, y, {x}, {square, gain}, {UINT32_MAX}, {1});
    b.op(OpKind::kRope, y, {y}, {}, {2, 4, 0, 4, 0, 0});
    b.attend(OpKind::kAttend, 0, 0, y, {x, x, x}, {two}, {2, 2, 4, 4}, {1});
    b.attend(OpKind::kAttendLatent, 1, 0, one2(), {q, latent}, {up}, {1, 8, 4, 2, 2}, {1});
    b.op(OpKind::kGate, y, {x, y}, {}, {PLIMSOLL_ACT_SILU});
    b.op(OpKind::kRoute, routes, {x}, {router}, {4, 2, 2, 1}, {1});
    b.op(OpKind::kExperts, y, {x, routes}, {experts, experts, experts}, {4, 2, 8, PLIMSOLL_ACT_SILU, 0});
    b.op(OpKind::kLastRows, logits, {y});
    b.op(OpKind::kAdd, y, {x}, {}, {}, {1});
    b.op(OpKind::kMultiply, y, {x}, {gain}, {}, {1});
    b.op(OpKind::kScaleRows, y, {x, one}, {}, {PLIMSOLL_ACT_SIGMOID});
    const std::uint32_t taps = b.weight({8, 1, 3}, std::vector<double>(24), "float32", 0, 1, {6, 2}), heads = b.random_weight({4}, 1);
    b.attend(OpKind::kConv, 2, 0, y, {x}, {taps, gain}, {UINT32_MAX, 3, PLIMSOLL_ACT_SILU, 0, 1}, {});
    b.attend(OpKind::kSsmScan, 2, 1, y, {x, routes, routes, routes}, {heads, heads, heads}, {4, 2, 4, 1, 1}, {});
    b.op(OpKind::kColumns, routes, {x}, {}, {2, 4, 1, 2});
    b.attend(OpKind::kDeltaRule, 2, 1, y, {routes, routes, x, routes, routes}, {heads, heads}, {4, 2, 2, 2, 1}, {1e-6, 1});
    b.op(OpKind::kAttendWhole, y, {x, x, x}, {}, {2, 2, 4, 4, 6}, {1});
    b.op(OpKind::kEmbedPosition, y, {}, {table}, {4, 1}, {1}).accumulate = true;
    b.op(OpKind::kPool, logits, {x}, {}, {PLIMSOLL_POOL_MEAN});
    b.op(OpKind::kJoin, latent, {x, latent_out}, {}, {1});
    program = b.program(logits);
    program.most_context_tokens = 16;
    weights = b.weights();
    groups = {full.group(), latents.group(), states.group()};
  }
  std::uint32_t one2() { return latent_out = b.value(2); }
  ProgramOp& op(OpKind kind) {
    return *std::find_if(program.ops.begin(), program.ops.end(), [&](const ProgramOp& of) { return of.kind == kind; });
  }
  WeightTensor& weight(OpKind kind, std::size_t n) { return program.weights.tensors[op(kind).weights[n]]; }
  Result<void> check() const { return check_program(program, weights, groups); }

  ProgramBuilder b{16, 4, 16};
  std::uint32_t x, y, q, latent, routes, one, logits, latent_out = 0;
  Pool full{{CacheKind::kFull, 2, 2, 4, 4, 8, 9}}, latents{{CacheKind::kLatent, 1, 1, 10, 0, 8, 9}};
  Pool states{{CacheKind::kState, 2, 0, 0, 0, 0, 9, "", "", {{"float32", 18}, {"bfloat16", 32}}}};
  Program program;
  std::vector<const void*> weights;
  std::vector<ExecutorKvGroup> groups;
};

TEST(ProgramCheckTest, TakesOneOpOfEachKind) {
  Parts parts;
  parts.program.values[parts.q].width = 6;
  const Result<void> checked = parts.check();
  EXPECT_TRUE(checked) << checked.error().message;
}

TEST(ProgramCheckTest, RefusesWhatDoesNotBelongTogether) {
  using K = OpKind;
  struct Case {
    std::string name;
    std::function<void(Parts&)> spoil;
    std::string says;
  };
  const Case cases[] = {
      {"no tokens", [](Parts& p) { p.program.most_tokens = 0; }, "passes of 0 tokens"},
      {"weights that are missing", [](Parts& p) { p.weights.pop_back(); }, "weights for"},
      {"a weight that is not in memory", [](Parts& p) { p.weights[0] = nullptr; }, "not in memory"},
      {"logits that are none", [](Parts& p) { p.program.logits = 99; }, "its logits"},
      {"logits of tokens", [](Parts& p) { p.program.logits = p.x; }, "its logits"},
      {"a type that is unknown", [](Parts& p) { p.program.weights.tensors[0].dtype = "float8_e4m3fn"; }, "is of type 'float8_e4m3fn'"},
      {"bytes that are not the shape's", [](Parts& p) { p.program.weights.tensors[0].bytes -= 4; }, "636 B, its shape 640 B"},
      {"a shape that overflows",
       [](Parts& p) {
         p.program.weights.tensors[0].dims = {1ULL << 31, 1ULL << 31};
       },
       "an extent of"},
      {"a value beyond the slab", [](Parts& p) { p.program.values[p.x].offset_bytes = p.program.slab_bytes; }, "of a slab of"},
      {"a value at an odd place", [](Parts& p) { p.program.values[p.x].offset_bytes += 4; }, "of a slab of"},
      {"a value that overflows", [](Parts& p) { p.program.values[p.x].width = UINT64_MAX / 8; }, "of a slab of"},
      {"an input that is none", [](Parts& p) { p.op(K::kAdd).in[0] = 99; }, "value 99 of"},
      {"an input that is missing", [](Parts& p) { p.op(K::kAdd).in[0] = kNoIndex; }, "1 inputs were expected"},
      {"an input too many", [](Parts& p) { p.op(K::kAdd).in[1] = p.y; }, "1 inputs were expected"},
      {"no result", [](Parts& p) { p.op(K::kAdd).out = kNoIndex; }, "value 4294967295 of"},
      {"a weight that is none", [](Parts& p) { p.op(K::kLinear).weights[0] = 99; }, "weight 99 of"},
      {"no weight", [](Parts& p) { p.op(K::kLinear).weights[0] = kNoIndex; }, "its weight 0 is missing"},
      {"rows of two kinds", [](Parts& p) { p.op(K::kAdd).out = p.logits; }, "rows of different kinds"},
      {"an unknown op", [](Parts& p) { p.op(K::kAdd).kind = static_cast<K>(77); }, "no known kind"},
      {"no scratch", [](Parts& p) { p.op(K::kAttend).scratch_bytes -= 64; }, "B are needed"},
      {"scratch beyond the slab", [](Parts& p) { p.op(K::kAttend).scratch_offset_bytes += 64; }, "B of scratch at"},
      {"embed: a width", [](Parts& p) { p.op(K::kEmbed).out = p.q; }, "the width of its table is 8, where 12 was expected"},
      {"norm: columns",
       [](Parts& p) {
         p.op(K::kNorm).i = {2, 4, 1, 4};
       },
       "2 heads of 4 columns at 1, 4 apart, in a row of 8"},
      {"norm: a gain",
       [](Parts& p) {
         p.op(K::kNorm).i = {2, 4, 0, 3};
       },
       "where 6 was expected"},
      {"linear: what it reads", [](Parts& p) { p.op(K::kLinear).in[0] = p.latent; }, "reads is 8, where 10 was expected"},
      {"linear: a part", [](Parts& p) { p.op(K::kLinear).i[0] = 2; }, "with a part 2"},
      {"linear: the width of a part", [](Parts& p) { p.op(K::kLinear).i[0] = 1; }, "is 2, where 8 was expected"},
      {"linear: parts that are too long",
       [](Parts& p) {
         p.weight(K::kLinear, 0).parts = {6, 8}, p.op(K::kLinear).i[0] = 1;
       },
       "with a part 1"},
      {"linear: a bias", [](Parts& p) { p.op(K::kLinear).weights[1] = p.op(K::kAttend).weights[0]; }, "the elements of its bias is 2"},
      {"rope: not in place", [](Parts& p) { p.op(K::kRope).out = p.x; }, "in place"},
      {"rope: a table", [](Parts& p) { p.op(K::kRope).i[5] = 1; }, "table 1 of 1"},
      {"rope: frequencies", [](Parts& p) { p.op(K::kRope).i[3] = 2; }, "twice the number of frequencies is 4, where 2"},
      {"rope: heads", [](Parts& p) { p.op(K::kRope).i[0] = 3; }, "3 heads of 4 columns"},
      {"attend: a group", [](Parts& p) { p.op(K::kAttend).kv_group = 3; }, "KV group 3, which is not there"},
      {"attend: a layer", [](Parts& p) { p.op(K::kAttend).kv_layer = 2; }, "layer 2 of KV group 0"},
      {"attend: heads", [](Parts& p) { p.op(K::kAttend).i[0] = 3; }, "3 heads over 2"},
      {"attend: another group's keys",
       [](Parts& p) {
         p.op(K::kAttend).kv_group = 1;
         p.op(K::kAttend).kv_layer = 0;
       },
       "the heads of its KV group is 1"},
      {"attend: sinks", [](Parts& p) { p.op(K::kAttend).weights[0] = p.op(K::kNorm).weights[0]; }, "is 8, where 2 was expected"},
      {"latent: a width", [](Parts& p) { p.op(K::kAttendLatent).i[1] = 7; }, "the width of the latent is 10, where 9"},
      {"latent: the up projection",
       [](Parts& p) {
         p.weight(K::kAttendLatent, 0).dims = {8, 6};
       },
       "where 8 was expected"},
      {"gate: an activation", [](Parts& p) { p.op(K::kGate).i[0] = 10; }, "activation 10"},
      {"gate: half a pair",
       [](Parts& p) {
         p.op(K::kGate).i[0] = PLIMSOLL_ACT_SWIGLU_OAI;
         p.op(K::kGate).in[1] = kNoIndex;
       },
       "of pairs, but one input"},
      {"route: more than there are", [](Parts& p) { p.op(K::kRoute).i[1] = 5; }, "5 of 4 experts"},
      {"route: groups", [](Parts& p) { p.op(K::kRoute).i[2] = 3; }, "1 of 3 groups of 4 experts"},
      {"route: too few groups", [](Parts& p) { p.op(K::kRoute).i[2] = 4; }, "1 of 4 groups of 4 experts, 2 of which"},
      {"route: a score", [](Parts& p) { p.op(K::kRoute).i[4] = 4; }, "score 4"},
      {"route: gains", [](Parts& p) { p.op(K::kRoute).weights[3] = p.op(K::kAttend).weights[0]; }, "is 2, where 4 was expected"},
      {"multiply: its factors", [](Parts& p) { p.op(K::kMultiply).weights[0] = p.op(K::kAttend).weights[0]; },
       "is 2, where 8 was expected"},
      {"experts: their number",
       [](Parts& p) {
         p.weight(K::kExperts, 0).experts = 2;
         p.weight(K::kExperts, 0).bytes /= 2;
       },
       "the experts of"},
      {"experts: a pairing", [](Parts& p) { p.op(K::kExperts).i[4] = 1; }, "where its pairing says"},
      {"experts: routes", [](Parts& p) { p.op(K::kExperts).in[1] = p.one; }, "the width of the routes is 1"},
      {"last rows: of outputs", [](Parts& p) { p.op(K::kLastRows).in[0] = p.logits; }, "it takes rows of tokens"},
      {"scale rows: a scale", [](Parts& p) { p.op(K::kScaleRows).in[1] = p.x; }, "the width of the scale is 8"},
      {"conv: a part", [](Parts& p) { p.op(K::kConv).i[0] = 2; }, "is no convolution with a part 2"},
      {"conv: the width of a part", [](Parts& p) { p.op(K::kConv).i[0] = 0; }, "is 6, where 8 was expected"},
      {"conv: taps", [](Parts& p) { p.op(K::kConv).i[1] = 2; }, "is 24, where 16 was expected"},
      {"conv: a bias", [](Parts& p) { p.op(K::kConv).weights[1] = p.op(K::kAttend).weights[0]; }, "the elements of its bias is 2"},
      {"conv: an activation", [](Parts& p) { p.op(K::kConv).i[2] = PLIMSOLL_ACT_SOFT_CAP; }, "activation 6"},
      {"conv: channels beyond the state", [](Parts& p) { p.op(K::kConv).i[4] = 2; }, "16 elements of a state at 4, where 'state' has 18"},
      {"conv: channels that overflow", [](Parts& p) { p.op(K::kConv).i[4] = UINT64_MAX; }, "elements of a state at"},
      {"conv: a region", [](Parts& p) { p.op(K::kConv).i[3] = 2; }, "region 2 of KV group 'state'"},
      {"conv: a group of pages", [](Parts& p) { p.op(K::kConv).kv_group = 0; }, "region 0 of KV group 'attention', which is none"},
      {"conv: a group", [](Parts& p) { p.op(K::kConv).kv_group = kNoIndex; }, "which is not there"},
      {"columns: heads", [](Parts& p) { p.op(K::kColumns).i[0] = 3; }, "3 heads of 2 columns at 1, 4 apart, in a row of 8"},
      {"columns: the result", [](Parts& p) { p.op(K::kColumns).i[3] = 1; }, "the width of its result is 4, where 2"},
      {"columns: in place", [](Parts& p) { p.op(K::kColumns).out = p.x; }, "it works in place"},
      {"delta rule: heads", [](Parts& p) { p.op(K::kDeltaRule).i[0] = 6; }, "the width of its result is 8, where 12"},
      {"delta rule: key heads", [](Parts& p) { p.op(K::kDeltaRule).i[1] = 3; }, "4 heads over 3 of keys"},
      {"delta rule: queries", [](Parts& p) { p.op(K::kDeltaRule).in[0] = p.x; }, "the width of the queries is 8, where 4"},
      {"delta rule: keys", [](Parts& p) { p.op(K::kDeltaRule).in[1] = p.one; }, "the width of the keys is 1, where 4"},
      {"delta rule: values", [](Parts& p) { p.op(K::kDeltaRule).in[2] = p.one; }, "the width of the values is 1"},
      {"delta rule: decays", [](Parts& p) { p.op(K::kDeltaRule).in[3] = p.one; }, "the width of what decays is 1, where 8"},
      {"delta rule: writes", [](Parts& p) { p.op(K::kDeltaRule).in[4] = p.one; }, "the width of what is written is 1, where 4"},
      {"delta rule: a", [](Parts& p) { p.op(K::kDeltaRule).weights[0] = p.op(K::kNorm).weights[0]; }, "is 8, where 4"},
      {"delta rule: a state that is not there", [](Parts& p) { p.op(K::kDeltaRule).i[4] = 2; }, "region 2 of KV group"},
      {"join: the result", [](Parts& p) { p.op(K::kJoin).in[1] = p.one; }, "the width of its result is 10, where 9"},
      {"join: in place", [](Parts& p) { p.op(K::kJoin).out = p.x; }, "it works in place"},
      {"join: a blank that is none", [](Parts& p) { p.op(K::kJoin).i[0] = 3; }, "blank input 3"},
      {"what is handed on: of outputs",
       [](Parts& p) {
         p.program.hidden_elements = 8;
         p.program.hands_on = p.logits;
       },
       "what it takes or hands on"},
      {"what is handed on: none", [](Parts& p) { p.program.hands_on = 99; }, "what it takes or hands on"},
      {"what is taken: of another width",
       [](Parts& p) {
         p.program.hidden_elements = 8;
         p.program.takes = p.program.takes_model = p.program.hands_on = p.one;
       },
       "what it takes or hands on"},
      {"what is taken: nothing handed on",
       [](Parts& p) {
         p.program.hidden_elements = 8;
         p.program.takes = p.program.takes_model = p.x;
       },
       "and hands none on"},
      {"what is taken: beyond the ops",
       [](Parts& p) {
         p.program.hidden_elements = 8;
         p.program.takes = p.program.takes_model = p.program.hands_on = p.x;
         p.program.own_ops = 99;
       },
       "begins behind its ops"},
      {"attend whole: heads", [](Parts& p) { p.op(K::kAttendWhole).i[0] = 3; }, "3 heads over 2 of keys"},
      {"attend whole: no heads", [](Parts& p) { p.op(K::kAttendWhole).i[1] = 0; }, "a size of 0"},
      {"attend whole: queries", [](Parts& p) { p.op(K::kAttendWhole).in[0] = p.one; }, "the width of the queries is 1, where 8"},
      {"attend whole: keys", [](Parts& p) { p.op(K::kAttendWhole).in[1] = p.one; }, "the width of the keys is 1, where 8"},
      {"attend whole: values", [](Parts& p) { p.op(K::kAttendWhole).in[2] = p.one; }, "the width of the values is 1, where 8"},
      {"attend whole: the result", [](Parts& p) { p.op(K::kAttendWhole).out = p.one; }, "the width of its result is 1, where 8"},
      {"attend whole: in place", [](Parts& p) { p.op(K::kAttendWhole).out = p.x; }, "it works in place"},
      {"attend whole: no keys", [](Parts& p) { p.op(K::kAttendWhole).in[2] = kNoIndex; }, "3 inputs were expected"},
      {"attend whole: scratch", [](Parts& p) { p.op(K::kAttendWhole).scratch_bytes -= 64; }, "B are needed"},
      {"positions: beyond the table", [](Parts& p) { p.op(K::kEmbedPosition).i[0] = 5; }, "requests of 16 tokens, where 'weight 0' has 20"},
      {"positions: a row that overflows", [](Parts& p) { p.op(K::kEmbedPosition).i[0] = UINT64_MAX; }, "requests of 16 tokens"},
      {"positions: of requests of any length", [](Parts& p) { p.program.most_context_tokens = 0; }, "requests of 4294967295 tokens"},
      {"positions: a step", [](Parts& p) { p.op(K::kEmbedPosition).i[1] = 2; }, "a step of 2"},
      {"positions: a width", [](Parts& p) { p.op(K::kEmbedPosition).out = p.one; }, "the width of its table is 8, where 1"},
      {"positions: a row for all", [](Parts& p) { p.op(K::kEmbedPosition).i = {20, 0}; }, "rows from 20 on"},
      {"pool: of outputs", [](Parts& p) { p.op(K::kPool).in[0] = p.logits; }, "it takes rows of tokens"},
      {"pool: how", [](Parts& p) { p.op(K::kPool).i[0] = 4; }, "pooling 4"},
      {"pool: a width", [](Parts& p) { p.op(K::kPool).in[0] = p.one; }, "the width of its result is 8, where 1"},
      {"scan: heads", [](Parts& p) { p.op(K::kSsmScan).i[0] = 3; }, "the width of its result is 8, where 6"},
      {"scan: groups", [](Parts& p) { p.op(K::kSsmScan).i[3] = 3; }, "4 heads in 3 groups"},
      {"scan: steps", [](Parts& p) { p.op(K::kSsmScan).in[3] = p.one; }, "the width of its steps is 1"},
      {"scan: c", [](Parts& p) { p.op(K::kSsmScan).in[2] = p.one; }, "the width of c is 1"},
      {"scan: a", [](Parts& p) { p.op(K::kSsmScan).weights[0] = p.op(K::kNorm).weights[0]; }, "is 8, where 16 was expected"},
      {"scan: what goes by", [](Parts& p) { p.op(K::kSsmScan).weights[1] = p.op(K::kNorm).weights[0]; }, "is 8, where 4 was expected"},
      {"scan: a state that is too small", [](Parts& p) { p.op(K::kSsmScan).i[4] = 0; },
       "32 elements of a state at 0, where 'state' has 18"},
      {"states in a type that is none", [](Parts& p) { p.groups[2].geometry.regions[1].dtype = "int32"; }, "32 elements of 'int32'"},
      {"states in three rows", [](Parts& p) { p.groups[2].geometry.rows_per_sequence = 3; }, "has 3 rows for a sequence"},
      {"states beyond their row", [](Parts& p) { p.groups[2].layers[1].offset_bytes += 4; }, "a layer's state of 136 B at 140"},
      {"states in another lane", [](Parts& p) { p.groups[2].layers[0].lane = 1; }, "a layer's state of 136 B"},
      {"states at odd addresses", [](Parts& p) { p.groups[2].page_stride_bytes += 2; }, "9 pages of 274 B"},
      {"no states", [](Parts& p) { p.groups[2].pool = nullptr; }, "has no pool"},
      {"a group's type", [](Parts& p) { p.groups[0].geometry.k_dtype = "float8_e4m3fn"; }, "'float8_e4m3fn'|plain types"},
      {"a group's mixed record", [](Parts& p) { p.groups[0].geometry.record.push_back({"float32", 4}); }, "keeps what no op here reads"},
      {"a layer beyond its page", [](Parts& p) { p.groups[0].layers[1].offset_bytes += 4; }, "of a page of"},
      {"a layer that is too small", [](Parts& p) { p.groups[0].layers[0].bytes -= 4; }, "of a page of"},
      {"pages at odd addresses", [](Parts& p) { p.groups[0].page_stride_bytes += 2; }, "pages of"},
      {"no pool", [](Parts& p) { p.groups[0].pool = nullptr; }, "has no pool"}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Parts parts;
    parts.program.values[parts.q].width = 6;
    if (c.name == "embed: a width") parts.program.values[parts.q].width = 12;
    c.spoil(parts);
    const Result<void> refused = parts.check();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kBadRequest);
    const std::string& message = refused.error().message;
    const std::size_t either = c.says.find('|');
    EXPECT_TRUE(message.find(c.says.substr(0, either)) != std::string::npos ||
                (either != std::string::npos && message.find(c.says.substr(either + 1)) != std::string::npos))
        << message;
  }
}

TEST(ProgramCheckTest, RefusesASlabThatIsTooSmall) {
  Parts parts;
  parts.program.values[parts.q].width = 6;
  const test::Memory slab(parts.program.slab_bytes + 64);
  const auto make = [&](void* memory, std::uint64_t bytes) {
    return Executor<float>::create(parts.program, cpu_backend(), parts.weights, parts.groups, {memory, bytes}).has_value();
  };
  EXPECT_TRUE(make(slab.data(), parts.program.slab_bytes));
  EXPECT_FALSE(make(slab.data(), parts.program.slab_bytes - 1));
  EXPECT_FALSE(make(nullptr, parts.program.slab_bytes));
  EXPECT_FALSE(make(static_cast<std::byte*>(slab.data()) + 4, parts.program.slab_bytes));
}

// Rows of all replicas are gathered, go through experts and are given back, and nothing else has them.
TEST(ProgramCheckTest, RowsOfAllReplicasAreThoseOfSharedExperts) {
  ProgramBuilder b{32, 4, 16}; // room for 16 tokens of two replicas
  const std::uint32_t x = b.value(8), routes = b.value(4), all = b.value(8), all_routes = b.value(4), parts = b.value(8), y = b.value(8);
  const std::uint32_t logits = b.value(8, true), table = b.random_weight({20, 8}, 1), router = b.random_weight({4, 8}, 1);
  const std::uint32_t experts = b.random_weight({8, 8}, 1, 2);
  b.op(OpKind::kEmbed, x, {}, {table}, {}, {1});
  b.op(OpKind::kRoute, routes, {x}, {router}, {4, 2, 2, 1}, {1});
  b.op(OpKind::kGatherRows, all, {x});
  b.op(OpKind::kGatherRows, all_routes, {routes});
  b.op(OpKind::kExperts, parts, {all, all_routes}, {experts, experts, experts}, {4, 2, 8, PLIMSOLL_ACT_SILU, 0, 2, 2});
  b.op(OpKind::kScatterSum, y, {parts});
  b.op(OpKind::kLastRows, logits, {y});
  Program right = b.program(logits);
  right.most_tokens = 16;
  right.replicas = 2;
  for (const std::uint32_t value : {all, all_routes, parts}) right.values[value].of_replicas = true;
  const Result<void> checked = check_program(right, b.weights(), {});
  EXPECT_TRUE(checked) << checked.error().message;
  struct Case {
    std::string name;
    std::function<void(Program&)> spoil;
    std::string says;
  };
  const Case cases[] = {
      {"no replicas", [](Program& p) { p.replicas = 0; }, "0 replicas"},
      {"a gather of what is gathered", [&](Program& p) { p.ops[2].in[0] = parts; }, "rows of tokens of this replica were expected"},
      {"a gather to this replica", [&](Program& p) { p.ops[2].out = y; }, "rows of tokens of all replicas were expected"},
      {"a gather of another width", [&](Program& p) { p.ops[2].out = all_routes; }, "is 4, where 8 was expected"},
      {"a gather that adds", [](Program& p) { p.ops[2].accumulate = true; }, "it adds rows"},
      {"experts of this replica", [&](Program& p) { p.ops[4].out = y; }, "rows of different kinds"},
      {"a sum of this replica", [&](Program& p) { p.ops[5].in[0] = x; }, "rows of tokens of all replicas were expected"},
      {"a sum to all replicas", [&](Program& p) { p.ops[5].out = all; }, "gives rows of all replicas"},
      {"tokens of all replicas", [&](Program& p) { p.ops[0].out = all; }, "gives rows of all replicas"},
      {"logits of all replicas", [&](Program& p) { p.values[logits].of_replicas = true; }, "gives rows of all replicas"},
      {"scratch for one replica", [](Program& p) { p.ops[4].scratch_bytes -= 64; }, "B are needed"},
      {"more replicas than there is room for", [](Program& p) { p.replicas = 1000; }, "of a slab of"}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Program wrong = right;
    c.spoil(wrong);
    const Result<void> refused = check_program(wrong, b.weights(), {});
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(c.says), std::string::npos) << refused.error().message;
  }
}

} // namespace
} // namespace plimsoll::executor_check_test
