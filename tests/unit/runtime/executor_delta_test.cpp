// The gated delta rule, against its recurrence and against the form that takes a chunk of tokens at once, which are each other's witness:
// whole, cut into passes, beside other sequences, in every type that a state is kept in; and columns that are taken out of rows.
#include <cmath>
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_delta_test {
namespace {

using test::OpCase;
using test::PassRunner;
using test::PoolShape;
using test::Table;

TEST(ColumnsTest, OfEveryHeadStandSideBySide) {
  const Table x(4, 21, 61);
  for (const auto& [heads, stride, first, columns] :
       {std::array<std::uint64_t, 4>{3, 7, 0, 2}, {3, 7, 2, 5}, {1, 21, 20, 1}, {7, 3, 1, 1}, {1, 21, 0, 21}}) {
    SCOPED_TRACE(first);
    OpCase op(4);
    const std::uint32_t in = op.input(x), out = op.output(heads * columns);
    op.builder.op(OpKind::kColumns, out, {in}, {}, {heads, stride, first, columns});
    Table expected(4, heads * columns, std::vector<double>(4 * heads * columns));
    for (std::uint64_t row = 0; row < 4; ++row)
      for (std::uint64_t i = 0; i < heads * columns; ++i) expected.at(row, i) = x.at(row, i / columns * stride + first + i % columns);
    op.expect(out, expected, 1e-6);
  }
}

struct DeltaCase {
  std::uint64_t heads = 4, key_heads = 2, key = 3, value = 5;
  bool decay_of_keys = false, bias = true, stored = false;
  const char* dtype = "float32";
};

// What the rule is told for one head, token after token.
struct HeadInputs {
  std::vector<std::vector<double>> q, k, v, decay; // decay: logarithms, one for each key element
  std::vector<double> write;
};
using HeadRows = std::vector<std::vector<double>>; // of values

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

HeadRows by_recurrence(const HeadInputs& in) {
  const std::size_t n = in.k.front().size(), p = in.v.front().size();
  std::vector<std::vector<double>> state(p, std::vector<double>(n)); // [value][key]
  HeadRows out;
  for (std::size_t t = 0; t < in.q.size(); ++t) {
    std::vector<double>& row = out.emplace_back();
    for (std::size_t i = 0; i < p; ++i) {
      for (std::size_t j = 0; j < n; ++j) state[i][j] *= std::exp(in.decay[t][j]);
      const double difference = in.write[t] * (in.v[t][i] - dot(state[i], in.k[t]));
      for (std::size_t j = 0; j < n; ++j) state[i][j] += difference * in.k[t][j];
      row.push_back(dot(state[i], in.q[t]));
    }
  }
  return out;
}

// A chunk's writes solve a triangular system, each knowing those before it; what came before the chunk is one matrix. With one decay for
// all key elements.
HeadRows by_chunks(const HeadInputs& in, std::size_t chunk) {
  const std::size_t n = in.k.front().size(), p = in.v.front().size();
  std::vector<std::vector<double>> state(p, std::vector<double>(n));
  HeadRows out;
  for (std::size_t begin = 0; begin < in.q.size(); begin += chunk) {
    const std::size_t length = std::min(chunk, in.q.size() - begin);
    std::vector<double> decay(length);
    for (std::size_t i = 0; i < length; ++i) decay[i] = in.decay[begin + i][0] + (i > 0 ? decay[i - 1] : 0);
    std::vector<std::vector<double>> written(length, std::vector<double>(p));
    for (std::size_t i = 0; i < length; ++i)
      for (std::size_t r = 0; r < p; ++r) {
        double held = std::exp(decay[i]) * dot(state[r], in.k[begin + i]);
        for (std::size_t j = 0; j < i; ++j) held += std::exp(decay[i] - decay[j]) * dot(in.k[begin + j], in.k[begin + i]) * written[j][r];
        written[i][r] = in.write[begin + i] * (in.v[begin + i][r] - held);
      }
    for (std::size_t i = 0; i < length; ++i) {
      std::vector<double>& row = out.emplace_back();
      for (std::size_t r = 0; r < p; ++r) {
        double sum = std::exp(decay[i]) * dot(state[r], in.q[begin + i]);
        for (std::size_t j = 0; j <= i; ++j) sum += std::exp(decay[i] - decay[j]) * dot(in.k[begin + j], in.q[begin + i]) * written[j][r];
        row.push_back(sum);
      }
    }
    for (std::size_t r = 0; r < p; ++r)
      for (std::size_t c = 0; c < n; ++c) {
        state[r][c] *= std::exp(decay.back());
        for (std::size_t j = 0; j < length; ++j) state[r][c] += std::exp(decay.back() - decay[j]) * written[j][r] * in.k[begin + j][c];
      }
  }
  return out;
}

// The rule, and with its ops the table of a program that has it.
class DeltaMade {
public:
  explicit DeltaMade(const DeltaCase& c, std::uint64_t tokens, const char* state_dtype = "float32")
      : c_(c), op(tokens), q_(tokens, c.key_heads * c.key, 71), k_(tokens, c.key_heads * c.key, 72), v_(tokens, c.heads * c.value, 73),
        decay_(tokens, c.heads * decays(), 74, 2), write_(tokens, c.heads, 75, 2) {
    const auto vector = [](std::size_t n, double first, double step) {
      std::vector<double> out(n);
      for (std::size_t i = 0; i < n; ++i) out[i] = first + step * static_cast<double>(i % 8); // which every type has
      return out;
    };
    a_ = vector(c.heads, c.stored ? -2 : -1, 0.25);
    if (c.bias) bias_ = vector(c.heads * decays(), -0.5, 0.25);
    const auto state = KvFieldGeometry{state_dtype, c.heads * c.key * c.value};
    op.pool(PoolShape{CacheKind::kState, 2, 0, 0, 0, 0, 9, "", "", {{"float32", 7}, state}});
    const std::uint32_t q = op.input(q_), k = op.input(k_), v = op.input(v_), decay = op.input(decay_), write = op.input(write_);
    out = op.output(v_.width);
    ProgramOp made = op.builder.attend(OpKind::kDeltaRule, 0, 1, out, {q, k, v, decay, write}, {op.builder.weight({c.heads}, a_, c.dtype)},
                                       {c.heads, c.key_heads, c.key, c.value, 1, c.stored ? 1U : 0U}, {kEpsilon, kScale});
    if (c.bias) made.weights[1] = op.builder.weight({bias_.size()}, bias_, c.dtype);
    op.builder.replace_last(made);
  }

  HeadInputs inputs(std::uint64_t h, const std::vector<std::int32_t>& tokens) const {
    HeadInputs in;
    const std::uint64_t key_head = h / (c_.heads / c_.key_heads);
    for (const std::int32_t token : tokens) {
      const auto row = static_cast<std::uint64_t>(token);
      const auto direction = [&](const Table& of, double scale) {
        std::vector<double> x;
        for (std::uint64_t i = 0; i < c_.key; ++i) x.push_back(of.at(row, key_head * c_.key + i));
        const double by = scale / std::sqrt(dot(x, x) + kEpsilon);
        for (double& value : x) value *= by;
        return x;
      };
      in.q.push_back(direction(q_, kScale));
      in.k.push_back(direction(k_, 1));
      in.v.emplace_back();
      for (std::uint64_t i = 0; i < c_.value; ++i) in.v.back().push_back(v_.at(row, h * c_.value + i));
      in.decay.emplace_back();
      for (std::uint64_t i = 0; i < c_.key; ++i) {
        const std::uint64_t at = h * decays() + (c_.decay_of_keys ? i : 0);
        in.decay.back().push_back((c_.stored ? a_[h] : -std::exp(a_[h])) *
                                  std::log(1 + std::exp(decay_.at(row, at) + (c_.bias ? bias_[at] : 0))));
      }
      in.write.push_back(1 / (1 + std::exp(-write_.at(row, h))));
    }
    return in;
  }
  // Rows of a sequence that has these tokens, one after another.
  std::vector<double> expected(const std::vector<std::int32_t>& tokens) const {
    std::vector<double> rows(tokens.size() * v_.width);
    for (std::uint64_t h = 0; h < c_.heads; ++h) {
      const HeadRows head = by_recurrence(inputs(h, tokens));
      for (std::size_t t = 0; t < tokens.size(); ++t)
        std::copy(head[t].begin(), head[t].end(), rows.begin() + static_cast<std::ptrdiff_t>(t * v_.width + h * c_.value));
    }
    return rows;
  }

private:
  static constexpr double kEpsilon = 1e-3, kScale = 0.5;
  std::uint64_t decays() const { return c_.decay_of_keys ? c_.key : 1; }
  DeltaCase c_;

public:
  OpCase op;
  std::uint32_t out = 0;

private:
  Table q_, k_, v_, decay_, write_;
  std::vector<double> a_, bias_;
};

std::vector<std::int32_t> tokens_from(std::int32_t first, std::int32_t n) {
  std::vector<std::int32_t> out;
  for (std::int32_t t = first; t < first + n; ++t) out.push_back(t);
  return out;
}

TEST(DeltaRuleTest, TheRecurrenceAndTheChunksAgree) {
  for (const DeltaCase& c : {DeltaCase{}, DeltaCase{.heads = 2, .key_heads = 2, .key = 16, .value = 4, .stored = true}})
    for (const std::uint64_t h : {0U, 1U}) {
      const HeadInputs inputs = DeltaMade(c, 23).inputs(h, tokens_from(0, 23));
      const HeadRows expected = by_recurrence(inputs);
      for (const std::size_t chunk : {1U, 4U, 16U, 64U}) {
        const HeadRows rows = by_chunks(inputs, chunk);
        for (std::size_t t = 0; t < rows.size(); ++t) OpCase::expect_near(rows[t], expected[t], 1e-12);
      }
    }
}

TEST(DeltaRuleTest, IsTheRecurrence) {
  const DeltaCase cases[] = {{},
                             {.heads = 3, .key_heads = 3, .key = 1, .value = 1},
                             {.decay_of_keys = true},
                             {.bias = false, .stored = true},
                             {.heads = 6, .key_heads = 1, .key = 24, .value = 2, .decay_of_keys = true, .dtype = "bfloat16"},
                             {.heads = 2, .key_heads = 1, .key = 16, .value = 40, .dtype = "float16"}};
  for (const DeltaCase& c : cases) {
    SCOPED_TRACE(&c - cases);
    DeltaMade made(c, 11);
    const std::vector<double> rows = made.expected(tokens_from(0, 11));
    made.op.expect(made.out, Table(11, rows.size() / 11, rows), 1e-4);
  }
}

// However tokens come: at once, in parts, one by one, beside others.
template <class Real>
void expect_delta_whatever_the_passes(DeltaMade& made, double tolerance) {
  using Part = typename PassRunner<Real>::Part;
  const std::vector<std::vector<Part>> passes{{{0, tokens_from(0, 3)}, {1, tokens_from(2, 5)}},
                                              {{1, tokens_from(7, 1)}, {2, tokens_from(0, 4)}, {0, tokens_from(3, 2)}},
                                              {{0, tokens_from(5, 1)}},
                                              {{2, tokens_from(4, 1)}, {1, tokens_from(8, 2)}}};
  PassRunner<Real> run = made.op.run<Real>(made.op.finish(made.out));
  std::vector<std::vector<double>> are(3);
  for (const auto& parts : passes) {
    const std::vector<double> rows = run.pass(parts, kAllRows);
    auto row = rows.begin();
    for (const Part& part : parts) {
      const auto end = row + static_cast<std::ptrdiff_t>(part.tokens.size() * 20);
      are[part.sequence].insert(are[part.sequence].end(), row, end);
      row = end;
    }
  }
  OpCase::expect_near(are[0], made.expected(tokens_from(0, 6)), tolerance);
  OpCase::expect_near(are[1], made.expected(tokens_from(2, 8)), tolerance);
  OpCase::expect_near(are[2], made.expected(tokens_from(0, 5)), tolerance);
}

TEST(DeltaRuleTest, GoesOnWhereTheLastPassEnded) {
  DeltaMade exact({}, 10);
  expect_delta_whatever_the_passes<double>(exact, 2e-6); // states are kept in float32
  DeltaMade single({}, 10);
  expect_delta_whatever_the_passes<float>(single, 2e-5);
  DeltaMade half({}, 10, "bfloat16");
  expect_delta_whatever_the_passes<double>(half, 0.05);
}

} // namespace
} // namespace plimsoll::executor_delta_test
