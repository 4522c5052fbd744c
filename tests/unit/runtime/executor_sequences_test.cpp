// EMBED_POSITION, POOL and JOIN: which row of a table a token gets, which rows of a sequence its vector is made of, and which row stands
// first in its sequence.
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_sequences_test {
namespace {

using test::OpCase;
using test::PassRunner;
using test::Table;

using Part = PassRunner<float>::Part;

TEST(EmbedPositionTest, TakesRowsByPositionInTheSequence) {
  for (const std::string dtype : {"float32", "bfloat16", "float16"}) {
    OpCase c(6);
    const std::uint32_t table = c.builder.weight({8, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, dtype);
    const std::uint32_t out = c.input(Table(6, 2, std::vector<double>(12, 100)));
    c.builder.op(OpKind::kEmbedPosition, out, {}, {table}, {2, 1}, {0.5}).accumulate = true;
    Program program = c.finish(out);
    program.most_context_tokens = 6;
    PassRunner<float> run = c.run<float>(program);
    EXPECT_EQ(run.pass({Part{0, {0, 1}}, Part{1, {2, 3, 4}}}, kAllRows),
              (std::vector<double>{102, 102.5, 103, 103.5, 102, 102.5, 103, 103.5, 104, 104.5}));
    EXPECT_EQ(run.pass({Part{0, {5}}}, kAllRows), (std::vector<double>{104, 104.5})) << "it goes on where the last pass ended";
  }
}

TEST(EmbedPositionTest, OfATypeIsOneRowForAll) {
  OpCase c(3);
  const std::uint32_t table = c.builder.weight({2, 3}, {1, 2, 3, 4, 5, 6}), out = c.output(3);
  c.builder.op(OpKind::kEmbedPosition, out, {}, {table}, {1, 0}, {2});
  EXPECT_EQ(c.run<float>(c.finish(out)).pass({Part{0, {0, 1}}}, kAllRows), (std::vector<double>{8, 10, 12, 8, 10, 12}));
}

TEST(EmbedPositionTest, TakesRowsWiderThanABlock) {
  OpCase c(4);
  const Table table(4, 700, 7);
  const std::uint32_t weight = c.builder.weight({4, 700}, table.values), out = c.output(700);
  c.builder.op(OpKind::kEmbedPosition, out, {}, {weight}, {0, 1}, {1});
  Program program = c.finish(out);
  program.most_context_tokens = 4;
  OpCase::expect_near(c.run<float>(program).pass({Part{0, {0, 1, 2, 3}}}, kAllRows), table.values, 0);
}

TEST(JoinTest, PutsColumnsSideBySide) {
  const Table a(5, 3, 11), b(5, 2, 12);
  for (const std::uint64_t blank : {0U, 1U, 2U}) {
    SCOPED_TRACE(blank);
    OpCase c(5);
    const std::uint32_t first = c.input(a), second = c.input(b), out = c.output(5);
    c.builder.op(OpKind::kJoin, out, {first, second}, {}, {blank});
    std::vector<double> expected;
    for (std::uint64_t row = 0; row < 5; ++row)
      for (std::uint64_t i = 0; i < 5; ++i) {
        const bool is_blank = row == 0 && blank == (i < 3 ? 1U : 2U);
        expected.push_back(is_blank ? 0 : i < 3 ? a.at(row, i) : b.at(row, i - 3));
      }
    PassRunner<float> run = c.run<float>(c.finish(out));
    // One sequence, whose last two tokens follow three in the cache.
    OpCase::expect_near(run.pass({Part{0, {0, 1, 2}}}, kAllRows), {expected.begin(), expected.begin() + 15}, 1e-7);
    OpCase::expect_near(run.pass({Part{0, {3, 4}}}, kAllRows), {expected.begin() + 15, expected.end()}, 1e-7);
  }
}

TEST(PoolTest, GivesARowForEachSequence) {
  const Table x(6, 300, 3);
  const auto expected = [&](std::uint64_t how) {
    std::vector<double> out;
    for (const auto& [begin, end] : {std::pair(0U, 1U), std::pair(1U, 4U), std::pair(4U, 6U)})
      for (std::uint64_t i = 0; i < x.width; ++i) {
        double mean = 0;
        for (std::uint64_t row = begin; row < end; ++row) mean += x.at(row, i) / (end - begin);
        out.push_back(how == PLIMSOLL_POOL_MEAN ? mean : x.at(how == PLIMSOLL_POOL_FIRST ? begin : end - 1, i));
      }
    return out;
  };
  for (const std::uint64_t how : {PLIMSOLL_POOL_FIRST, PLIMSOLL_POOL_MEAN, PLIMSOLL_POOL_LAST}) {
    SCOPED_TRACE(how);
    OpCase c(6);
    const std::uint32_t in = c.input(x), out = c.builder.value(x.width, true);
    c.builder.op(OpKind::kPool, out, {in}, {}, {how});
    const Program program = c.builder.program(out);
    const std::vector<Part> parts{{0, {0}}, {1, {1, 2, 3}}, {2, {4, 5}}};
    OpCase::expect_near(c.run<float>(program).pass(parts), expected(how), 1e-7);
    // Whoever asks for more rows gets one a sequence all the same.
    OpCase::expect_near(c.run<float>(program).pass(parts, kAllRows), expected(how), 1e-7);
    EXPECT_TRUE(c.run<float>(program).pass(parts, 0).empty());
  }
}

} // namespace
} // namespace plimsoll::executor_sequences_test
