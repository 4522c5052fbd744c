// ATTEND_LATENT: absorbed and expanded, against keys and values that are made of latents one by one.
#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_latent_test {
namespace {

using test::OpCase;
using test::PassRunner;
using test::Table;

struct LatentShape {
  std::uint64_t heads = 3, rank = 12, nope = 6, rope = 4, value = 5;
  std::string up_dtype = "float32", kv_dtype = "float32";
  std::uint32_t in_dim = 1;
  bool accumulate = false;
};

class LatentCase {
public:
  LatentCase(const LatentShape& s, std::uint64_t tokens)
      : shape(s), op(tokens), q(tokens, s.heads * (s.nope + s.rope), 1), latent(tokens, s.rank + s.rope, 2),
        before(tokens, s.heads * s.value, 3), expected(before) {
    const std::uint64_t out_width = s.heads * (s.nope + s.value);
    up.resize(out_width * s.rank);
    for (std::size_t i = 0; i < up.size(); ++i) up[i] = static_cast<double>(i * 37 % 64) / 64 - 0.5; // which every type has
    const std::uint32_t in_q = op.input(q), in_latent = op.input(latent), out = op.input(before);
    const std::vector<std::uint64_t> dims =
        s.in_dim == 1 ? std::vector<std::uint64_t>{out_width, s.rank} : std::vector<std::uint64_t>{s.rank, out_width};
    const std::uint32_t weight = op.builder.weight(dims, up, s.up_dtype, 0, s.in_dim);
    op.builder.attend(OpKind::kAttendLatent, 0, 0, out, {in_q, in_latent}, {weight}, {s.heads, s.rank, s.nope, s.rope, s.value}, {0.4})
        .accumulate = s.accumulate;
    op.pool({CacheKind::kLatent, 1, 1, s.rank + s.rope, 0, 16, 65, s.kv_dtype, s.kv_dtype});
    program = op.finish(out);
    by_hand();
  }
  PassRunner<float> runner(LatentAttention how) { return op.run<float>(program, {how}); }
  std::vector<double> rows(std::uint64_t begin, std::uint64_t end) const {
    const auto width = static_cast<std::ptrdiff_t>(expected.width);
    return {expected.values.begin() + static_cast<std::ptrdiff_t>(begin) * width,
            expected.values.begin() + static_cast<std::ptrdiff_t>(end) * width};
  }

  LatentShape shape;
  OpCase op;
  Table q, latent, before, expected;
  std::vector<double> up;
  Program program;

private:
  // Output o of the up projection, of the latent at position j.
  double projected(std::uint64_t j, std::uint64_t o) const {
    const std::uint64_t out_width = shape.heads * (shape.nope + shape.value);
    double sum = 0;
    for (std::uint64_t r = 0; r < shape.rank; ++r)
      sum += latent.at(j, r) * (shape.in_dim == 1 ? up[o * shape.rank + r] : up[r * out_width + o]);
    return sum;
  }
  void by_hand() {
    const LatentShape& s = shape;
    const ElementType type = find_element_type(s.kv_dtype).value();
    std::vector<double> memory(latent.values.size());
    store_elements(latent.values.data(), memory.size(), memory.data(), type, 0);
    load_elements(memory.data(), type, 0, memory.size(), latent.values.data());
    for (std::uint64_t p = 0; p < q.rows; ++p)
      for (std::uint64_t h = 0; h < s.heads; ++h) {
        const std::uint64_t first = h * (s.nope + s.value), first_q = h * (s.nope + s.rope);
        double total = 0;
        std::vector<double> sum(s.value, 0);
        for (std::uint64_t j = 0; j <= p; ++j) {
          double score = 0;
          for (std::uint64_t i = 0; i < s.nope; ++i) score += q.at(p, first_q + i) * projected(j, first + i);
          for (std::uint64_t i = 0; i < s.rope; ++i) score += q.at(p, first_q + s.nope + i) * latent.at(j, s.rank + i);
          const double weight = std::exp(0.4 * score);
          total += weight;
          for (std::uint64_t i = 0; i < s.value; ++i) sum[i] += weight * projected(j, first + s.nope + i);
        }
        for (std::uint64_t i = 0; i < s.value; ++i)
          expected.at(p, h * s.value + i) = (s.accumulate ? before.at(p, h * s.value + i) : 0) + sum[i] / total;
      }
  }
};

std::vector<std::int32_t> tokens(std::int32_t begin, std::int32_t end) {
  std::vector<std::int32_t> ids;
  for (std::int32_t t = begin; t < end; ++t) ids.push_back(t);
  return ids;
}

TEST(AttendLatentTest, AbsorbedAndExpandedAreWhatKeysAndValuesGive) {
  std::vector<LatentShape> shapes(7);
  shapes[1].in_dim = 0;
  shapes[2].up_dtype = "bfloat16";
  shapes[2].in_dim = 0;
  shapes[3].up_dtype = "float16";
  shapes[3].accumulate = true;
  shapes[4].kv_dtype = "bfloat16";
  shapes[5].heads = 70; // more than a block has rows
  shapes[6].heads = 1;
  shapes[6].accumulate = true;
  for (std::size_t n = 0; n < shapes.size(); ++n) {
    LatentCase c(shapes[n], test::test_length(shapes[n].heads > 64 ? 40 : 150, 40));
    const std::vector<std::int32_t> all = tokens(0, static_cast<std::int32_t>(c.q.rows));
    for (const LatentAttention how : {LatentAttention::kAbsorbed, LatentAttention::kExpanded}) {
      SCOPED_TRACE(fmt::format("shape {}, {}", n, how == LatentAttention::kAbsorbed ? "absorbed" : "expanded"));
      OpCase::expect_near(c.op.run<double>(c.program, {how}).pass({{0, all}}, kAllRows), c.expected.values,
                          shapes[n].kv_dtype == "float32" ? 2e-7 : 1e-5);
      OpCase::expect_near(c.runner(how).pass({{0, all}}, kAllRows), c.expected.values, 2e-5);
    }
  }
}

TEST(AttendLatentTest, ChunkedAndRaggedAreWholeAndSingle) {
  LatentCase c({}, 60);
  for (const LatentAttention how : {LatentAttention::kAbsorbed, LatentAttention::kExpanded}) {
    PassRunner<float> runner = c.runner(how);
    OpCase::expect_near(runner.pass({{1, tokens(0, 33)}}, kAllRows), c.rows(0, 33), 2e-5);
    OpCase::expect_near(runner.pass({{0, tokens(0, 1)}}, kAllRows), c.rows(0, 1), 2e-5);
    std::vector<double> expected = c.rows(1, 20);
    for (const auto& [begin, end] : {std::pair(33U, 34U), std::pair(0U, 40U)}) {
      const std::vector<double> more = c.rows(begin, end);
      expected.insert(expected.end(), more.begin(), more.end());
    }
    OpCase::expect_near(runner.pass({{0, tokens(1, 20)}, {1, tokens(33, 34)}, {2, tokens(0, 40)}}, kAllRows), expected, 2e-5);
  }
}

} // namespace
} // namespace plimsoll::executor_latent_test
