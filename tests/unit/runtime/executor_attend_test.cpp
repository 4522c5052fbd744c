// ATTEND: against the sum over all keys that a query sees, computed at once.
#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_attend_test {
namespace {

using test::OpCase;
using test::PassRunner;
using test::PoolShape;
using test::Table;

struct Shape {
  std::uint64_t heads = 4, kv_heads = 2, k = 8, v = 8, window = 0, chunk = 0;
  double scale = 0.3, cap = 0;
  std::uint64_t step = 0;
  double growth = 0, bias = 0;
  bool sinks = false;
  std::uint64_t page_tokens = 16;
  std::string k_dtype = "float32", v_dtype = "float32";
};

// ALiBi's slopes: those of the power of two below, then every second one of twice as many.
double slope_of(std::uint64_t head, std::uint64_t heads, double most) {
  std::uint64_t power = 1;
  while (2 * power <= heads) power *= 2;
  if (head < power) return std::exp2(-most / static_cast<double>(power) * static_cast<double>(head + 1));
  return std::exp2(-most / static_cast<double>(2 * power) * static_cast<double>(2 * (head - power) + 1));
}

// Rows [begin, end) of one sequence: row n stands at position n.
Table attend_by_hand(const Shape& s, const Table& q, const Table& k, const Table& v, const std::vector<double>& sinks) {
  Table out(q.rows, s.heads * s.v, std::vector<double>(q.rows * s.heads * s.v));
  for (std::uint64_t p = 0; p < q.rows; ++p)
    for (std::uint64_t h = 0; h < s.heads; ++h) {
      const std::uint64_t kv = h / (s.heads / s.kv_heads);
      double total = s.sinks ? std::exp(sinks[h]) : 0;
      for (std::uint64_t j = 0; j <= p; ++j) {
        if (s.window != 0 && j + s.window <= p) continue;
        if (s.chunk != 0 && j / s.chunk != p / s.chunk) continue;
        double score = 0;
        const double grown =
            s.step == 0 ? 1 : 1 + s.growth * std::log(1 + std::floor(static_cast<double>(p + 1) / static_cast<double>(s.step)));
        for (std::uint64_t i = 0; i < s.k; ++i) score += grown * s.scale * q.at(p, h * s.k + i) * k.at(j, kv * s.k + i);
        if (s.bias != 0) score -= slope_of(h, s.heads, s.bias) * static_cast<double>(p - j);
        if (s.cap != 0) score = s.cap * std::tanh(score / s.cap);
        total += std::exp(score);
        for (std::uint64_t i = 0; i < s.v; ++i) out.at(p, h * s.v + i) += std::exp(score) * v.at(j, kv * s.v + i);
      }
      for (std::uint64_t i = 0; i < s.v; ++i) out.at(p, h * s.v + i) /= total;
    }
  return out;
}

// What a type keeps of a number.
Table kept(Table x, const std::string& dtype) {
  const ElementType type = find_element_type(dtype).value();
  std::vector<double> memory(x.values.size());
  store_elements(x.values.data(), x.values.size(), memory.data(), type, 0);
  load_elements(memory.data(), type, 0, x.values.size(), x.values.data());
  return x;
}

// One attention over `tokens` rows; expected: as one sequence.
struct Attention {
  explicit Attention(const Shape& s, std::uint64_t tokens, std::uint64_t seed = 1)
      : shape(s), op(tokens), q(tokens, s.heads * s.k, seed, 2), k(tokens, s.kv_heads * s.k, seed + 1, 2),
        v(tokens, s.kv_heads * s.v, seed + 2), expected(0, 0, std::vector<double>{}) {
    std::vector<double> sinks(s.heads);
    for (std::size_t h = 0; h < s.heads; ++h) sinks[h] = 0.5 * static_cast<double>(h) - 1;
    const std::uint32_t in_q = op.input(q), in_k = op.input(k), in_v = op.input(v), out = op.output(s.heads * s.v);
    ProgramOp made = op.builder.attend(OpKind::kAttend, 0, 0, out, {in_q, in_k, in_v}, {},
                                       {s.heads, s.kv_heads, s.k, s.v, s.window, s.chunk, s.step}, {s.scale, s.cap, s.growth, s.bias});
    made.all_heads = s.heads;
    if (s.sinks) made.weights[0] = op.builder.weight({s.heads}, sinks, "bfloat16");
    op.builder.replace_last(made);
    op.pool({CacheKind::kFull, 1, s.kv_heads, s.k, s.v, s.page_tokens, 128, s.k_dtype, s.v_dtype});
    program = op.finish(out);
    expected = attend_by_hand(s, q, kept(k, s.k_dtype), kept(v, s.v_dtype), sinks);
  }
  std::vector<double> rows(std::uint64_t begin, std::uint64_t end) const {
    const auto width = static_cast<std::ptrdiff_t>(expected.width);
    return {expected.values.begin() + static_cast<std::ptrdiff_t>(begin) * width,
            expected.values.begin() + static_cast<std::ptrdiff_t>(end) * width};
  }

  Shape shape;
  OpCase op;
  Table q, k, v, expected;
  Program program;
};

std::vector<std::int32_t> tokens(std::int32_t begin, std::int32_t end) {
  std::vector<std::int32_t> ids;
  for (std::int32_t t = begin; t < end; ++t) ids.push_back(t);
  return ids;
}

const std::vector<std::pair<std::string, Shape>>& shapes() {
  static const std::vector<std::pair<std::string, Shape>> all = [] {
    std::vector<std::pair<std::string, Shape>> out;
    const auto add = [&](const std::string& name, auto change) {
      out.emplace_back(name, Shape{});
      change(out.back().second);
    };
    add("two heads share a key", [](Shape&) {});
    add("each head its key", [](Shape& s) { s.kv_heads = 4; });
    add("all heads share one", [](Shape& s) { s.kv_heads = 1; });
    add("more heads than a block has rows", [](Shape& s) {
      s.heads = 71;
      s.kv_heads = 1;
    });
    add("values of another width", [](Shape& s) {
      s.k = 12;
      s.v = 5;
    });
    add("a window", [](Shape& s) { s.window = 7; });
    add("a window of one", [](Shape& s) { s.window = 1; });
    add("a window longer than a block", [](Shape& s) { s.window = 100; });
    add("chunks", [](Shape& s) { s.chunk = 24; });
    add("a soft cap", [](Shape& s) { s.cap = 0.7; });
    add("queries that grow, before the cap", [](Shape& s) {
      s.step = 8;
      s.growth = 0.75;
      s.cap = 0.7;
    });
    add("ALiBi", [](Shape& s) { s.bias = 8; });
    add("ALiBi of six heads, in a window", [](Shape& s) {
      s.heads = 6;
      s.kv_heads = 3;
      s.bias = 4;
      s.window = 9;
    });
    add("sinks", [](Shape& s) { s.sinks = true; });
    add("sinks and a window", [](Shape& s) {
      s.sinks = true;
      s.window = 5;
    });
    add("pages of one token", [](Shape& s) { s.page_tokens = 1; });
    add("pages of seven", [](Shape& s) { s.page_tokens = 7; });
    add("pages longer than a block", [](Shape& s) { s.page_tokens = 256; });
    add("keys and values of bfloat16", [](Shape& s) { s.k_dtype = s.v_dtype = "bfloat16"; });
    add("keys of float16, values of float32", [](Shape& s) { s.k_dtype = "float16"; });
    return out;
  }();
  return all;
}

TEST(AttendTest, EqualsTheSumOverAllKeys) {
  for (const auto& [name, shape] : shapes()) {
    SCOPED_TRACE(name);
    const std::uint64_t n =
        test::test_length(shape.page_tokens == 1 ? 100 : 150, 40); // more than two blocks of keys; the pool has 127 pages
    Attention a(shape, n);
    OpCase::expect_near(a.op.run<double>(a.program).pass({{0, tokens(0, static_cast<std::int32_t>(n))}}, kAllRows), a.expected.values,
                        shape.k_dtype == "float32" ? 1e-6 : 1e-5); // caches keep float32
    OpCase::expect_near(a.op.run<float>(a.program).pass({{0, tokens(0, static_cast<std::int32_t>(n))}}, kAllRows), a.expected.values, 2e-5);
  }
}

TEST(AttendTest, ChunkedIsWhole) {
  for (const auto& [name, shape] : shapes()) {
    SCOPED_TRACE(name);
    Attention a(shape, 90);
    PassRunner<float> run = a.op.run<float>(a.program);
    std::int32_t begin = 0;
    for (const std::int32_t length : {1, 1, 30, 7, 1, 49, 1}) {
      const std::vector<double> is = run.pass({{0, tokens(begin, begin + length)}}, kAllRows, shape.window);
      OpCase::expect_near(is, a.rows(static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(begin + length)), 2e-5);
      begin += length;
    }
  }
}

TEST(AttendTest, RaggedIsSingle) {
  for (const auto& [name, shape] : shapes()) {
    SCOPED_TRACE(name);
    if (shape.page_tokens == 1) continue; // its pages would be too many
    // Four copies of one sequence, each at another place of it.
    Attention a(shape, 60);
    PassRunner<float> run = a.op.run<float>(a.program);
    run.pass({{2, tokens(0, 21)}});
    run.pass({{1, tokens(0, 13)}, {3, tokens(0, 2)}});
    const std::vector<double> is = run.pass({{0, tokens(0, 3)}, {1, tokens(13, 14)}, {2, tokens(21, 60)}, {3, tokens(2, 19)}}, kAllRows);
    std::vector<double> expected = a.rows(0, 3);
    for (const auto& [begin, end] : {std::pair(13U, 14U), std::pair(21U, 60U), std::pair(2U, 19U)}) {
      const std::vector<double> more = a.rows(begin, end);
      expected.insert(expected.end(), more.begin(), more.end());
    }
    OpCase::expect_near(is, expected, 2e-5);
  }
}

TEST(AttendTest, SharedPagesOfAPrefixGiveTheSame) {
  const Shape shape;
  Attention a(shape, 48);
  PassRunner<float> run = a.op.run<float>(a.program);
  run.pass({{0, tokens(0, 40)}});
  run.share(0, 1, 32); // two pages of 16
  OpCase::expect_near(run.pass({{1, tokens(32, 48)}}, kAllRows), a.rows(32, 48), 2e-5);
}

TEST(AttendTest, LooksIntoWhatAnotherLayerStored) {
  OpCase op(20);
  const Table q(20, 16, 1), r(20, 16, 2), k(20, 8, 3), v(20, 8, 4);
  Shape shape;
  shape.kv_heads = 2;
  shape.heads = 4;
  shape.k = shape.v = 4;
  const std::uint32_t in_q = op.input(q), in_r = op.input(r), in_k = op.input(k), in_v = op.input(v), first = op.output(16),
                      out = op.output(16);
  op.builder.attend(OpKind::kAttend, 0, 1, first, {in_q, in_k, in_v}, {}, {4, 2, 4, 4}, {0.3});
  op.builder.attend(OpKind::kAttend, 0, 1, out, {in_r}, {}, {4, 2, 4, 4}, {0.3});
  op.pool({CacheKind::kFull, 2, 2, 4, 4, 8, 32, "float32", "float32"});
  op.expect(out, attend_by_hand(shape, r, k, v, {}));
}

// Heads 4 and 5 of six, as a rank has them.
TEST(AttendTest, LeansByTheHeadsOfTheWholeModel) {
  OpCase op(20);
  const Table q(20, 24, 1), k(20, 24, 2), v(20, 24, 3);
  Shape shape;
  shape.heads = shape.kv_heads = 6;
  shape.k = shape.v = 4;
  shape.bias = 8;
  const Table whole = attend_by_hand(shape, q, k, v, {});
  const auto of_rank = [](const Table& all) {
    Table part(20, 8, std::vector<double>(160));
    for (std::uint64_t row = 0; row < 20; ++row)
      for (std::uint64_t i = 0; i < 8; ++i) part.at(row, i) = all.at(row, 16 + i);
    return part;
  };
  const std::uint32_t in_q = op.input(of_rank(q)), in_k = op.input(of_rank(k)), in_v = op.input(of_rank(v)), out = op.output(8);
  ProgramOp made = op.builder.attend(OpKind::kAttend, 0, 0, out, {in_q, in_k, in_v}, {}, {2, 2, 4, 4}, {0.3, 0, 0, 8});
  made.first_head = 4;
  made.all_heads = 6;
  op.builder.replace_last(made);
  op.pool({CacheKind::kFull, 1, 2, 4, 4, 8, 32, "float32", "float32"});
  op.expect(out, of_rank(whole));
}

TEST(AttendTest, AddsToItsResult) {
  Shape shape;
  shape.heads = shape.kv_heads = 2;
  shape.k = shape.v = 4;
  OpCase op(20);
  const Table q(20, 8, 1), k(20, 8, 3), v(20, 8, 4), before(20, 8, 5);
  const std::uint32_t in_q = op.input(q), in_k = op.input(k), in_v = op.input(v), out = op.input(before);
  op.builder.attend(OpKind::kAttend, 0, 0, out, {in_q, in_k, in_v}, {}, {2, 2, 4, 4}, {0.3}).accumulate = true;
  op.pool({CacheKind::kFull, 1, 2, 4, 4, 16, 32, "float32", "float32"});
  Table expected = attend_by_hand(shape, q, k, v, {});
  for (std::size_t i = 0; i < expected.values.size(); ++i) expected.values[i] += before.values[i];
  op.expect(out, expected);
}

TEST(AttendTest, LargeScoresDoNotOverflow) {
  Shape shape;
  shape.scale = 40;
  Attention a(shape, 70);
  const std::vector<double> is = a.op.run<float>(a.program).pass({{0, tokens(0, 70)}}, kAllRows);
  for (const double value : is) ASSERT_TRUE(std::isfinite(value));
}

} // namespace
} // namespace plimsoll::executor_attend_test
