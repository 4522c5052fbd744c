// One op, or a few, by themselves: their inputs are rows of tables that tokens look up, so token n of a pass is row n of every input. For
// tests of the executor: each runs in float and in double against what the test computes.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include "support/program_builder.hpp"

namespace plimsoll::test {

// [rows, width] of a test's own arithmetic.
struct Table {
  Table(std::uint64_t n_rows, std::uint64_t n_columns, std::vector<double> all) : rows(n_rows), width(n_columns), values(std::move(all)) {}
  Table(std::uint64_t n_rows, std::uint64_t n_columns, std::uint64_t seed, double scale = 1)
      : Table(n_rows, n_columns, random_values(n_rows * n_columns, seed, scale)) {}
  double& at(std::uint64_t row, std::uint64_t column) { return values[row * width + column]; }
  double at(std::uint64_t row, std::uint64_t column) const { return values[row * width + column]; }
  std::uint64_t rows, width;
  std::vector<double> values;
};

class OpCase {
public:
  explicit OpCase(std::uint64_t tokens, std::uint64_t sequences = 4) : tokens_(tokens), builder(tokens, sequences, tokens) {}

  std::uint32_t input(const Table& rows) {
    const std::uint32_t table = builder.weight({rows.rows, rows.width}, rows.values);
    const std::uint32_t value = builder.value(rows.width);
    builder.op(OpKind::kEmbed, value, {}, {table}, {}, {1});
    return value;
  }
  std::uint32_t output(std::uint64_t width) { return builder.value(width); }
  std::shared_ptr<Pool> pool(const PoolShape& shape) {
    pools.push_back(std::make_shared<Pool>(shape));
    return pools.back();
  }
  // Makes `value` the result, and says what executes it.
  Program finish(std::uint32_t value) {
    const std::uint32_t rows = builder.value(width_of(value), true);
    builder.op(OpKind::kLastRows, rows, {value});
    return builder.program(rows);
  }
  template <class Real>
  PassRunner<Real> run(const Program& program, ExecutorOptions options = {}) {
    // Pools of one run are not another's.
    std::vector<std::shared_ptr<Pool>> fresh;
    for (const auto& pool : pools) fresh.push_back(std::make_shared<Pool>(pool->shape()));
    return PassRunner<Real>(program, builder.weights(), std::move(fresh), options);
  }
  // All rows of `value` after one pass of one sequence.
  void expect(std::uint32_t value, const Table& expected, double tolerance = 2e-5) {
    const Program program = finish(value);
    std::vector<std::int32_t> all(tokens_);
    for (std::size_t n = 0; n < all.size(); ++n) all[n] = static_cast<std::int32_t>(n);
    expect_near(run<double>(program).pass({{0, all}}, kAllRows), expected.values, tolerance * 1e-4);
    expect_near(run<float>(program).pass({{0, all}}, kAllRows), expected.values, tolerance);
  }
  static void expect_near(const std::vector<double>& is, const std::vector<double>& expected, double tolerance) {
    ASSERT_EQ(is.size(), expected.size());
    for (std::size_t n = 0; n < is.size(); ++n) ASSERT_NEAR(is[n], expected[n], test_tolerance(tolerance)) << "element " << n;
  }

private:
  std::uint64_t width_of(std::uint32_t value) const { return builder.width_of(value); }
  std::uint64_t tokens_;

public:
  ProgramBuilder builder;
  std::vector<std::shared_ptr<Pool>> pools;
};

} // namespace plimsoll::test
