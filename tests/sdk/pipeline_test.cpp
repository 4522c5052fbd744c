// What a planner's description looks like to a host: the structs that op::Norm and the others fill, who is asked, what becomes of errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "plimsoll/plugin.hpp"

namespace pipeline_tests {
namespace {

using namespace plimsoll;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct SeenOp {
  std::uint32_t kind, flags, layer, out;
  std::vector<std::uint32_t> in;
  std::vector<std::string> weights;
  std::string kv_group;
  std::vector<std::uint64_t> i;
  std::vector<double> f;
};

// The host's sink: keeps what comes, hands out indices from 0, and refuses what it is told to refuse.
struct Seen {
  std::vector<plimsoll_value> values;
  std::vector<std::vector<double>> tables;
  std::vector<SeenOp> ops;
  std::vector<std::array<std::uint32_t, 4>> parts;
  plimsoll_status answer = PLIMSOLL_OK;

  Seen() {
    raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline_sink, part);
    raw.ctx = this;
    raw.value = [](void* ctx, const plimsoll_value* value, std::uint32_t* index) noexcept {
      of(ctx).values.push_back(*value);
      *index = static_cast<std::uint32_t>(of(ctx).values.size() - 1);
      return of(ctx).answer;
    };
    raw.rope = [](void* ctx, const plimsoll_rope_table* table, std::uint32_t* index) noexcept {
      of(ctx).tables.emplace_back(table->inverse_frequencies, table->inverse_frequencies + table->n);
      *index = static_cast<std::uint32_t>(of(ctx).tables.size() - 1);
      return of(ctx).answer;
    };
    raw.op = [](void* ctx, const plimsoll_op* op) noexcept {
      EXPECT_EQ(op->struct_size, PLIMSOLL_SIZE_THROUGH(plimsoll_op, f));
      SeenOp seen{op->kind,
                  op->flags,
                  op->layer,
                  op->out,
                  {op->in, op->in + op->n_in},
                  {},
                  std::string(to_view(op->kv_group)),
                  {op->i, op->i + PLIMSOLL_OP_MAX_INTEGERS},
                  {op->f, op->f + PLIMSOLL_OP_MAX_REALS}};
      for (std::uint32_t n = 0; n < op->n_weights; ++n) seen.weights.emplace_back(to_view(op->weight[n]));
      of(ctx).ops.push_back(std::move(seen));
      return of(ctx).answer;
    };
    raw.part = [](void* ctx, std::uint32_t aspects, std::uint32_t layer, std::uint32_t in, std::uint32_t out) noexcept {
      of(ctx).parts.push_back({aspects, layer, in, out});
      return of(ctx).answer;
    };
  }
  Seen(const Seen&) = delete;
  Seen& operator=(const Seen&) = delete;

  plimsoll_pipeline_sink raw{};

private:
  static Seen& of(void* ctx) { return *static_cast<Seen*>(ctx); }
};

constexpr Value kA{4}, kB{5}, kC{6}, kOut{7};

// One op: numbers as the table of pipeline.h lists them, trailing zeros left out.
struct Row {
  const char* name;
  std::uint32_t kind;
  std::vector<std::uint32_t> in;
  std::vector<std::string> weights;
  std::vector<std::uint64_t> i;
  std::vector<double> f;
  std::uint32_t flags = 0;
  std::string kv_group = {};
};
template <class Op>
void expect_op(const Op& op, Row row) {
  const Seen seen;
  Pipeline(&seen.raw, 3).set(kOut, op);
  ASSERT_EQ(seen.ops.size(), 1U);
  const SeenOp& found = seen.ops[0];
  row.i.resize(PLIMSOLL_OP_MAX_INTEGERS);
  row.f.resize(PLIMSOLL_OP_MAX_REALS);
  EXPECT_EQ(found.kind, row.kind) << row.name;
  EXPECT_EQ(found.flags, row.flags) << row.name;
  EXPECT_EQ(found.layer, 3U) << row.name;
  EXPECT_EQ(found.out, kOut.index) << row.name;
  EXPECT_EQ(found.in, row.in) << row.name;
  EXPECT_EQ(found.weights, row.weights) << row.name;
  EXPECT_EQ(found.kv_group, row.kv_group) << row.name;
  EXPECT_EQ(found.i, row.i) << row.name;
  EXPECT_EQ(found.f, row.f) << row.name;
}

TEST(Ops, FillWhatTheHeaderListsForThem) {
  const op::AttendSizes sizes{8, 2, 64, 32};
  const auto all = std::uint64_t{PLIMSOLL_ALL_PARTS};
  expect_op(op::Embed("table").scale(8).reduce(), {"embed", PLIMSOLL_OP_EMBED, {}, {"table"}, {}, {8}, PLIMSOLL_OP_REDUCE});
  expect_op(op::Norm(kA, "gain", 1e-5), {"norm", PLIMSOLL_OP_NORM, {4}, {"gain"}, {}, {1e-5}});
  expect_op(op::Norm(kA, "gain", 1e-5).bias("b").heads(8, 64).mean().plus_one(),
            {"norm of heads", PLIMSOLL_OP_NORM, {4}, {"gain", "b"}, {8, 64, 0, 64, 1, 1}, {1e-5}});
  expect_op(op::Norm(kA, "", 1e-5).columns(1, 576, 0, 512), {"norm of columns", PLIMSOLL_OP_NORM, {4}, {}, {1, 576, 0, 512}, {1e-5}});
  expect_op(op::Linear(kA, "w"), {"linear", PLIMSOLL_OP_LINEAR, {4}, {"w"}, {all}, {1}});
  expect_op(op::Linear(kA, "w").bias("w.bias").part(2).scale(0.5).reduce(),
            {"part", PLIMSOLL_OP_LINEAR, {4}, {"w", "w.bias"}, {2}, {0.5}, PLIMSOLL_OP_REDUCE});
  expect_op(op::Linear(kA, "w").bias(""), {"no bias", PLIMSOLL_OP_LINEAR, {4}, {"w"}, {all}, {1}});
  expect_op(op::Rope(kA, RopeTable{9}).columns(8, 192, 128, 64).interleaved(),
            {"rope", PLIMSOLL_OP_ROPE, {4}, {}, {8, 192, 128, 64, 1, 9}, {}});
  expect_op(op::Attend(kA, kB, kC, "kv", sizes), {"attend", PLIMSOLL_OP_ATTEND, {4, 5, 6}, {}, {8, 2, 64, 32}, {0.125}, 0, "kv"});
  expect_op(op::Attend(kA, "kv", sizes).window(128).chunk(9).scale(2).soft_cap(50).sinks("s"),
            {"attend to what is stored", PLIMSOLL_OP_ATTEND, {4}, {"s"}, {8, 2, 64, 32, 128, 9}, {2, 50}, 0, "kv"});
  expect_op(op::Attend(kA, "kv", sizes).grow(0.1, 8192).bias(8).of_layer(2),
            {"attend to another layer", PLIMSOLL_OP_ATTEND, {4}, {}, {8, 2, 64, 32, 0, 0, 8192, 3}, {0.125, 0, 0.1, 8}, 0, "kv"});
  expect_op(op::Multiply(kA, "w", 0.5), {"multiply", PLIMSOLL_OP_MULTIPLY, {4}, {"w"}, {}, {0.5}});
  expect_op(op::AttendLatent(kA, kB, "kv_b", "kv", {8, 512, 36, 28, 16}),
            {"latent", PLIMSOLL_OP_ATTEND_LATENT, {4, 5}, {"kv_b"}, {8, 512, 36, 28, 16}, {0.125}, 0, "kv"});
  expect_op(op::Conv(kA, "w", 4, "state", 1), {"conv", PLIMSOLL_OP_CONV, {4}, {"w"}, {all, 4, 0, 1}, {}, 0, "state"});
  expect_op(op::Conv(kA, "w", 4, "state", 0).part(2, 96).bias("w.bias").act(Activation::kSilu),
            {"part of a convolution", PLIMSOLL_OP_CONV, {4}, {"w", "w.bias"}, {2, 4, PLIMSOLL_ACT_SILU, 0, 96}, {}, 0, "state"});
  expect_op(op::SsmScan(kA, kB, kC, kA, "a", "state", 2, {8, 64, 128, 1}),
            {"scan", PLIMSOLL_OP_SSM_SCAN, {4, 5, 6, 4}, {"a"}, {8, 64, 128, 1, 2}, {}, 0, "state"});
  expect_op(op::SsmScan(kA, kB, kC, kA, "a", "state", 2, {8, 64, 128, 1}).skip("d").dt_bias("dt").stored().limits(0.001, 0.1),
            {"scan with all", PLIMSOLL_OP_SSM_SCAN, {4, 5, 6, 4}, {"a", "d", "dt"}, {8, 64, 128, 1, 2, 1}, {0.001, 0.1}, 0, "state"});
  expect_op(op::Columns(kA, 4, 24, 8, 16), {"columns", PLIMSOLL_OP_COLUMNS, {4}, {}, {4, 24, 8, 16}, {}});
  expect_op(op::DeltaRule(kA, kB, kC, kA, kB, "a", "state", 1, {8, 4, 64, 32}, 1e-6),
            {"delta rule", PLIMSOLL_OP_DELTA_RULE, {4, 5, 6, 4, 5}, {"a"}, {8, 4, 64, 32, 1}, {1e-6, 0.125}, 0, "state"});
  expect_op(op::DeltaRule(kA, kB, kC, kA, kB, "a", "state", 1, {8, 4, 64, 32}, 1e-6).dt_bias("dt").stored().scale(1),
            {"delta rule with all", PLIMSOLL_OP_DELTA_RULE, {4, 5, 6, 4, 5}, {"a", "dt"}, {8, 4, 64, 32, 1, 1}, {1e-6, 1}, 0, "state"});
  expect_op(op::EmbedPosition("table", 2), {"positions", PLIMSOLL_OP_EMBED_POSITION, {}, {"table"}, {2, 1}, {1}});
  expect_op(op::EmbedPosition("table").same().scale(3), {"a type", PLIMSOLL_OP_EMBED_POSITION, {}, {"table"}, {}, {3}});
  expect_op(op::Pool(kA, Pooling::kMean), {"pool", PLIMSOLL_OP_POOL, {4}, {}, {PLIMSOLL_POOL_MEAN}, {}});
  expect_op(op::Patches({3, 2, 14, 2}), {"patches", PLIMSOLL_OP_PATCHES, {}, {}, {3, 2, 14, 2}, {}});
  expect_op(op::Patches({3, 2, 14, 2, 4}), {"windows", PLIMSOLL_OP_PATCHES, {}, {}, {3, 2, 14, 2, 4}, {}});
  expect_op(op::RowsInOrder(kA), {"rows in order", PLIMSOLL_OP_ROWS_IN_ORDER, {4}, {}, {}, {}});
  expect_op(op::AttendWhole(kA, kB, kC, sizes).apart(), {"apart", PLIMSOLL_OP_ATTEND_WHOLE, {4, 5, 6}, {}, {8, 2, 64, 32, 0, 1}, {0.125}});
  expect_op(op::MergeRows(kA, 4), {"merge rows", PLIMSOLL_OP_MERGE_ROWS, {4}, {}, {4}, {}});
  expect_op(op::ImageRows(kA, 300), {"image rows", PLIMSOLL_OP_IMAGE_ROWS, {4}, {}, {300}, {}});
  expect_op(op::Join(kA, kB), {"join", PLIMSOLL_OP_JOIN, {4, 5}, {}, {}, {}});
  expect_op(op::Join(kA, kB).blank_first(), {"join with a blank", PLIMSOLL_OP_JOIN, {4, 5}, {}, {1}, {}});
  expect_op(op::Join(kA, kB).blank_first(true), {"join with another", PLIMSOLL_OP_JOIN, {4, 5}, {}, {2}, {}});
  expect_op(op::RopeSections(kA, RopeTable{3}, {2, 3, 4}, SectionOrder::kInTurn).columns(8, 18, 0, 18),
            {"rope sections", PLIMSOLL_OP_ROPE_SECTIONS, {4}, {}, {8, 18, 0, 18, 1, 3, 2, 3}, {}});
  expect_op(op::AttendWhole(kA, kB, kC, sizes), {"attend whole", PLIMSOLL_OP_ATTEND_WHOLE, {4, 5, 6}, {}, {8, 2, 64, 32}, {0.125}});
  expect_op(op::AttendWhole(kA, kB, kC, sizes).window(128).scale(2).soft_cap(50),
            {"attend whole with all", PLIMSOLL_OP_ATTEND_WHOLE, {4, 5, 6}, {}, {8, 2, 64, 32, 128}, {2, 50}});
  expect_op(op::Gate(kA, kB, Activation::kSilu), {"gate", PLIMSOLL_OP_GATE, {4, 5}, {}, {PLIMSOLL_ACT_SILU}, {}});
  expect_op(op::Gate(kA, Activation::kReluSquared), {"squared", PLIMSOLL_OP_GATE, {4}, {}, {PLIMSOLL_ACT_RELU_SQUARED}, {}});
  expect_op(op::Gate(kA, Activation::kSoftCap).cap(30), {"cap", PLIMSOLL_OP_GATE, {4}, {}, {PLIMSOLL_ACT_SOFT_CAP}, {30}});
  expect_op(op::Gate(kA, kB, Activation::kSwigluOai).clamp(7, 1.702),
            {"clamp", PLIMSOLL_OP_GATE, {4, 5}, {}, {PLIMSOLL_ACT_SWIGLU_OAI}, {7, 1.702}});
  expect_op(op::Route(kA, "r", 64, 6, Score::kSoftmax), {"route", PLIMSOLL_OP_ROUTE, {4}, {"r"}, {64, 6}, {1}});
  expect_op(op::Route(kA, "r", 64, 6, Score::kSigmoid).correction("c").groups(8, 4, GroupWorth::kBestTwo).renormalise().scale(2.5),
            {"grouped", PLIMSOLL_OP_ROUTE, {4}, {"r", "", "c"}, {64, 6, 8, 4, PLIMSOLL_SCORE_SIGMOID, 1, PLIMSOLL_GROUP_BEST_TWO}, {2.5}});
  expect_op(op::Route(kA, "r", 64, 1, Score::kSigmoidChosen).gains("g"),
            {"gains", PLIMSOLL_OP_ROUTE, {4}, {"r", "", "", "g"}, {64, 1, 0, 0, PLIMSOLL_SCORE_SIGMOID_CHOSEN}, {1}});
  expect_op(op::Experts(kA, kB, "g", "u", "d").sizes(64, 6, 32, Activation::kSilu).weigh_inputs(),
            {"weighed", PLIMSOLL_OP_EXPERTS, {4, 5}, {"g", "u", "d"}, {64, 6, 32, PLIMSOLL_ACT_SILU, 0, 0, 0, 1}, {}});
  expect_op(op::Experts(kA, kB, "g", "u", "d").sizes(64, 6, 32, Activation::kSilu).reduce(),
            {"experts", PLIMSOLL_OP_EXPERTS, {4, 5}, {"g", "u", "d"}, {64, 6, 32, PLIMSOLL_ACT_SILU}, {}, PLIMSOLL_OP_REDUCE});
  expect_op(op::Experts(kA, kB, "gu", Pairing::kAlternating, "d")
                .biases("gu.bias", "", "d.bias")
                .sizes(64, 6, 32, Activation::kSwigluOai)
                .clamp(7, 1.702),
            {"paired",
             PLIMSOLL_OP_EXPERTS,
             {4, 5},
             {"gu", "", "d", "gu.bias", "", "d.bias"},
             {64, 6, 32, PLIMSOLL_ACT_SWIGLU_OAI, 2},
             {7, 1.702}});
  expect_op(op::LastRows(kA), {"last rows", PLIMSOLL_OP_LAST_ROWS, {4}, {}, {}, {}});
  expect_op(op::Add(kA, 0.5), {"add", PLIMSOLL_OP_ADD, {4}, {}, {}, {0.5}});
  expect_op(op::ScaleRows(kA, kB, Activation::kSigmoid), {"scale", PLIMSOLL_OP_SCALE_ROWS, {4, 5}, {}, {PLIMSOLL_ACT_SIGMOID}, {}});
}

TEST(Ops, RefuseWhatCannotBeMeant) {
  EXPECT_THROW(op::Linear(Value{}, "w"), Error); // a value that nobody made
  EXPECT_THROW(op::Attend(kA, kB, Value{}, "kv", {1, 1, 1, 1}), Error);
  EXPECT_THROW(op::Norm(kA, "g", 0), Error);
  EXPECT_THROW(op::Norm(kA, "g", 1e-5).heads(0, 64), Error);
  EXPECT_THROW(op::Rope(kA, RopeTable{0}).columns(1, 64, 0, 0), Error);
  EXPECT_THROW(op::Attend(kA, "kv", {8, 0, 64, 64}), Error);
  EXPECT_THROW(op::Route(kA, "r", 8, 0, Score::kSoftmax), Error);
  EXPECT_THROW(op::Experts(kA, kB, "g", "u", "d").sizes(8, 2, 0, Activation::kSilu), Error);
}

// A host that is older than the function has a smaller sink; one that knows it may refuse.
TEST(Pipeline, SharesValuesWhereTheHostDoes) {
  Seen seen;
  const Pipeline out(&seen.raw, 5);
  try {
    out.shared(3, 64);
    ADD_FAILURE() << "an older host gave a value";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), PLIMSOLL_E_UNSUPPORTED);
    EXPECT_THAT(error.what(), HasSubstr("keeps no values from part to part"));
  }
  seen.raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline_sink, shared);
  seen.raw.shared = [](void*, const plimsoll_value* value, std::uint32_t key, std::uint32_t* index) noexcept -> plimsoll_status {
    *index = 40 + key;
    return value->width == 64 && value->rows == PLIMSOLL_ROWS_TOKENS ? PLIMSOLL_OK : PLIMSOLL_E_ABI;
  };
  EXPECT_EQ(out.shared(3, 64).index, 43U);
  EXPECT_THROW(out.shared(3, 65), Error);
}

TEST(Pipeline, MakesValuesSetsThemAndAddsToThem) {
  const Seen seen;
  const Pipeline out(&seen.raw, PLIMSOLL_NO_LAYER);
  const Value x = out.value(64), q = out.make(128, 8, op::Linear(x, "q")), last = out.value(64, 0, Rows::kOutputs);
  EXPECT_EQ(x.index, 0U);
  EXPECT_EQ(q.index, 1U);
  ASSERT_EQ(seen.values.size(), 3U);
  EXPECT_EQ(seen.values[1].width, 128U);
  EXPECT_EQ(seen.values[1].units, 8U);
  EXPECT_EQ(seen.values[last.index].rows, std::uint32_t{PLIMSOLL_ROWS_OUTPUTS});
  out.add(x, op::Linear(q, "o").reduce());
  ASSERT_EQ(seen.ops.size(), 2U);
  EXPECT_EQ(seen.ops[1].flags, PLIMSOLL_OP_ACCUMULATE | PLIMSOLL_OP_REDUCE);
  EXPECT_EQ(seen.ops[1].layer, PLIMSOLL_NO_LAYER);
  Pipeline(&seen.raw, 5).ffn(q, x);
  EXPECT_THAT(seen.parts, ElementsAre(std::array<std::uint32_t, 4>{PLIMSOLL_ASPECT_FFN, 5, 1, 0}));
}

TEST(Pipeline, HandsTablesOver) {
  const Seen seen;
  const Pipeline out(&seen.raw, 0);
  EXPECT_EQ(out.table(rope::plain(10000, 4)).index, 0U);
  EXPECT_THAT(seen.tables, ElementsAre(ElementsAre(1, 0.01)));
  RopeFrequencies halves = rope::plain(10000, 4);
  halves.long_inverse = {1};
  EXPECT_THROW(out.table(halves), Error);
}

TEST(Pipeline, PassesARefusalOn) {
  Seen seen;
  seen.answer = PLIMSOLL_E_ABI;
  const Pipeline out(&seen.raw, 0);
  const auto code = [](const auto& call) {
    try {
      call();
    } catch (const Error& e) {
      return e.code();
    }
    return plimsoll_status{PLIMSOLL_OK};
  };
  EXPECT_EQ(code([&] { out.value(4); }), PLIMSOLL_E_ABI);
  EXPECT_EQ(code([&] { out.table(rope::plain(10000, 4)); }), PLIMSOLL_E_ABI);
  EXPECT_EQ(code([&] { out.set(kA, op::Embed("e")); }), PLIMSOLL_E_ABI);
  EXPECT_EQ(code([&] { out.ffn(kA, kB); }), PLIMSOLL_E_ABI);
}

// ---- who describes -------------------------------------------------------------------------------------------

class Small : public PipelinePlanner {
public:
  using PipelinePlanner::PipelinePlanner;
  void describe(const PipelinePart& part, const Pipeline& out) const override {
    if (part.is_head()) no_pipeline("/model_type", "for heads");
    if (part.is_ffn()) throw std::runtime_error("a bug");
    if (part.is_embedding()) out.set(part.out, op::Embed("embedding"));
    else out.add(part.out, op::Linear(part.in, "w"));
  }
};

// A host with one child: a Small, or one that offers no interface.
bool child_describes = true;
const plimsoll_planner_api& small_table() { return detail::Table<Small>::kApi; }
const plimsoll_planner_api& silent_table() {
  static const plimsoll_planner_api table = [] {
    plimsoll_planner_api api = small_table();
    api.query = [](const plimsoll_planner*, plimsoll_str, const void**) noexcept -> const void* { return nullptr; };
    return api;
  }();
  return table;
}
struct Made {
  explicit Made(const plimsoll_planner_api& table);
  ~Made() { api.destroy(self); }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;
  const plimsoll_planner_api& api;
  plimsoll_planner* self = nullptr;
};
const plimsoll_host& host() {
  static const plimsoll_host built = [] {
    plimsoll_host h{};
    h.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_host, planner_for);
    h.subview = [](const plimsoll_view* view, plimsoll_str, const plimsoll_rename* const*, std::uint64_t,
                   const plimsoll_view** out) noexcept {
      *out = view;
      return plimsoll_status{PLIMSOLL_OK};
    };
    h.planner_for = [](const plimsoll_view*, plimsoll_str, plimsoll_str, const plimsoll_planner_api** api, const plimsoll_planner** child,
                       plimsoll_error*) noexcept {
      static const Made one(small_table());
      *api = child_describes ? &small_table() : &silent_table();
      *child = one.self;
      return plimsoll_status{PLIMSOLL_OK};
    };
    return h;
  }();
  return built;
}
const plimsoll_view* somewhere() {
  static const int place = 0;
  return reinterpret_cast<const plimsoll_view*>(&place);
}
Made::Made(const plimsoll_planner_api& table) : api(table) { EXPECT_EQ(api.create(&host(), somewhere(), &self, nullptr), PLIMSOLL_OK); }

struct Answer {
  plimsoll_status status = PLIMSOLL_E_NOT_FOUND;
  std::string where, message;
};
Answer describe(const Made& made, const Seen& seen, std::uint32_t aspects, std::uint32_t layer) {
  const void* object = nullptr;
  const auto* table = static_cast<const plimsoll_pipeline*>(made.api.query(made.self, PLIMSOLL_STR(PLIMSOLL_PIPELINE_ID), &object));
  if (table == nullptr) return {};
  EXPECT_EQ(table->struct_size, PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline, describe));
  plimsoll_error err{};
  err.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
  const plimsoll_status status = table->describe(object, aspects, layer, 1, 2, &seen.raw, &err);
  return {status, err.where, err.message};
}

TEST(PipelinePlanner, DescribesBehindTheTable) {
  const Made small(small_table());
  const Seen seen;
  EXPECT_EQ(describe(small, seen, PLIMSOLL_ASPECT_EMBED, PLIMSOLL_NO_LAYER).status, PLIMSOLL_OK);
  EXPECT_EQ(describe(small, seen, PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_STATE, 7).status, PLIMSOLL_OK);
  ASSERT_EQ(seen.ops.size(), 2U);
  EXPECT_EQ(seen.ops[0].layer, PLIMSOLL_NO_LAYER);
  EXPECT_EQ(seen.ops[1].layer, 7U);
  EXPECT_THAT(seen.ops[1].in, ElementsAre(1U));
  const void* object = nullptr;
  EXPECT_EQ(small.api.query(small.self, PLIMSOLL_STR("plimsoll.pipeline/2"), &object), nullptr);
}

TEST(PipelinePlanner, LetsNoExceptionPass) {
  const Made small(small_table());
  const Seen seen;
  const Answer head = describe(small, seen, PLIMSOLL_ASPECT_HEAD, PLIMSOLL_NO_LAYER);
  EXPECT_EQ(head.status, PLIMSOLL_E_UNSUPPORTED);
  EXPECT_EQ(head.where, "/model_type");
  EXPECT_EQ(head.message, "describes no pipeline for heads");
  EXPECT_EQ(describe(small, seen, PLIMSOLL_ASPECT_FFN, 0).status, PLIMSOLL_E_INTERNAL);
  EXPECT_THAT(seen.ops, IsEmpty());
}

class Tower : public DelegatingPipelinePlanner {
public:
  explicit Tower(const Config& config) : DelegatingPipelinePlanner(config, "/text_config") {}
};

TEST(DelegatingPipelinePlanner, DescribesAsItsLanguageModel) {
  const Seen seen;
  {
    child_describes = true;
    const Made tower(detail::Table<Tower>::kApi);
    EXPECT_EQ(describe(tower, seen, PLIMSOLL_ASPECT_ATTENTION, 2).status, PLIMSOLL_OK);
    EXPECT_EQ(seen.ops.at(0).layer, 2U);
    const Answer head = describe(tower, seen, PLIMSOLL_ASPECT_HEAD, PLIMSOLL_NO_LAYER);
    EXPECT_EQ(head.status, PLIMSOLL_E_UNSUPPORTED);
    EXPECT_EQ(head.where, "/text_config/model_type"); // the part's place in front
  }
  child_describes = false;
  const Made tower(detail::Table<Tower>::kApi);
  const Answer none = describe(tower, seen, PLIMSOLL_ASPECT_ATTENTION, 2);
  EXPECT_EQ(none.status, PLIMSOLL_E_UNSUPPORTED);
  EXPECT_EQ(none.where, "/text_config");
  EXPECT_THAT(none.message, HasSubstr("describes no pipeline"));
}

} // namespace
} // namespace pipeline_tests
