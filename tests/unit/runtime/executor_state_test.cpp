// Ops that keep states, CONV and SSM_SCAN, against loops of a few lines: whole, cut into passes, many sequences at once, token by token,
// in every type that a state is kept in; and rows that another sequence had before.
#include <array>
#include <cmath>
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_state_test {
namespace {

using test::OpCase;
using test::PassRunner;
using test::Pool;
using test::PoolShape;
using test::random_values;
using test::Table;

PoolShape states(std::vector<KvFieldGeometry> regions, std::uint64_t layers = 1) {
  return {CacheKind::kState, layers, 0, 0, 0, 0, 9, "", "", std::move(regions)};
}

double silu(double x) { return x / (1 + std::exp(-x)); }

// Row t of the result: taps over rows that end with t; before the first, zeros.
Table conv_by_hand(const Table& x, const std::vector<double>& w, const std::vector<double>& bias, std::uint64_t taps, bool with_silu) {
  Table out(x.rows, x.width, std::vector<double>(x.rows * x.width));
  for (std::uint64_t t = 0; t < x.rows; ++t)
    for (std::uint64_t c = 0; c < x.width; ++c) {
      double sum = bias.empty() ? 0 : bias[c];
      for (std::uint64_t j = 0; j < taps; ++j)
        if (t + j + 1 >= taps) sum += w[c * taps + j] * x.at(t + j + 1 - taps, c);
      out.at(t, c) = with_silu ? silu(sum) : sum;
    }
  return out;
}

TEST(ConvTest, LooksBackSoManyTokens) {
  struct Case {
    std::uint64_t taps, channels;
    bool bias, silu, in_place;
    const char* dtype;
  };
  for (const Case& c :
       {Case{4, 6, true, true, false, "float32"}, Case{4, 5, false, false, true, "float32"}, Case{3, 70, true, true, true, "bfloat16"},
        Case{2, 1, true, false, false, "float16"}, Case{1, 4, true, false, true, "float32"}}) {
    SCOPED_TRACE(c.taps * 100 + c.channels);
    OpCase op(9);
    const Table x(9, c.channels, 21);
    std::vector<double> w(c.channels * c.taps), bias(c.bias ? c.channels : 0);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<double>(i * 5 % 17) / 8 - 1; // which every type has
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<double>(i) / 16 - 0.5;
    op.pool(states({{"float32", c.channels * (c.taps - 1) + 1}}));
    const std::uint32_t in = op.input(x), out = c.in_place ? in : op.output(c.channels);
    ProgramOp made = op.builder.attend(OpKind::kConv, 0, 0, out, {in}, {op.builder.weight({c.channels, 1, c.taps}, w, c.dtype)},
                                       {UINT32_MAX, c.taps, c.silu ? 1U : 0U, 0, 0}, {});
    if (c.bias) made.weights[1] = op.builder.weight({c.channels}, bias, c.dtype);
    op.builder.replace_last(made);
    op.expect(out, conv_by_hand(x, w, bias, c.taps, c.silu));
  }
}

// Two parts of one weight, whose states follow one another in one region.
TEST(ConvTest, PartsHaveTheirOwnWeightsAndStates) {
  const Table x(7, 3, 22), y(7, 2, 23);
  const std::vector<double> w = random_values(5 * 3, 24), bias = random_values(5, 25);
  OpCase op(7);
  op.pool(states({{"float32", 4}, {"float32", 10}}));
  const std::uint32_t a = op.input(x), b = op.input(y), both = op.output(5);
  const std::uint32_t weight = op.builder.weight({5, 1, 3}, w, "float32", 0, 1, {3, 2});
  const std::uint32_t biases = op.builder.weight({5}, bias, "float32", 0, 1, {3, 2});
  op.builder.attend(OpKind::kConv, 0, 0, a, {a}, {weight, biases}, {0, 3, 0, 1, 0}, {});
  op.builder.attend(OpKind::kConv, 0, 0, b, {b}, {weight, biases}, {1, 3, 0, 1, 3}, {});
  // Side by side, by two matrices.
  op.builder.op(OpKind::kLinear, both, {a}, {op.builder.weight({5, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0})}, {UINT32_MAX}, {1});
  op.builder.op(OpKind::kLinear, both, {b}, {op.builder.weight({5, 2}, {0, 0, 0, 0, 0, 0, 1, 0, 0, 1})}, {UINT32_MAX}, {1}).accumulate =
      true;
  const Table first = conv_by_hand(x, {w.begin(), w.begin() + 9}, {bias.begin(), bias.begin() + 3}, 3, false);
  const Table second = conv_by_hand(y, {w.begin() + 9, w.end()}, {bias.begin() + 3, bias.end()}, 3, false);
  Table expected(7, 5, std::vector<double>(35));
  for (std::uint64_t t = 0; t < 7; ++t)
    for (std::uint64_t c = 0; c < 5; ++c) expected.at(t, c) = c < 3 ? first.at(t, c) : second.at(t, c - 3);
  PassRunner<double> run = op.run<double>(op.finish(both));
  std::vector<double> all;
  for (const std::vector<std::int32_t>& tokens : {std::vector<std::int32_t>{0, 1, 2}, {3}, {4, 5, 6}}) {
    const std::vector<double> rows = run.pass({{0, tokens}}, kAllRows);
    all.insert(all.end(), rows.begin(), rows.end());
  }
  OpCase::expect_near(all, expected.values, 1e-6);
}

struct ScanCase {
  std::uint64_t heads = 4, elements = 3, state = 5, groups = 2;
  bool a_of_state = false, skip = true, bias = true, stored = false;
  double least = 0, most = 0;
  const char* dtype = "float32";
  std::uint32_t rows_each = 1;
};

// The recurrence, and with its ops the table of a program that has it.
class ScanMade {
public:
  ScanMade(const ScanCase& c, std::uint64_t tokens, const char* state_dtype = "float32", std::uint64_t sequences = 4)
      : c_(c), op(tokens, sequences), x_(tokens, c.heads * c.elements, 31), b_(tokens, c.groups * c.state, 32),
        k_(tokens, c.groups * c.state, 33), dt_(tokens, c.heads, 34, 2) {
    const auto vector = [&](std::size_t n, double first, double step) {
      std::vector<double> out(n);
      for (std::size_t i = 0; i < n; ++i) out[i] = first + step * static_cast<double>(i % 8); // which every type has
      return out;
    };
    a_ = vector(c.heads * (c.a_of_state ? c.state : 1), c.stored ? -2 : -1, 0.25);
    if (c.skip) d_ = vector(c.heads, 0.5, 0.125);
    if (c.bias) bias_ = vector(c.heads, -0.5, 0.25);
    PoolShape shape = states({{"float32", 7}, {state_dtype, c.heads * c.elements * c.state}}, 2);
    shape.rows_each = c.rows_each;
    op.pool(shape);
    const std::uint32_t x = op.input(x_), b = op.input(b_), k = op.input(k_), dt = op.input(dt_);
    out = op.output(x_.width);
    ProgramOp made = op.builder.attend(
        OpKind::kSsmScan, 0, 1, out, {x, b, k, dt},
        {op.builder.weight(c.a_of_state ? std::vector<std::uint64_t>{c.heads, c.state} : std::vector<std::uint64_t>{c.heads}, a_, c.dtype)},
        {c.heads, c.elements, c.state, c.groups, 1, c.stored ? 1U : 0U}, {c.least, c.most});
    if (c.skip) made.weights[1] = op.builder.weight({c.heads}, d_, c.dtype);
    if (c.bias) made.weights[2] = op.builder.weight({c.heads}, bias_, c.dtype);
    op.builder.replace_last(made);
  }

  // Rows of a sequence that has these tokens, one after another.
  std::vector<double> expected(const std::vector<std::int32_t>& tokens) const {
    std::vector<double> out(tokens.size() * x_.width);
    for (std::uint64_t h = 0; h < c_.heads; ++h)
      for (std::uint64_t p = 0; p < c_.elements; ++p) {
        std::vector<double> state(c_.state);
        const std::uint64_t column = h * c_.elements + p, group = h / (c_.heads / c_.groups) * c_.state;
        for (std::size_t t = 0; t < tokens.size(); ++t) {
          const auto row = static_cast<std::uint64_t>(tokens[t]);
          double step = std::log(1 + std::exp(dt_.at(row, h) + (c_.bias ? bias_[h] : 0)));
          step = std::max(step, c_.least);
          if (c_.most > 0) step = std::min(step, c_.most);
          double sum = c_.skip ? d_[h] * x_.at(row, column) : 0;
          for (std::uint64_t s = 0; s < c_.state; ++s) {
            const double a = a_[c_.a_of_state ? h * c_.state + s : h];
            state[s] = std::exp(step * (c_.stored ? a : -std::exp(a))) * state[s] + step * x_.at(row, column) * b_.at(row, group + s);
            sum += state[s] * k_.at(row, group + s);
          }
          out[t * x_.width + column] = sum;
        }
      }
    return out;
  }

private:
  ScanCase c_;

public:
  OpCase op;
  std::uint32_t out = 0;

private:
  Table x_, b_, k_, dt_;
  std::vector<double> a_, d_, bias_;
};

std::vector<std::int32_t> tokens_of(std::int32_t first, std::int32_t n) {
  std::vector<std::int32_t> out;
  for (std::int32_t t = first; t < first + n; ++t) out.push_back(t);
  return out;
}

TEST(SsmScanTest, IsTheRecurrence) {
  const ScanCase cases[] = {{},
                            {.heads = 6, .elements = 1, .state = 4, .groups = 1, .a_of_state = true}, // Mamba: every channel a head
                            {.skip = false, .bias = false},
                            {.a_of_state = true, .stored = true, .dtype = "bfloat16"},
                            {.heads = 2, .elements = 16, .state = 40, .groups = 1, .dtype = "float16"},
                            {.stored = true, .least = 0.5, .most = 0.75}};
  for (const ScanCase& c : cases) {
    SCOPED_TRACE(&c - cases);
    ScanMade made(c, 11);
    const std::vector<double> rows = made.expected(tokens_of(0, 11));
    made.op.expect(made.out, Table(11, rows.size() / 11, rows), 1e-4);
  }
}

// However tokens come: at once, in parts, one by one, beside others.
template <class Real>
void expect_whatever_the_passes(ScanMade& made, double tolerance) {
  using Part = typename PassRunner<Real>::Part;
  const std::vector<std::vector<Part>> passes{{{0, tokens_of(0, 3)}, {1, tokens_of(2, 5)}},
                                              {{1, tokens_of(7, 1)}, {2, tokens_of(0, 4)}, {0, tokens_of(3, 2)}},
                                              {{0, tokens_of(5, 1)}},
                                              {{2, tokens_of(4, 1)}, {1, tokens_of(8, 2)}}};
  PassRunner<Real> run = made.op.run<Real>(made.op.finish(made.out));
  std::vector<std::vector<double>> are(3);
  for (const auto& parts : passes) {
    const std::vector<double> rows = run.pass(parts, kAllRows);
    auto row = rows.begin();
    for (const Part& part : parts) {
      const auto end = row + static_cast<std::ptrdiff_t>(part.tokens.size() * 12);
      are[part.sequence].insert(are[part.sequence].end(), row, end);
      row = end;
    }
  }
  OpCase::expect_near(are[0], made.expected(tokens_of(0, 6)), tolerance);
  OpCase::expect_near(are[1], made.expected(tokens_of(2, 8)), tolerance);
  OpCase::expect_near(are[2], made.expected(tokens_of(0, 5)), tolerance);
}

TEST(SsmScanTest, GoesOnWhereTheLastPassEnded) {
  ScanMade exact({}, 10);
  expect_whatever_the_passes<double>(exact, 2e-6); // states are kept in float32
  ScanMade single({}, 10);
  expect_whatever_the_passes<float>(single, 2e-5);
  ScanMade half({}, 10, "bfloat16");
  expect_whatever_the_passes<double>(half, 0.05);
  ScanMade rounded({}, 10, "float16");
  expect_whatever_the_passes<float>(rounded, 0.01);
}

// A row that has been another's begins as zeros, in every layer, without anybody wiping it.
TEST(SsmScanTest, ASequenceFindsNothingOfTheOneThatHadItsRow) {
  ScanMade made({}, 10);
  const Program program = made.op.finish(made.out);
  const auto pool = std::make_shared<Pool>(made.op.pools[0]->shape());
  PassRunner<double> run(program, made.op.builder.weights(), {pool});
  run.pass({{0, tokens_of(0, 7)}});
  pool->hand_on(0, 1);
  OpCase::expect_near(run.pass({{1, tokens_of(3, 4)}}, kAllRows), made.expected(tokens_of(3, 4)), 2e-6);
}

// A pass that is refused leaves states as they were.
TEST(SsmScanTest, APassThatIsRefusedChangesNothing) {
  ScanMade made({}, 10);
  PassRunner<double> run = made.op.run<double>(made.op.finish(made.out));
  run.pass({{0, tokens_of(0, 4)}});
  ForwardInputs inputs = run.inputs_of();
  const std::array<std::uint32_t, 1> length{4}, row{99};
  inputs.kv.cache_lengths = length;
  KvGroupInputs group = inputs.kv.groups[0];
  group.state_rows = row;
  inputs.kv.groups = std::span(&group, 1);
  const auto beyond = run.executor().run(inputs);
  ASSERT_FALSE(beyond);
  EXPECT_NE(beyond.error().message.find("has the row 99 of 'state', which has 9"), std::string::npos) << beyond.error().message;
  group.state_rows = {};
  EXPECT_FALSE(run.executor().run(inputs));
  const std::vector<double> all = made.expected(tokens_of(0, 6));
  OpCase::expect_near(run.pass({{0, tokens_of(4, 2)}}, kAllRows), {all.begin() + 48, all.end()}, 2e-6);
}

TEST(SsmScanTest, TwoSequencesHaveTwoRows) {
  ScanMade made({}, 10);
  PassRunner<double> run = made.op.run<double>(made.op.finish(made.out));
  run.pass({{0, tokens_of(0, 2)}, {1, tokens_of(0, 2)}});
  ForwardInputs inputs = run.inputs_of();
  KvGroupInputs group = inputs.kv.groups[0];
  const std::array<std::uint32_t, 2> rows{3, 3};
  group.state_rows = rows;
  inputs.kv.groups = std::span(&group, 1);
  const auto shared = run.executor().run(inputs);
  ASSERT_FALSE(shared);
  EXPECT_NE(shared.error().message.find("two sequences have the row 3 of 'state'"), std::string::npos) << shared.error().message;
}

// Tokens that were drafted and are not accepted: the sequence begins again with the state before them, as often as it must, beside one that
// goes on.
TEST(KeptStatesTest, GoBackToBeforeTheLastPass) {
  ScanMade made({.rows_each = 2}, 11);
  PassRunner<double> run = made.op.run<double>(made.op.finish(made.out));
  const std::vector<double> all = made.expected(tokens_of(0, 8));
  const auto rows_of = [&](std::ptrdiff_t first, std::ptrdiff_t n) {
    return std::vector<double>(all.begin() + first * 12, all.begin() + (first + n) * 12);
  };
  OpCase::expect_near(run.pass({{0, tokens_of(0, 4)}}, kAllRows), rows_of(0, 4), 2e-6);
  run.pass({{1, tokens_of(0, 2)}, {0, {4, 9, 10}}});
  run.go_back(0, 3);
  run.pass({{0, {4, 8}}, {1, tokens_of(2, 2)}});
  run.go_back(0, 2);
  std::vector<double> both = rows_of(4, 2);
  const std::vector<double> other = rows_of(4, 1);
  both.insert(both.end(), other.begin(), other.end());
  OpCase::expect_near(run.pass({{0, tokens_of(4, 2)}, {1, tokens_of(4, 1)}}, kAllRows), both, 2e-6);
  OpCase::expect_near(run.pass({{0, tokens_of(6, 2)}}, kAllRows), rows_of(6, 2), 2e-6); // accepted, all of it
}

TEST(KeptStatesTest, AreThoseOfOneStep) {
  ScanMade made({.rows_each = 2}, 11);
  PassRunner<double> run = made.op.run<double>(made.op.finish(made.out));
  run.pass({{0, tokens_of(0, 4)}});
  run.pass({{0, tokens_of(4, 3)}});
  ForwardInputs inputs = run.inputs_of();
  for (const std::uint32_t length : {1U, 5U, 6U, 8U}) {
    const std::array<std::uint32_t, 1> lengths{length};
    inputs.kv.cache_lengths = lengths;
    const auto lost = run.executor().run(inputs);
    ASSERT_FALSE(lost) << length;
    EXPECT_NE(lost.error().message.find("of which 'state' keeps no state"), std::string::npos) << lost.error().message;
  }
  const std::array<std::uint32_t, 1> lengths{4}; // that of the last pass
  inputs.kv.cache_lengths = lengths;
  EXPECT_TRUE(run.executor().run(inputs));
}
} // namespace
} // namespace plimsoll::executor_state_test
