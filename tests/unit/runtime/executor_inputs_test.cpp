// Passes that cannot be computed are refused, and nothing is written.
#include "runtime/executor_inputs.hpp"

#include <cstring>
#include <functional>
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_inputs_test {
namespace {

using test::PassRunner;
using test::Pool;
using test::ProgramBuilder;

// What a test may spoil, with memory of its own.
struct Inputs {
  std::vector<std::int32_t> tokens{1, 2, 3, 4, 5};
  std::vector<std::uint32_t> offsets{0, 3, 5}, lengths{0, 10}, table = std::vector<std::uint32_t>(2 * 4, 0);
  std::uint32_t batch = 2, lanes = 1, columns = 4, fill = 0;
  std::uint64_t logits_per_sequence = 1, groups = 1;

  Inputs() {
    table[0] = 1;
    table[4] = 2;
    table[5] = 3;
  } // pages of 8: positions 0-2; 0-12
};

class ExecutorInputsTest : public ::testing::Test {
protected:
  ExecutorInputsTest() {
    const std::uint32_t x = builder.value(8), k = builder.value(8), v = builder.value(8), a = builder.value(8),
                        logits = builder.value(8, true);
    for (const std::uint32_t value : {x, k, v}) builder.op(OpKind::kEmbed, value, {}, {builder.random_weight({20, 8}, 1)}, {}, {1});
    builder.attend(OpKind::kAttend, 0, 0, a, {x, k, v}, {}, {2, 2, 4, 4, 9}, {0.5}); // a window of 9
    builder.op(OpKind::kLastRows, logits, {a});
    Program program = builder.program(logits);
    program.most_context_tokens = 30;
    pool = std::make_shared<Pool>(test::PoolShape{CacheKind::kWindow, 1, 2, 4, 4, 8, 9});
    runner.emplace(program, builder.weights(), std::vector{pool});
  }
  Result<ForwardOutputs<float>> run(const Inputs& in) {
    KvGroupInputs group;
    group.table = in.table;
    group.lanes = in.lanes;
    group.columns = in.columns;
    group.fill = in.fill;
    ForwardInputs inputs;
    inputs.tokens = std::span<const std::int32_t>(in.tokens);
    inputs.row_offsets = in.offsets;
    inputs.kv.batch = in.batch;
    inputs.kv.cache_lengths = in.lengths;
    inputs.kv.groups = std::span(&group, in.groups);
    inputs.logits_per_sequence = in.logits_per_sequence;
    return runner->executor().run(inputs);
  }

  ProgramBuilder builder{6, 2, 4};
  std::shared_ptr<Pool> pool;
  std::optional<PassRunner<float>> runner;
};

TEST_F(ExecutorInputsTest, TakesWhatIsPlanned) {
  EXPECT_TRUE(run({}));
  Inputs at_the_limits;
  at_the_limits.logits_per_sequence = 2;
  at_the_limits.tokens.push_back(19);
  at_the_limits.offsets[2] = 6;
  at_the_limits.lengths[1] = 27;
  at_the_limits.table[4] = at_the_limits.table[5] = 77; // the window has left them
  at_the_limits.table[6] = 3;
  at_the_limits.table[7] = 8;
  EXPECT_TRUE(run(at_the_limits));
}

TEST_F(ExecutorInputsTest, RefusesWhatIsNot) {
  struct Case {
    std::string name;
    std::function<void(Inputs&)> spoil;
    std::string says;
  };
  const Case cases[] = {
      {"no tokens",
       [](Inputs& in) {
         in.tokens.clear(), in.offsets = {0, 0, 0};
       },
       "it has 0 tokens; the plan is for 1 to 6"},
      {"too many tokens",
       [](Inputs& in) {
         in.tokens.resize(7, 1), in.offsets = {0, 3, 7};
       },
       "it has 7 tokens"},
      {"no offsets", [](Inputs& in) { in.offsets.clear(); }, "0 row offsets"},
      {"one offset", [](Inputs& in) { in.offsets = {0}; }, "1 row offsets"},
      {"too many sequences",
       [](Inputs& in) {
         in.offsets = {0, 1, 3, 5}, in.batch = 3, in.lengths.push_back(0);
       },
       "4 row offsets"},
      {"offsets that begin late", [](Inputs& in) { in.offsets[0] = 1; }, "row offsets from 1 to 5"},
      {"offsets that end early", [](Inputs& in) { in.offsets[2] = 4; }, "row offsets from 0 to 4 for 5 tokens"},
      {"offsets that fall",
       [](Inputs& in) {
         in.offsets = {0, 6, 5};
       },
       "sequence 1 has no tokens"},
      {"an empty sequence",
       [](Inputs& in) {
         in.offsets = {0, 5, 5};
       },
       "sequence 1 has no tokens"},
      {"another batch", [](Inputs& in) { in.batch = 1; }, "2 sequences, but 1 page tables"},
      {"too few lengths", [](Inputs& in) { in.lengths.pop_back(); }, "1 cache lengths"},
      {"a token that is negative", [](Inputs& in) { in.tokens[4] = -1; }, "token 4 of it is -1; the model knows 0 to 19"},
      {"a token that is unknown", [](Inputs& in) { in.tokens[0] = 20; }, "token 0 of it is 20"},
      {"too long a context", [](Inputs& in) { in.lengths[1] = 29; }, "sequence 1 ends at 31 tokens; the plan is for 30"},
      {"no tables", [](Inputs& in) { in.groups = 0; }, "no page table"},
      {"too short a table", [](Inputs& in) { in.table.pop_back(); }, "the page table of 'attention' has 7 cells"},
      {"too few lanes", [](Inputs& in) { in.lanes = 0; }, "in 0 lanes"},
      {"too few columns", [](Inputs& in) { in.columns = 1; }, "has 1 columns; sequence 1 needs 2"},
      {"a page beyond the pool", [](Inputs& in) { in.table[5] = 9; },
       "page 1 of sequence 1 in 'attention' is 9, which is none of the 9 of its pool"},
      {"a null page where a key is", [](Inputs& in) { in.table[5] = 0; }, "alloc comes first"},
      {"too many rows of logits", [](Inputs& in) { in.logits_per_sequence = 3; }, "5 rows want logits; the plan is for 4"}};
  const std::vector<std::byte> slab_before(static_cast<const std::byte*>(runner->slab().data()),
                                           static_cast<const std::byte*>(runner->slab().data()) + runner->slab().bytes());
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Inputs in;
    c.spoil(in);
    const Result<ForwardOutputs<float>> refused = run(in);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kBadRequest);
    EXPECT_NE(refused.error().message.find(c.says), std::string::npos) << refused.error().message;
  }
  EXPECT_EQ(std::memcmp(slab_before.data(), runner->slab().data(), slab_before.size()), 0);
  const auto* page = static_cast<const std::uint8_t*>(pool->group().pool);
  EXPECT_TRUE(std::all_of(page, page + 9 * pool->group().geometry.page_bytes, [](std::uint8_t byte) { return byte == 0xFF; }));
}

} // namespace
} // namespace plimsoll::executor_inputs_test
