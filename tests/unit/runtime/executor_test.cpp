// Whole passes: a small llama by hand, against the same arithmetic over all tokens at once.
#include "runtime/executor.hpp"

#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>

#include "unit/runtime/op_case.hpp"

namespace {
thread_local bool counting = false;
thread_local std::size_t counted = 0;
} // namespace

// Counts what a pass allocates. Sanitizers have an operator new of their own, which must stay whole.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (counting) ++counted;
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace plimsoll::executor_test {
namespace {

using test::OpCase;
using test::PassRunner;
using test::Pool;
using test::ProgramBuilder;
using test::random_values;
using test::Table;

constexpr std::uint64_t kVocabulary = 40, kModel = 24, kHeads = 4, kKvHeads = 2, kHead = 6, kHidden = 32, kLayers = 3;

// Weights of the model, and the pass over one sequence by plain loops.
class Llama {
public:
  Llama() {
    for (std::uint64_t layer = 0; layer < kLayers; ++layer)
      layers_.push_back({matrix(kHeads * kHead, kModel), matrix(kKvHeads * kHead, kModel), matrix(kKvHeads * kHead, kModel),
                         matrix(kModel, kHeads * kHead), matrix(kHidden, kModel), matrix(kHidden, kModel), matrix(kModel, kHidden), gain(),
                         gain()});
    table_ = matrix(kVocabulary, kModel);
    for (double& value : table_) value *= 4;
    head_ = matrix(kVocabulary, kModel);
    norm_ = gain();
  }

  Program describe(ProgramBuilder& b) const {
    const std::uint32_t x = b.value(kModel), n = b.value(kModel), q = b.value(kHeads * kHead), k = b.value(kKvHeads * kHead),
                        v = b.value(kKvHeads * kHead);
    const std::uint32_t a = b.value(kHeads * kHead), g = b.value(kHidden), u = b.value(kHidden), last = b.value(kModel, true),
                        logits = b.value(kVocabulary, true);
    const std::uint32_t turn = b.rope_of(kHead, 100);
    const auto linear = [&](std::uint32_t out, std::uint32_t in, const std::vector<double>& w) {
      return std::ref(b.op(OpKind::kLinear, out, {in}, {b.weight({b.width_of(out), b.width_of(in)}, w)}, {0}, {1}));
    };
    b.op(OpKind::kEmbed, x, {}, {b.weight({kVocabulary, kModel}, table_)}, {}, {1});
    for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
      const Layer& w = layers_[layer];
      b.op(OpKind::kNorm, n, {x}, {b.weight({kModel}, w.norm)}, {}, {1e-5});
      linear(q, n, w.q), linear(k, n, w.k), linear(v, n, w.v);
      b.op(OpKind::kRope, q, {q}, {}, {kHeads, kHead, 0, kHead, 0, turn});
      b.op(OpKind::kRope, k, {k}, {}, {kKvHeads, kHead, 0, kHead, 0, turn});
      b.attend(OpKind::kAttend, 0, layer, a, {q, k, v}, {}, {kHeads, kKvHeads, kHead, kHead}, {0.4});
      linear(x, a, w.o).get().accumulate = true;
      b.op(OpKind::kNorm, n, {x}, {b.weight({kModel}, w.ffn_norm)}, {}, {1e-5});
      linear(g, n, w.gate), linear(u, n, w.up);
      b.op(OpKind::kGate, g, {g, u}, {}, {PLIMSOLL_ACT_SILU});
      linear(x, g, w.down).get().accumulate = true;
    }
    b.op(OpKind::kLastRows, last, {x});
    b.op(OpKind::kNorm, last, {last}, {b.weight({kModel}, norm_)}, {}, {1e-5});
    linear(logits, last, head_);
    return b.program(logits);
  }

  // Logits of every token.
  std::vector<double> by_hand(const std::vector<std::int32_t>& tokens) const {
    std::vector<Row> x, out;
    for (const std::int32_t token : tokens)
      x.emplace_back(table_.begin() + token * std::ptrdiff_t{kModel}, table_.begin() + (token + 1) * std::ptrdiff_t{kModel});
    for (const Layer& w : layers_) {
      std::vector<Row> q, k, v;
      for (std::size_t p = 0; p < x.size(); ++p) {
        const Row n = normed(x[p], w.norm);
        q.push_back(turned(times(w.q, n), p)), k.push_back(turned(times(w.k, n), p)), v.push_back(times(w.v, n));
      }
      for (std::size_t p = 0; p < x.size(); ++p) {
        add(x[p], times(w.o, attended(q[p], k, v, p)));
        const Row n = normed(x[p], w.ffn_norm);
        Row gate = times(w.gate, n);
        const Row up = times(w.up, n);
        for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        add(x[p], times(w.down, gate));
      }
    }
    std::vector<double> logits;
    for (const Row& row : x) {
      const Row of_row = times(head_, normed(row, norm_));
      logits.insert(logits.end(), of_row.begin(), of_row.end());
    }
    return logits;
  }

private:
  using Row = std::vector<double>;
  struct Layer {
    std::vector<double> q, k, v, o, gate, up, down, norm, ffn_norm;
  };
  std::vector<double> matrix(std::uint64_t out, std::uint64_t in) {
    return random_values(out * in, ++seed_, 1.7 / std::sqrt(static_cast<double>(in)));
  }
  std::vector<double> gain() {
    std::vector<double> values = random_values(kModel, ++seed_, 0.2);
    for (double& value : values) value += 1;
    return values;
  }
  static Row times(const std::vector<double>& w, const Row& x) {
    Row y(w.size() / x.size(), 0);
    for (std::size_t o = 0; o < y.size(); ++o)
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
    return y;
  }
  static void add(Row& x, const Row& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }
  static Row normed(Row x, const std::vector<double>& gain) {
    double square = 0;
    for (const double value : x) square += value * value / static_cast<double>(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) x[i] *= gain[i] / std::sqrt(square + 1e-5);
    return x;
  }
  static Row turned(Row x, std::size_t position) {
    for (std::size_t head = 0; head < x.size(); head += kHead)
      for (std::size_t i = 0; i < kHead / 2; ++i) {
        const double angle = static_cast<double>(position) * std::pow(100.0, -2.0 * static_cast<double>(i) / kHead);
        const double a = x[head + i], b = x[head + i + kHead / 2];
        x[head + i] = a * std::cos(angle) - b * std::sin(angle);
        x[head + i + kHead / 2] = b * std::cos(angle) + a * std::sin(angle);
      }
    return x;
  }
  static Row attended(const Row& q, const std::vector<Row>& k, const std::vector<Row>& v, std::size_t p) {
    Row out(kHeads * kHead, 0);
    for (std::size_t h = 0; h < kHeads; ++h) {
      const std::size_t kv = h / (kHeads / kKvHeads) * kHead;
      double total = 0;
      Row sum(kHead, 0);
      for (std::size_t j = 0; j <= p; ++j) {
        double score = 0;
        for (std::size_t i = 0; i < kHead; ++i) score += 0.4 * q[h * kHead + i] * k[j][kv + i];
        total += std::exp(score);
        for (std::size_t i = 0; i < kHead; ++i) sum[i] += std::exp(score) * v[j][kv + i];
      }
      for (std::size_t i = 0; i < kHead; ++i) out[h * kHead + i] = sum[i] / total;
    }
    return out;
  }

  std::uint64_t seed_ = 1000;
  std::vector<Layer> layers_;
  std::vector<double> table_, head_, norm_;
};

class ExecutorTest : public ::testing::Test {
protected:
  template <class Real>
  PassRunner<Real> runner() {
    return PassRunner<Real>(program, builder.weights(),
                            {std::make_shared<Pool>(test::PoolShape{CacheKind::kFull, kLayers, kKvHeads, kHead, kHead, 8, 65})});
  }
  static std::vector<std::int32_t> prompt(std::size_t n, int first = 3) {
    std::vector<std::int32_t> tokens(n);
    for (std::size_t i = 0; i < n; ++i) tokens[i] = static_cast<std::int32_t>((static_cast<std::size_t>(first) + i * i * 7) % kVocabulary);
    return tokens;
  }
  static std::vector<std::int32_t> part(const std::vector<std::int32_t>& tokens, std::ptrdiff_t begin, std::ptrdiff_t end) {
    return {tokens.begin() + begin, tokens.begin() + end};
  }
  // Rows [begin, end) of logits.
  static std::vector<double> rows(const std::vector<double>& logits, std::ptrdiff_t begin, std::ptrdiff_t end) {
    return {logits.begin() + begin * std::ptrdiff_t{kVocabulary}, logits.begin() + end * std::ptrdiff_t{kVocabulary}};
  }

  Llama llama;
  ProgramBuilder builder{100, 4, 100};
  Program program = llama.describe(builder);
};

TEST_F(ExecutorTest, AModelIsWhatItsArithmeticSays) {
  const std::vector<std::int32_t> tokens = prompt(90);
  const std::vector<double> expected = llama.by_hand(tokens);
  OpCase::expect_near(runner<double>().pass({{0, tokens}}, kAllRows), expected, 1e-5); // its caches are float32
  OpCase::expect_near(runner<float>().pass({{0, tokens}}, kAllRows), expected, 2e-5);
}

TEST_F(ExecutorTest, OneTokenAtATimeIsAllAtOnce) {
  const std::vector<std::int32_t> tokens = prompt(40);
  const std::vector<double> expected = llama.by_hand(tokens);
  PassRunner<float> run = runner<float>();
  for (std::ptrdiff_t t = 0; t < 40; ++t)
    OpCase::expect_near(run.pass({{0, {tokens[static_cast<std::size_t>(t)]}}}), rows(expected, t, t + 1), 2e-5);
}

TEST_F(ExecutorTest, RaggedIsSingleAndChunkedIsWhole) {
  const std::vector<std::int32_t> first = prompt(50), second = prompt(31, 11), third = prompt(9, 20);
  PassRunner<float> run = runner<float>();
  OpCase::expect_near(
      run.pass({{0, part(first, 0, 20)}, {1, part(second, 0, 30)}}, 1),
      [&] {
        std::vector<double> out = rows(llama.by_hand(first), 19, 20);
        const std::vector<double> more = rows(llama.by_hand(second), 29, 30);
        out.insert(out.end(), more.begin(), more.end());
        return out;
      }(),
      2e-5);
  const std::vector<double> is = run.pass({{2, third}, {1, part(second, 30, 31)}, {0, part(first, 20, 50)}}, 2);
  std::vector<double> expected = rows(llama.by_hand(third), 7, 9);
  for (const std::vector<double>& more : {rows(llama.by_hand(second), 30, 31), rows(llama.by_hand(first), 48, 50)})
    expected.insert(expected.end(), more.begin(), more.end());
  OpCase::expect_near(is, expected, 2e-5);
}

TEST_F(ExecutorTest, APrefixThatIsCachedGivesTheSame) {
  const std::vector<std::int32_t> tokens = prompt(45);
  PassRunner<float> run = runner<float>();
  run.pass({{0, part(tokens, 0, 40)}});
  run.share(0, 1, 32);
  OpCase::expect_near(run.pass({{1, part(tokens, 32, 45)}}, kAllRows), rows(llama.by_hand(tokens), 32, 45), 2e-5);
}

TEST_F(ExecutorTest, ThePlannedSlabIsAllItTakesAndItsGuardIsIntact) {
  // The runner's slab has a guard behind it, and every op's scratch ends there: a pass as large as planned shows that nobody needs more.
  PassRunner<float> run = runner<float>();
  EXPECT_EQ(run.slab().bytes(), program.slab_bytes);
  const std::vector<double> logits = run.pass({{0, prompt(25)}, {1, prompt(25)}, {2, prompt(25)}, {3, prompt(25)}}, kAllRows);
  EXPECT_EQ(logits.size(), 100 * kVocabulary);
  EXPECT_EQ(Executor<double>::slab_bytes(program), 2 * program.slab_bytes + kTileElements * 8);
}

TEST_F(ExecutorTest, APassAllocatesNothing) {
  PassRunner<float> run = runner<float>();
  run.pass({{0, prompt(20)}, {1, prompt(7)}});
  const ForwardInputs inputs = run.inputs_of(); // the same pass again
  counting = true;
  counted = 0;
  const Result<ForwardOutputs<float>> outputs = run.executor().run(inputs);
  counting = false;
  EXPECT_EQ(counted, 0U);
  ASSERT_TRUE(outputs);
  EXPECT_EQ(outputs->rows, 2U);
  EXPECT_EQ(outputs->width, kVocabulary);
  EXPECT_EQ((std::vector<std::uint32_t>(outputs->offsets.begin(), outputs->offsets.end())), (std::vector<std::uint32_t>{0, 1, 2}));
}

TEST_F(ExecutorTest, TheSamePassGivesTheSameBits) {
  const std::vector<double> once = runner<float>().pass({{0, prompt(60)}}, kAllRows);
  EXPECT_EQ(runner<float>().pass({{0, prompt(60)}}, kAllRows), once);
}

TEST_F(ExecutorTest, WideTokenIdsAreRead) {
  PassRunner<float> run = runner<float>();
  const std::vector<double> once = run.pass({{0, {1, 2, 3}}});
  const test::VisibleVector<std::int64_t> wide{1, 2, 3};
  ForwardInputs inputs = run.inputs_of();
  inputs.tokens = std::span<const std::int64_t>(wide);
  const ForwardOutputs<float> outputs = run.executor().run(inputs).value();
  std::vector<float> logits(kVocabulary);
  test::test_backend()->copy_out(logits.data(), outputs.logits, logits.size() * sizeof(float));
  EXPECT_EQ(std::vector<double>(logits.begin(), logits.end()), once);
}

TEST_F(ExecutorTest, NoLogitsAreWantedOfAChunkThatGoesOn) {
  PassRunner<float> run = runner<float>();
  const std::vector<std::int32_t> tokens = prompt(30);
  EXPECT_TRUE(run.pass({{0, part(tokens, 0, 20)}}, 0).empty());
  OpCase::expect_near(run.pass({{0, part(tokens, 20, 30)}}, 1), rows(llama.by_hand(tokens), 29, 30), 2e-5);
}

TEST_F(ExecutorTest, WeightsOfSixteenBitsAreConvertedAsTheyAreRead) {
  for (const std::string dtype : {"bfloat16", "float16"}) {
    ProgramBuilder b(4, 1, 4);
    std::vector<double> values = random_values(600 * 20, 5), x_rows = random_values(4 * 600, 6);
    const std::uint32_t x = b.value(600), y = b.value(20), logits = b.value(20, true);
    b.op(OpKind::kEmbed, x, {}, {b.weight({4, 600}, x_rows)}, {}, {1});
    b.op(OpKind::kLinear, y, {x}, {b.weight({20, 600}, values, dtype)}, {0}, {1});
    b.op(OpKind::kLastRows, logits, {y});
    std::vector<double> memory(values.size());
    const ElementType type = find_element_type(dtype).value();
    store_elements(values.data(), values.size(), memory.data(), type, 0);
    load_elements(memory.data(), type, 0, values.size(), values.data());
    std::vector<double> expected;
    for (std::size_t row = 0; row < 4; ++row)
      for (std::size_t o = 0; o < 20; ++o) {
        expected.push_back(0);
        for (std::size_t i = 0; i < 600; ++i) expected.back() += x_rows[row * 600 + i] * values[o * 600 + i];
      }
    OpCase::expect_near(PassRunner<float>(b.program(logits), b.weights()).pass({{0, {0, 1, 2, 3}}}, kAllRows), expected, 2e-5);
    OpCase::expect_near(PassRunner<double>(b.program(logits), b.weights()).pass({{0, {0, 1, 2, 3}}}, kAllRows), expected, 1e-11);
  }
}

} // namespace
} // namespace plimsoll::executor_test
