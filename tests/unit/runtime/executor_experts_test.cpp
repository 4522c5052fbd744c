// ROUTE and EXPERTS: routes that are known beforehand, and sums that are computed row by row.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <limits>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_experts_test {
namespace {

using test::OpCase;
using test::random_values;
using test::Table;

// A router that hands its input on: logits are the input's elements.
std::vector<double> identity(std::uint64_t n) {
  std::vector<double> values(n * n, 0);
  for (std::uint64_t i = 0; i < n; ++i) values[i * n + i] = 1;
  return values;
}

struct RouteCase {
  std::string name;
  std::vector<double> logits;
  std::uint64_t k, groups, kept, score;
  bool renormalise;
  std::uint64_t worth;
  double scale;
  std::vector<double> bias, correction;
  std::vector<double> expected; // experts, then weights
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(RouteTest, ChoosesAndWeighs) {
  const double e1 = std::exp(1.0), e2 = std::exp(2.0), all = 1 + e1 + e2 + std::exp(-1.0);
  const RouteCase cases[] = {
      {"softmax over all", {0, 1, 2, -1}, 2, 0, 0, PLIMSOLL_SCORE_SOFTMAX, false, 0, 1, {}, {}, {2, 1, e2 / all, e1 / all}},
      {"renormalised", {0, 1, 2, -1}, 2, 0, 0, PLIMSOLL_SCORE_SOFTMAX, true, 0, 1, {}, {}, {2, 1, e2 / (e1 + e2), e1 / (e1 + e2)}},
      {"softmax over the chosen",
       {0, 1, 2, -1},
       2,
       1,
       1,
       PLIMSOLL_SCORE_SOFTMAX_CHOSEN,
       false,
       0,
       3,
       {},
       {},
       {2, 1, 3 * e2 / (e1 + e2), 3 * e1 / (e1 + e2)}},
      {"a bias of the logits", {0, 1, 2, -1}, 1, 0, 0, PLIMSOLL_SCORE_SOFTMAX_CHOSEN, false, 0, 1, {0, 0, -5, 0}, {}, {1, 1}},
      {"sigmoid", {0, 1, 2, -1}, 2, 0, 0, PLIMSOLL_SCORE_SIGMOID, false, 0, 2.5, {}, {}, {2, 1, 2.5 * sigmoid(2), 2.5 * sigmoid(1)}},
      {"sigmoid of the chosen, where all sigmoids are 1",
       {900, 1000, 2, 950},
       2,
       0,
       0,
       PLIMSOLL_SCORE_SIGMOID_CHOSEN,
       false,
       0,
       1,
       {},
       {},
       {1, 3, 1, 1}},
      {"sigmoid of the chosen", {0, 1, 2, -1}, 2, 0, 0, PLIMSOLL_SCORE_SIGMOID_CHOSEN, false, 0, 1, {}, {}, {2, 1, sigmoid(2), sigmoid(1)}},
      {"chosen by the corrected score, weighed by the score",
       {0, 1, 2, -1},
       2,
       0,
       0,
       PLIMSOLL_SCORE_SIGMOID,
       true,
       0,
       1,
       {},
       {0, 0, -3, 3},
       {3, 1, sigmoid(-1) / (sigmoid(-1) + sigmoid(1)), sigmoid(1) / (sigmoid(-1) + sigmoid(1))}},
      {"equal scores: the lower expert", {1, 1, 1, 1}, 3, 0, 0, PLIMSOLL_SCORE_SOFTMAX, false, 0, 1, {}, {}, {0, 1, 2, 0.25, 0.25, 0.25}},
      {"the best group by its best",
       {3, -9, 2, 2},
       2,
       2,
       1,
       PLIMSOLL_SCORE_SIGMOID,
       false,
       PLIMSOLL_GROUP_BEST,
       1,
       {},
       {},
       {0, 1, sigmoid(3), sigmoid(-9)}},
      {"the best group by its best two",
       {3, -9, 2, 2},
       2,
       2,
       1,
       PLIMSOLL_SCORE_SIGMOID,
       false,
       PLIMSOLL_GROUP_BEST_TWO,
       1,
       {},
       {},
       {2, 3, sigmoid(2), sigmoid(2)}},
      {"equal groups: the lower",
       {1, 0, 1, 0},
       2,
       2,
       1,
       PLIMSOLL_SCORE_SIGMOID,
       false,
       PLIMSOLL_GROUP_BEST_TWO,
       1,
       {},
       {},
       {0, 1, sigmoid(1), 0.5}},
      {"groups of one",
       {1, 0, 4, 2},
       2,
       4,
       2,
       PLIMSOLL_SCORE_SIGMOID,
       false,
       PLIMSOLL_GROUP_BEST_TWO,
       1,
       {},
       {},
       {2, 3, sigmoid(4), sigmoid(2)}},
      {"two of four groups",
       {5, 0, 1, 1, -3, 4, 0, 3, 2, 2, 2, 2, 0, 0, 0, 9},
       3,
       4,
       2,
       PLIMSOLL_SCORE_SOFTMAX_CHOSEN,
       false,
       PLIMSOLL_GROUP_BEST,
       1,
       {},
       {},
       {15, 0, 2, 0, 0, 0}}};
  for (const RouteCase& c : cases) {
    SCOPED_TRACE(c.name);
    const std::uint64_t experts = c.logits.size();
    OpCase op(1);
    const std::uint32_t in = op.input(Table(1, experts, c.logits)), out = op.output(2 * c.k);
    ProgramOp made = op.builder.op(OpKind::kRoute, out, {in}, {op.builder.weight({experts, experts}, identity(experts))},
                                   {experts, c.k, c.groups, c.kept, c.score, c.renormalise ? 1U : 0U, c.worth}, {c.scale});
    if (!c.bias.empty()) made.weights[1] = op.builder.weight({experts}, c.bias, "bfloat16");
    if (!c.correction.empty()) made.weights[2] = op.builder.weight({experts}, c.correction);
    op.builder.replace_last(made);
    Table expected(1, 2 * c.k, c.expected);
    if (experts == 16) { // too long for the table above
      const double sum = std::exp(9.0) + std::exp(5.0) + e1;
      expected.values = {15, 0, 2, std::exp(9.0) / sum, std::exp(5.0) / sum, e1 / sum};
    }
    op.expect(out, expected, 1e-6);
  }
}

TEST(RouteTest, GainsAreOfTheChosenBehindTheirSum) {
  for (const char* const dtype : {"float32", "bfloat16"}) {
    OpCase op(1);
    const std::uint32_t in = op.input(Table(1, 4, {0, 1, 2, -1})), out = op.output(4);
    ProgramOp made =
        op.builder.op(OpKind::kRoute, out, {in}, {op.builder.weight({4, 4}, identity(4))}, {4, 2, 0, 0, PLIMSOLL_SCORE_SOFTMAX, 1}, {3});
    made.weights[3] = op.builder.weight({4}, {7, 0.5, -2, 9}, dtype);
    op.builder.replace_last(made);
    const double e = std::exp(1.0);
    op.expect(out, Table(1, 4, {2, 1, 3 * -2 * e / (e + 1), 3 * 0.5 / (e + 1)}), 1e-6);
  }
}

TEST(RouteTest, WhatIsNoNumberIsChosenLastAndNobodyTwice) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  OpCase op(2);
  const std::uint32_t in = op.input(Table(2, 1, {0, 0})), out = op.output(8);
  const std::uint32_t router = op.builder.weight({4, 1}, {0, 0, 0, 0}), bias = op.builder.weight({4}, {nan, 1, -infinity, nan});
  op.builder.op(OpKind::kRoute, out, {in}, {router, bias}, {4, 4, 2, 2, PLIMSOLL_SCORE_SIGMOID}, {1});
  const Program program = op.finish(out);
  std::vector<double> routes = op.run<float>(program).pass({{0, {0, 1}}}, kAllRows);
  EXPECT_EQ(routes[0], 1);
  for (const std::size_t row : {0U, 8U}) {
    std::vector<double> experts(routes.begin() + static_cast<std::ptrdiff_t>(row), routes.begin() + static_cast<std::ptrdiff_t>(row) + 4);
    std::sort(experts.begin(), experts.end());
    EXPECT_EQ(experts, (std::vector<double>{0, 1, 2, 3}));
  }
}

TEST(RouteTest, ManyRowsAreRoutedAlike) {
  OpCase op(150);
  const std::uint32_t in = op.input(Table(150, 4, [] {
    std::vector<double> rows(150 * 4);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i % 4 == (i / 4) % 4 ? 3 : 0;
    return rows;
  }()));
  const std::uint32_t out = op.output(2);
  op.builder.op(OpKind::kRoute, out, {in}, {op.builder.weight({4, 4}, identity(4), "bfloat16")},
                {4, 1, 0, 0, PLIMSOLL_SCORE_SOFTMAX_CHOSEN}, {1});
  Table expected(150, 2, std::vector<double>(300, 1));
  for (std::uint64_t row = 0; row < 150; ++row) expected.at(row, 0) = static_cast<double>(row % 4);
  op.expect(out, expected);
}

// ---- EXPERTS

struct ExpertCase {
  std::string name;
  std::uint64_t paired = 0, act = PLIMSOLL_ACT_SILU;
  bool gate = true, biases = false, accumulate = false, weighs_inputs = false;
  std::uint32_t in_dim = 1;
  std::string dtype = "float32";
  std::uint64_t tokens = 5;
  bool all_at_one = false;
};

class Experts {
public:
  static constexpr std::uint64_t kExperts = 6, kChosen = 2, kModel = 8, kWidth = 10;

  explicit Experts(const ExpertCase& c)
      : case_(c), op(c.tokens), x(c.tokens, kModel, 1), routes(c.tokens, 2 * kChosen, 2), before(c.tokens, kModel, 3), expected(before) {
    // Expert 5 is chosen by nobody; or all go to expert 2, and to 0 with no weight.
    for (std::uint64_t row = 0; row < c.tokens; ++row) {
      routes.at(row, 0) = c.all_at_one ? 2 : static_cast<double>((row * 3 + 1) % 5);
      routes.at(row, 1) = c.all_at_one ? 0 : static_cast<double>((row * 3 + 2) % 5);
      if (c.all_at_one) routes.at(row, 3) = 0;
    }
    const std::uint64_t first = c.paired != 0 ? 2 * kWidth : kWidth;
    if (c.gate) gate = matrices(first, kModel, 4);
    if (c.paired == 0) up = matrices(kWidth, kModel, 5);
    down = matrices(kModel, kWidth, 6);
    if (c.biases)
      gate_bias = vectors(first, 7), up_bias = c.paired == 0 ? vectors(kWidth, 8) : std::vector<double>{}, down_bias = vectors(kModel, 9);
    if (!c.gate) gate_bias.clear();
    const std::uint32_t in = op.input(x), in_routes = op.input(routes), out = op.input(before);
    ProgramOp& placed = op.builder.op(OpKind::kExperts, out, {in, in_routes},
                                      {weight(gate, first, kModel), weight(up, kWidth, kModel), weight(down, kModel, kWidth),
                                       bias(gate_bias, first), bias(up_bias, kWidth), bias(down_bias, kModel)},
                                      {kExperts, kChosen, kWidth, c.act, c.paired, 0, 0, c.weighs_inputs ? 1U : 0U}, {7, 1.702});
    placed.accumulate = c.accumulate;
    by_hand();
    op.expect(out, expected);
  }

private:
  // Values that every type has.
  static std::vector<double> values(std::uint64_t n, std::uint64_t seed) {
    std::vector<double> out(n);
    for (std::uint64_t i = 0; i < n; ++i) out[i] = static_cast<double>((i * 29 + seed * 13) % 64) / 64 - 0.5;
    return out;
  }
  static std::vector<double> matrices(std::uint64_t out, std::uint64_t in, std::uint64_t seed) { return values(kExperts * out * in, seed); }
  static std::vector<double> vectors(std::uint64_t n, std::uint64_t seed) { return values(kExperts * n, seed); }
  std::uint32_t weight(const std::vector<double>& v, std::uint64_t out, std::uint64_t in) {
    if (v.empty()) return kNoIndex;
    return op.builder.weight(case_.in_dim == 1 ? std::vector<std::uint64_t>{out, in} : std::vector<std::uint64_t>{in, out}, v, case_.dtype,
                             kExperts, case_.in_dim);
  }
  std::uint32_t bias(const std::vector<double>& v, std::uint64_t n) {
    return v.empty() ? kNoIndex : op.builder.weight({n}, v, case_.dtype, kExperts);
  }

  // Output o of a matrix of an expert.
  double product(const std::vector<double>& m, const std::vector<double>& b, std::uint64_t e, std::uint64_t outs, std::uint64_t o,
                 const std::vector<double>& in) const {
    double sum = b.empty() ? 0 : b[e * outs + o];
    for (std::uint64_t i = 0; i < in.size(); ++i)
      sum += in[i] * m[e * outs * in.size() + (case_.in_dim == 1 ? o * in.size() + i : i * outs + o)];
    return sum;
  }
  double joined(double g, double u) const {
    if (case_.act == PLIMSOLL_ACT_SWIGLU_OAI) {
      g = std::min(g, 7.0);
      u = std::clamp(u, -7.0, 7.0);
      return (u + 1) * g * sigmoid(1.702 * g);
    }
    if (case_.act == PLIMSOLL_ACT_RELU_SQUARED) return std::pow(std::max(g, 0.0), 2) * u;
    return case_.act == PLIMSOLL_ACT_RELU ? std::max(g, 0.0) * u : g * sigmoid(g) * u;
  }
  void by_hand() {
    const std::uint64_t first = case_.paired != 0 ? 2 * kWidth : kWidth;
    for (std::uint64_t row = 0; row < x.rows; ++row)
      for (std::uint64_t n = 0; n < kChosen; ++n) {
        const auto e = static_cast<std::uint64_t>(routes.at(row, n));
        std::vector<double> in(kModel), hidden(kWidth);
        const double weight = routes.at(row, kChosen + n), before_it = case_.weighs_inputs ? weight : 1,
                     behind_it = case_.weighs_inputs ? 1 : weight;
        for (std::uint64_t i = 0; i < kModel; ++i) in[i] = before_it * x.at(row, i);
        for (std::uint64_t i = 0; i < kWidth; ++i) {
          const std::uint64_t at_gate = case_.paired == 2 ? 2 * i : i, at_up = case_.paired == 2 ? 2 * i + 1 : kWidth + i;
          const double u = case_.paired != 0 ? product(gate, gate_bias, e, first, at_up, in) : product(up, up_bias, e, kWidth, i, in);
          hidden[i] = case_.gate ? joined(product(gate, gate_bias, e, first, at_gate, in), u) : joined(u, 1);
        }
        for (std::uint64_t i = 0; i < kModel; ++i) {
          double& to = expected.at(row, i);
          if (n == 0 && !case_.accumulate) to = 0;
          to += behind_it * product(down, down_bias, e, kModel, i, hidden);
        }
      }
  }

  ExpertCase case_;
  OpCase op;
  Table x, routes, before, expected;
  std::vector<double> gate, up, down, gate_bias, up_bias, down_bias;
};

TEST(ExpertsTest, SumsWhatTheChosenSay) {
  std::vector<ExpertCase> cases;
  const auto add = [&](const std::string& name, auto change) {
    cases.emplace_back();
    cases.back().name = name;
    change(cases.back());
  };
  add("gate and up", [](ExpertCase&) {});
  add("biases, added to what is there", [](ExpertCase& c) { c.biases = c.accumulate = true; });
  add("both in one, halves", [](ExpertCase& c) {
    c.paired = 1;
    c.biases = true;
  });
  add("both in one, alternating, stored the other way", [](ExpertCase& c) {
    c.paired = 2;
    c.biases = true;
    c.in_dim = 0;
    c.act = PLIMSOLL_ACT_SWIGLU_OAI;
  });
  add("weights of what they read", [](ExpertCase& c) {
    c.weighs_inputs = c.biases = c.accumulate = true;
    c.paired = 1;
    c.in_dim = 0;
  });
  add("no gate", [](ExpertCase& c) {
    c.gate = false;
    c.biases = true;
    c.act = PLIMSOLL_ACT_RELU;
  });
  add("no gate, squared", [](ExpertCase& c) {
    c.gate = false;
    c.act = PLIMSOLL_ACT_RELU_SQUARED;
  });
  add("bfloat16", [](ExpertCase& c) {
    c.dtype = "bfloat16";
    c.biases = true;
  });
  add("float16, stored the other way", [](ExpertCase& c) {
    c.dtype = "float16";
    c.in_dim = 0;
  });
  add("one token", [](ExpertCase& c) { c.tokens = 1; });
  add("all tokens at one expert, more than a block", [](ExpertCase& c) {
    c.tokens = 300;
    c.all_at_one = true;
  });
  add("many tokens", [](ExpertCase& c) {
    c.tokens = 301;
    c.paired = 2;
    c.biases = true;
  });
  for (const ExpertCase& c : cases) {
    SCOPED_TRACE(c.name);
    Experts run(c);
  }
}

TEST(ExpertsTest, RoutesThatAreNoneGiveNothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  OpCase op(3);
  const std::uint32_t x = op.input(Table(3, 2, {1, 2, 3, 4, 5, 6}));
  const std::uint32_t routes = op.input(Table(3, 4, {nan, -1, 1, 1, 2, 1e30, 1, 1, 0, 0, 0.5, 0.5})), out = op.output(2);
  const std::vector<double> same{1, 0, 0, 1, 2, 0, 0, 2};
  op.builder.op(OpKind::kExperts, out, {x, routes},
                {kNoIndex, op.builder.weight({2, 2}, same, "float32", 2), op.builder.weight({2, 2}, same, "float32", 2)},
                {2, 2, 2, PLIMSOLL_ACT_NONE, 0});
  op.expect(out, Table(3, 2, {0, 0, 0, 0, 5, 6}));
}

} // namespace
} // namespace plimsoll::executor_experts_test
