// ATTEND_WHOLE: against the sum over all rows of a sequence, computed at once; each sequence of a pass by itself.
#include <cmath>
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_attend_whole_test {
namespace {

using test::OpCase;
using test::PassRunner;
using test::Table;

struct Shape {
  std::uint64_t heads = 4, kv_heads = 2, k = 8, v = 8, window = 0;
  double scale = 0.3, cap = 0;
};

// Rows [begin, end) are a sequence.
void attend_by_hand(const Shape& s, const Table& q, const Table& k, const Table& v, std::uint64_t begin, std::uint64_t end, Table& out) {
  for (std::uint64_t row = begin; row < end; ++row)
    for (std::uint64_t h = 0; h < s.heads; ++h) {
      const std::uint64_t kv = h / (s.heads / s.kv_heads);
      double total = 0;
      std::vector<double> sum(s.v);
      for (std::uint64_t j = begin; j < end; ++j) {
        if (s.window != 0 && (j > row ? j - row : row - j) > s.window / 2) continue;
        double score = 0;
        for (std::uint64_t i = 0; i < s.k; ++i) score += s.scale * q.at(row, h * s.k + i) * k.at(j, kv * s.k + i);
        if (s.cap != 0) score = s.cap * std::tanh(score / s.cap);
        total += std::exp(score);
        for (std::uint64_t i = 0; i < s.v; ++i) sum[i] += std::exp(score) * v.at(j, kv * s.v + i);
      }
      for (std::uint64_t i = 0; i < s.v; ++i) out.at(row, h * s.v + i) += sum[i] / total;
    }
}

// Sequences of these lengths in one pass.
void expect_as_by_hand(const Shape& s, const std::vector<std::uint64_t>& lengths, bool accumulate = false) {
  std::uint64_t rows = 0;
  for (const std::uint64_t length : lengths) rows += length;
  const Table q(rows, s.heads * s.k, 1, 2), k(rows, s.kv_heads * s.k, 2, 2), v(rows, s.kv_heads * s.v, 3);
  Table expected(rows, s.heads * s.v, accumulate ? 4 : 0, accumulate ? 1 : 0);
  OpCase op(rows, lengths.size());
  const std::uint32_t in_q = op.input(q), in_k = op.input(k), in_v = op.input(v);
  const std::uint32_t out = accumulate ? op.input(expected) : op.output(s.heads * s.v);
  op.builder.op(OpKind::kAttendWhole, out, {in_q, in_k, in_v}, {}, {s.heads, s.kv_heads, s.k, s.v, s.window}, {s.scale, s.cap}).accumulate =
      accumulate;
  const Program program = op.finish(out);
  std::vector<PassRunner<float>::Part> parts;
  std::vector<PassRunner<double>::Part> wide;
  std::uint64_t begin = 0;
  for (std::size_t n = 0; n < lengths.size(); ++n) {
    std::vector<std::int32_t> tokens;
    for (std::uint64_t t = begin; t < begin + lengths[n]; ++t) tokens.push_back(static_cast<std::int32_t>(t));
    attend_by_hand(s, q, k, v, begin, begin + lengths[n], expected);
    begin += lengths[n];
    parts.push_back({n, tokens});
    wide.push_back({n, tokens});
  }
  OpCase::expect_near(op.run<double>(program).pass(wide, kAllRows), expected.values, 1e-6);
  OpCase::expect_near(op.run<float>(program).pass(parts, kAllRows), expected.values, 2e-5);
}

TEST(AttendWholeTest, EqualsTheSumOverAllRowsOfASequence) {
  struct Case {
    const char* name;
    Shape shape;
  };
  const Case cases[] = {{"two heads share a key", {}},
                        {"each head its key", {4, 4}},
                        {"all heads share one", {4, 1}},
                        {"more heads than a block has rows", {71, 1}},
                        {"values of another width", {4, 2, 12, 5}},
                        {"a window", {4, 2, 8, 8, 14}},
                        {"an odd window is that of one less", {4, 2, 8, 8, 15}},
                        {"each row itself", {4, 2, 8, 8, 1}},
                        {"a window longer than a block", {2, 2, 8, 8, 200}},
                        {"a window longer than everything", {2, 2, 8, 8, UINT64_MAX}},
                        {"a soft cap", {4, 2, 8, 8, 0, 0.3, 0.7}}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    expect_as_by_hand(c.shape, {test::test_length(c.shape.heads > 8 ? 70 : 150, 40)});    // more than one block of keys, or two
    expect_as_by_hand(c.shape, {1, test::test_length(66, 20), test::test_length(13, 9)}); // none sees another's rows
  }
}

TEST(AttendWholeTest, AddsToItsResult) { expect_as_by_hand({}, {20, 45}, true); }

TEST(AttendWholeTest, RefusesASequenceThatHasSomethingInACache) {
  const Table x(6, 8, 1);
  OpCase op(6);
  const std::uint32_t in = op.input(x), out = op.output(8);
  op.builder.op(OpKind::kAttendWhole, out, {in, in, in}, {}, {1, 1, 8, 8}, {1});
  PassRunner<float> run = op.run<float>(op.finish(out));
  run.pass({{0, {0, 1}}});
  ForwardInputs inputs = run.inputs_of();
  const std::vector<std::uint32_t> lengths{2};
  inputs.kv.cache_lengths = lengths;
  const auto refused = run.executor().run(inputs);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBadRequest);
  EXPECT_NE(refused.error().message.find("sequence 0 has 2 tokens in a cache; this model reads a sequence whole"), std::string::npos)
      << refused.error().message;
}

} // namespace
} // namespace plimsoll::executor_attend_whole_test
