// Ops that take rows one by one: EMBED, NORM, LINEAR, GATE, ADD, SCALE_ROWS, LAST_ROWS, ROPE.
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_rows_test {
namespace {

using test::OpCase;
using test::random_values;
using test::Table;

TEST(EmbedTest, ScalesRowsOfTheTable) {
  for (const std::string dtype : {"float32", "bfloat16", "float16"}) {
    OpCase c(3);
    const std::uint32_t table = c.builder.weight({5, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, dtype);
    const std::uint32_t out = c.output(4);
    c.builder.op(OpKind::kEmbed, out, {}, {table}, {}, {0.5});
    const Program program = c.finish(out);
    EXPECT_EQ(c.run<float>(program).pass({{0, {4, 0, 2}}}, kAllRows),
              (std::vector<double>{8, 8.5, 9, 9.5, 0, 0.5, 1, 1.5, 4, 4.5, 5, 5.5}));
  }
}

struct NormCase {
  std::uint64_t heads, stride, first, columns; // as an op has them
  std::uint64_t gains;                         // 0: no gain
  bool mean, plus_one, bias, in_place;
  std::string dtype;
};

Table norm_by_hand(const Table& x, const NormCase& c, const std::vector<double>& gain, const std::vector<double>& bias) {
  Table out = x;
  const std::uint64_t heads = std::max<std::uint64_t>(c.heads, 1), stride = c.stride == 0 ? x.width / heads : c.stride;
  const std::uint64_t columns = c.columns == 0 ? stride - c.first : c.columns;
  for (std::uint64_t row = 0; row < x.rows; ++row)
    for (std::uint64_t head = 0; head < heads; ++head) {
      const std::uint64_t begin = head * stride + c.first;
      double mean = 0, square = 0;
      for (std::uint64_t i = 0; i < columns; ++i) mean += c.mean ? x.at(row, begin + i) / static_cast<double>(columns) : 0;
      for (std::uint64_t i = 0; i < columns; ++i) square += std::pow(x.at(row, begin + i) - mean, 2) / static_cast<double>(columns);
      for (std::uint64_t i = 0; i < columns; ++i) {
        const std::uint64_t of_head = gain.size() > columns ? head * columns : 0;
        double value = (x.at(row, begin + i) - mean) / std::sqrt(square + 1e-3);
        if (!gain.empty()) value *= gain[of_head + i] + (c.plus_one ? 1 : 0);
        out.at(row, begin + i) = value + (bias.empty() ? 0 : bias[of_head + i]);
      }
    }
  return out;
}

TEST(NormTest, IsWhatThePipelineSays) {
  const NormCase cases[] = {{0, 0, 0, 0, 24, false, false, false, false, "float32"}, {0, 0, 0, 0, 24, false, true, false, true, "float32"},
                            {0, 0, 0, 0, 24, true, false, true, false, "float32"},   {0, 0, 0, 0, 0, false, true, false, false, "float32"},
                            {3, 8, 0, 8, 8, false, false, false, true, "bfloat16"},  {3, 8, 0, 8, 24, false, false, true, false, "float16"},
                            {3, 8, 2, 5, 5, false, false, false, false, "float32"},  {3, 8, 2, 5, 15, true, true, true, true, "float32"},
                            {2, 12, 4, 0, 8, false, false, false, false, "float32"}, {4, 0, 0, 0, 6, false, false, false, false, "float32"},
                            {1, 0, 0, 16, 16, false, false, false, false, "float32"}};
  for (std::size_t n = 0; n < std::size(cases); ++n) {
    SCOPED_TRACE(n);
    const NormCase& c = cases[n];
    OpCase op(3);
    const Table x(3, 24, 40 + n, 3);
    // Sixteenths, which every type has.
    std::vector<double> gain(c.gains), bias(c.bias ? c.gains : 0);
    for (std::size_t i = 0; i < gain.size(); ++i) gain[i] = 1 + static_cast<double>(i) / 16;
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<double>(i) / 16 - 0.5;
    const std::uint32_t in = op.input(x), out = c.in_place ? in : op.output(24);
    ProgramOp& made = op.builder.op(OpKind::kNorm, out, {in}, {},
                                    {c.heads, c.stride, c.first, c.columns, c.mean ? 1U : 0U, c.plus_one ? 1U : 0U}, {1e-3});
    if (!gain.empty()) made.weights[0] = op.builder.weight({c.gains}, gain, c.dtype);
    if (!bias.empty()) made.weights[1] = op.builder.weight({c.gains}, bias, c.dtype);
    op.expect(out, norm_by_hand(x, c, gain, bias), 1e-5);
  }
}

TEST(NormTest, LongRowsAreSummedAsDoubles) {
  OpCase op(1);
  const Table x(1, 5000, std::vector<double>(5000, 3));
  const std::uint32_t in = op.input(x), out = op.output(5000);
  op.builder.op(OpKind::kNorm, out, {in}, {}, {}, {1e-12});
  op.expect(out, Table(1, 5000, std::vector<double>(5000, 1)), 1e-6);
}

// Two ranks' halves of rows of 24 columns, by the sum of both halves' squares.
TEST(NormTest, OfRowsThatRanksShareIsThatOfWholeRows) {
  struct Case {
    std::uint64_t gains; // 0: none, 12: of the rank's own columns, 24: of all
    bool plus_one, bias;
    std::string dtype;
  };
  for (const Case& c : {Case{0, false, false, "float32"}, Case{12, false, true, "float16"}, Case{24, true, false, "bfloat16"},
                        Case{24, false, true, "float32"}}) {
    const Table x(3, 24, 50 + c.gains, 3);
    std::vector<double> gain(c.gains == 0 ? 0 : 24), bias(c.bias ? 24 : 0);
    for (std::size_t i = 0; i < gain.size(); ++i) gain[i] = 1 + static_cast<double>(i) / 16;
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<double>(i) / 16 - 0.5;
    const Table whole = norm_by_hand(x, {0, 0, 0, 0, c.gains, false, c.plus_one, c.bias, false, c.dtype}, gain, bias);
    for (const std::uint64_t first : {0U, 12U}) {
      SCOPED_TRACE(fmt::format("{} gains, columns from {}", c.gains, first));
      const auto half = [&](const Table& of, std::uint64_t from) {
        Table out(3, 12, std::vector<double>(36));
        for (std::uint64_t row = 0; row < 3; ++row)
          for (std::uint64_t i = 0; i < 12; ++i) out.at(row, i) = of.at(row, from + i);
        return out;
      };
      const auto own = [&](const std::vector<double>& all) {
        return c.gains == 24 || all.empty()
                   ? all
                   : std::vector<double>(all.begin() + static_cast<int>(first), all.begin() + static_cast<int>(first) + 12);
      };
      OpCase op(3);
      const std::uint32_t mine = op.input(half(x, first)), other = op.input(half(x, 12 - first)), sums = op.output(1), more = op.output(1);
      op.builder.op(OpKind::kSumSquares, sums, {mine});
      op.builder.op(OpKind::kSumSquares, more, {other});
      op.builder.op(OpKind::kAdd, sums, {more}, {}, {}, {1}).accumulate = true;
      const std::uint32_t out = op.output(12);
      ProgramOp& made = op.builder.op(OpKind::kNormOfSums, out, {mine, sums}, {}, {24, first, c.plus_one ? 1U : 0U}, {1e-3});
      if (c.gains != 0) made.weights[0] = op.builder.weight({c.gains}, own(gain), c.dtype);
      if (c.bias) made.weights[1] = op.builder.weight({c.gains}, own(bias), c.dtype);
      op.expect(out, half(whole, first), 1e-5);
    }
  }
}

TEST(LinearTest, MultipliesAddsScalesAndTakesParts) {
  struct Case {
    std::uint32_t in_dim;
    std::uint64_t part; // UINT32_MAX: all
    bool bias, bias_in_parts, accumulate;
    double scale;
    std::string dtype;
  };
  constexpr std::uint64_t kAll = UINT32_MAX;
  const Case cases[] = {{1, kAll, false, false, false, 1, "float32"}, {1, kAll, true, true, true, 0.5, "float32"},
                        {0, kAll, true, false, false, 2, "float32"},  {1, 0, true, true, false, 1, "bfloat16"},
                        {1, 1, true, true, true, 0.25, "float16"},    {0, 2, true, true, false, 1, "float32"},
                        {0, 1, true, false, true, -1, "bfloat16"}};
  const std::vector<std::uint64_t> parts{4, 6, 2};
  for (std::size_t n = 0; n < std::size(cases); ++n) {
    SCOPED_TRACE(n);
    const Case& c = cases[n];
    const std::uint64_t first = c.part == 1 ? 4 : c.part == 2 ? 10 : 0, out_width = c.part == kAll ? 12 : parts[c.part];
    OpCase op(5);
    const Table x(5, 9, 1), before(5, out_width, 2);
    std::vector<double> w(12 * 9), bias(12);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<double>(i * 7 % 32) / 16 - 1;
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<double>(i) / 8;
    if (c.bias && !c.bias_in_parts && c.part != kAll) bias.resize(out_width);
    const std::uint32_t in = op.input(x), out = op.input(before);
    const std::vector<std::uint64_t> dims = c.in_dim == 1 ? std::vector<std::uint64_t>{12, 9} : std::vector<std::uint64_t>{9, 12};
    const std::uint32_t weight = op.builder.weight(dims, w, c.dtype, 0, c.in_dim, parts);
    ProgramOp made = op.builder.op(OpKind::kLinear, out, {in}, {weight}, {c.part}, {c.scale});
    if (c.bias)
      made.weights[1] = op.builder.weight({bias.size()}, bias, c.dtype, 0, 1, c.bias_in_parts ? parts : std::vector<std::uint64_t>{});
    made.accumulate = c.accumulate;
    op.builder.replace_last(made);

    Table expected = before;
    for (std::uint64_t row = 0; row < 5; ++row)
      for (std::uint64_t o = 0; o < out_width; ++o) {
        double sum = c.bias ? bias[c.bias_in_parts ? first + o : o] : 0;
        for (std::uint64_t i = 0; i < 9; ++i) sum += x.at(row, i) * (c.in_dim == 1 ? w[(first + o) * 9 + i] : w[i * 12 + first + o]);
        expected.at(row, o) = c.scale * sum + (c.accumulate ? before.at(row, o) : 0);
      }
    op.expect(out, expected);
  }
}

double activation(std::uint64_t act, double x, double cap) {
  switch (act) {
  case PLIMSOLL_ACT_SILU: return x / (1 + std::exp(-x));
  case PLIMSOLL_ACT_GELU: return x / 2 * (1 + std::erf(x / std::sqrt(2)));
  case PLIMSOLL_ACT_GELU_TANH: return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1)) * (x + 0.044715 * x * x * x)));
  case PLIMSOLL_ACT_RELU: return std::max(x, 0.0);
  case PLIMSOLL_ACT_RELU_SQUARED: return std::pow(std::max(x, 0.0), 2);
  case PLIMSOLL_ACT_GELU_QUICK: return x / (1 + std::exp(-1.702 * x));
  case PLIMSOLL_ACT_SIGMOID: return 1 / (1 + std::exp(-x));
  case PLIMSOLL_ACT_SOFT_CAP: return cap * std::tanh(x / cap);
  default: return x;
  }
}

TEST(GateTest, EveryActivationAloneAndTimesASecondInput) {
  const std::uint64_t width = 600; // longer than the blocks that kernels take
  Table a(2, width, 3, 9), b(2, width, 4);
  a.at(0, 0) = 0;
  a.at(0, 1) = -100;
  a.at(0, 2) = 100;
  a.at(0, 3) = -1e-4;
  for (std::uint64_t act = PLIMSOLL_ACT_NONE; act <= PLIMSOLL_ACT_RELU_SQUARED; ++act) {
    if (act == PLIMSOLL_ACT_SWIGLU_OAI) continue;            // of pairs only
    a.at(0, 2) = act == PLIMSOLL_ACT_RELU_SQUARED ? 3 : 100; // the square of 100 is beyond the tolerance in float32
    for (const bool pair : {false, true})
      for (const bool accumulate : {false, true})
        for (const int target : {0, 1, 2}) { // a value of its own, a, b
          if ((target == 2 && !pair) || (target != 0 && accumulate)) continue;
          SCOPED_TRACE(fmt::format("activation {}, {}, target {}", act, pair ? "pair" : "one", target));
          OpCase op(2);
          const Table before(2, width, 5);
          const std::uint32_t first = op.input(a), second = op.input(b), own = op.input(before);
          const std::uint32_t out = target == 0 ? own : target == 1 ? first : second;
          ProgramOp made = op.builder.op(OpKind::kGate, out, {first}, {}, {act}, {5});
          if (pair) made.in[1] = second;
          made.accumulate = accumulate;
          op.builder.replace_last(made);
          Table expected = before;
          for (std::size_t i = 0; i < expected.values.size(); ++i)
            expected.values[i] = activation(act, a.values[i], 5) * (pair ? b.values[i] : 1) + (accumulate ? before.values[i] : 0);
          op.expect(out, expected);
        }
  }
}

TEST(GateTest, TheClampedPairOfGptOss) {
  OpCase op(2);
  const Table g(2, 40, 6, 12), u(2, 40, 7, 12);
  const std::uint32_t gate = op.input(g), up = op.input(u), out = op.output(40);
  op.builder.op(OpKind::kGate, out, {gate, up}, {}, {PLIMSOLL_ACT_SWIGLU_OAI}, {7, 1.702});
  Table expected(2, 40, 0);
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    const double a = std::min(g.values[i], 7.0), b = std::clamp(u.values[i], -7.0, 7.0);
    expected.values[i] = (b + 1) * a / (1 + std::exp(-1.702 * a));
  }
  op.expect(out, expected, 5e-5);
}

TEST(AddTest, AddsOrSets) {
  for (const bool accumulate : {false, true}) {
    OpCase op(3);
    const Table a(3, 10, 8), before(3, 10, 9);
    const std::uint32_t in = op.input(a), out = op.input(before);
    op.builder.op(OpKind::kAdd, out, {in}, {}, {}, {0.75}).accumulate = accumulate;
    Table expected = before;
    for (std::size_t i = 0; i < expected.values.size(); ++i) expected.values[i] = 0.75 * a.values[i] + (accumulate ? before.values[i] : 0);
    op.expect(out, expected);
  }
}

TEST(ScaleRowsTest, ScalesByAnActivationOfOneElement) {
  for (const std::uint64_t act : {PLIMSOLL_ACT_NONE, PLIMSOLL_ACT_SIGMOID})
    for (const bool accumulate : {false, true}) {
      OpCase op(3);
      const Table a(3, 10, 10), s(3, 1, 11, 4), before(3, 10, 12);
      const std::uint32_t in = op.input(a), scale = op.input(s), out = op.input(before);
      op.builder.op(OpKind::kScaleRows, out, {in, scale}, {}, {act}).accumulate = accumulate;
      Table expected = before;
      for (std::uint64_t row = 0; row < 3; ++row)
        for (std::uint64_t i = 0; i < 10; ++i)
          expected.at(row, i) = activation(act, s.at(row, 0), 0) * a.at(row, i) + (accumulate ? before.at(row, i) : 0);
      op.expect(out, expected);
    }
}

// An element for each column, more than are loaded at once; or one for all; in place and not.
TEST(MultiplyTest, MultipliesByAWeight) {
  for (const std::uint64_t elements : {std::uint64_t{300}, std::uint64_t{1}})
    for (const bool in_place : {false, true})
      for (const char* const dtype : {"float32", "bfloat16"}) {
        SCOPED_TRACE(dtype + std::to_string(elements));
        OpCase op(3);
        const Table a(3, 300, 10);
        std::vector<double> w(elements);
        for (std::uint64_t i = 0; i < elements; ++i) w[i] = static_cast<double>(i % 16) / 8 - 0.75; // as bfloat16 has it
        const std::uint32_t in = op.input(a), out = in_place ? in : op.output(300);
        op.builder.op(OpKind::kMultiply, out, {in}, {op.builder.weight({elements}, w, dtype)}, {}, {0.5});
        Table expected = a;
        for (std::uint64_t row = 0; row < 3; ++row)
          for (std::uint64_t i = 0; i < 300; ++i) expected.at(row, i) *= 0.5 * w[elements == 1 ? 0 : i];
        op.expect(out, expected);
      }
}

TEST(LastRowsTest, TakesTheLastRowsOfEachSequence) {
  OpCase op(12);
  Table x(12, 2, 0);
  for (std::uint64_t row = 0; row < 12; ++row) x.at(row, 0) = x.at(row, 1) = static_cast<double>(row);
  const Program program = op.finish(op.input(x));
  const auto rows = [&](std::uint64_t per_sequence) {
    std::vector<double> out;
    const std::vector<double> all = op.run<float>(program).pass({{0, {0, 1, 2, 3}}, {1, {4}}, {2, {5, 6, 7}}}, per_sequence);
    for (std::size_t n = 0; n < all.size(); n += 2) out.push_back(all[n]);
    return out;
  };
  EXPECT_EQ(rows(0), std::vector<double>{});
  EXPECT_EQ(rows(1), (std::vector<double>{3, 4, 7}));
  EXPECT_EQ(rows(2), (std::vector<double>{2, 3, 4, 6, 7}));
  EXPECT_EQ(rows(kAllRows), (std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7}));
}

Table turned(const Table& x, const std::vector<double>& frequencies, std::uint64_t heads, std::uint64_t stride, std::uint64_t first,
             bool interleaved, double factor, std::uint64_t position) {
  Table out = x;
  const std::uint64_t pairs = frequencies.size();
  for (std::uint64_t row = 0; row < x.rows; ++row)
    for (std::uint64_t head = 0; head < heads; ++head)
      for (std::uint64_t i = 0; i < pairs; ++i) {
        const double angle = static_cast<double>(position + row) * frequencies[i], c = factor * std::cos(angle),
                     s = factor * std::sin(angle);
        const std::uint64_t begin = head * stride + first, u = begin + (interleaved ? 2 * i : i),
                            v = begin + (interleaved ? 2 * i + 1 : i + pairs);
        out.at(row, u) = x.at(row, u) * c - x.at(row, v) * s;
        out.at(row, v) = x.at(row, v) * c + x.at(row, u) * s;
      }
  return out;
}

TEST(RopeTest, TurnsPairsByPositionTimesFrequency) {
  const std::vector<double> frequencies{1, 0.3, 0.01};
  for (const bool interleaved : {false, true}) {
    OpCase op(200);
    const Table x(200, 30, 13);
    const std::uint32_t value = op.input(x);
    op.builder.op(OpKind::kRope, value, {value}, {}, {3, 10, 2, 6, interleaved ? 1U : 0U, op.builder.rope(frequencies, 1.25)});
    op.expect(value, turned(x, frequencies, 3, 10, 2, interleaved, 1.25, 0), 1e-6);
  }
}

TEST(RopeTest, EverySequenceStandsWhereItsCacheEnds) {
  const std::vector<double> frequencies{0.9, 0.02};
  OpCase op(8);
  const Table x(8, 4, 14);
  const std::uint32_t value = op.input(x);
  op.builder.op(OpKind::kRope, value, {value}, {}, {1, 4, 0, 4, 0, op.builder.rope(frequencies)});
  test::PassRunner<double> run = op.run<double>(op.finish(value));
  run.pass({{0, {0, 1, 2}}, {1, {0}}});
  const std::vector<double> is = run.pass({{1, {4, 5}}, {0, {6, 7}}}, kAllRows); // positions 1, 2 and 3, 4
  const std::vector<double> rows(x.values.begin() + 16, x.values.end());
  const Table first = turned(Table(2, 4, {rows.begin(), rows.begin() + 8}), frequencies, 1, 4, 0, false, 1, 1);
  const Table second = turned(Table(2, 4, {rows.begin() + 8, rows.end()}), frequencies, 1, 4, 0, false, 1, 3);
  std::vector<double> expected = first.values;
  expected.insert(expected.end(), second.values.begin(), second.values.end());
  OpCase::expect_near(is, expected, 1e-12);
}

} // namespace
} // namespace plimsoll::executor_rows_test
