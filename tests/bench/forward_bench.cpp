// How fast the executor computes, with random weights in the shape of SmolLM2-135M: 30 layers, D 576, 9 heads over 3 of keys, F 1536,
// vocabulary 49,152, float32, one thread. Goals: a prompt of 256 tokens at 1.5 times, a token at 0.9 times the speed of llama.cpp on the
// same machine (recorded by hand). A token reads every weight once, so `copy_weights` in the same run says what memory allows.
#include <benchmark/benchmark.h>
#include <cstring>
#include <numeric>

#include "support/program_builder.hpp"

namespace plimsoll::test {
namespace {

constexpr std::uint64_t kLayers = 30, kModel = 576, kHeads = 9, kKvHeads = 3, kHead = 64, kHidden = 1536, kVocabulary = 49152;
constexpr std::uint64_t kPrompt = 256, kContext = 1024;

struct Smol {
  explicit Smol(const std::string& dtype) : builder(kContext, 16, 16) {
    const auto matrix = [&](std::uint64_t out, std::uint64_t in) {
      return builder.weight({out, in}, random_values(out * in, ++seed, 1 / std::sqrt(static_cast<double>(in))), dtype);
    };
    const auto gain = [&] { return builder.weight({kModel}, std::vector<double>(kModel, 1), dtype); };
    const std::uint32_t x = builder.value(kModel), n = builder.value(kModel), q = builder.value(kHeads * kHead);
    const std::uint32_t k = builder.value(kKvHeads * kHead), v = builder.value(kKvHeads * kHead), a = builder.value(kHeads * kHead);
    const std::uint32_t g = builder.value(kHidden), u = builder.value(kHidden);
    const std::uint32_t last = builder.value(kModel, true), logits = builder.value(kVocabulary, true);
    const std::uint32_t table = matrix(kVocabulary, kModel), turn = builder.rope_of(kHead, 10000);
    builder.op(OpKind::kEmbed, x, {}, {table}, {}, {1});
    for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
      builder.op(OpKind::kNorm, n, {x}, {gain()}, {}, {1e-5});
      builder.op(OpKind::kLinear, q, {n}, {matrix(kHeads * kHead, kModel)}, {0}, {1});
      builder.op(OpKind::kLinear, k, {n}, {matrix(kKvHeads * kHead, kModel)}, {0}, {1});
      builder.op(OpKind::kLinear, v, {n}, {matrix(kKvHeads * kHead, kModel)}, {0}, {1});
      builder.op(OpKind::kRope, q, {q}, {}, {kHeads, kHead, 0, kHead, 0, turn});
      builder.op(OpKind::kRope, k, {k}, {}, {kKvHeads, kHead, 0, kHead, 0, turn});
      builder.attend(OpKind::kAttend, 0, layer, a, {q, k, v}, {}, {kHeads, kKvHeads, kHead, kHead}, {0.125});
      builder.op(OpKind::kLinear, x, {a}, {matrix(kModel, kHeads * kHead)}, {0}, {1}).accumulate = true;
      builder.op(OpKind::kNorm, n, {x}, {gain()}, {}, {1e-5});
      builder.op(OpKind::kLinear, g, {n}, {matrix(kHidden, kModel)}, {0}, {1});
      builder.op(OpKind::kLinear, u, {n}, {matrix(kHidden, kModel)}, {0}, {1});
      builder.op(OpKind::kGate, g, {g, u}, {}, {PLIMSOLL_ACT_SILU});
      builder.op(OpKind::kLinear, x, {g}, {matrix(kModel, kHidden)}, {0}, {1}).accumulate = true;
    }
    builder.op(OpKind::kLastRows, last, {x});
    builder.op(OpKind::kNorm, last, {last}, {gain()}, {}, {1e-5});
    builder.op(OpKind::kLinear, logits, {last}, {table}, {0}, {1});
    program = builder.program(logits);
  }
  std::shared_ptr<Pool> pool() const {
    return std::make_shared<Pool>(PoolShape{CacheKind::kFull, kLayers, kKvHeads, kHead, kHead, 16, 1025, "float32", "float32"});
  }

  ProgramBuilder builder;
  std::uint64_t seed = 100;
  Program program;
};

const Smol& smol(const std::string& dtype) {
  static const Smol float32("float32");
  static const Smol bfloat16("bfloat16");
  return dtype == "float32" ? float32 : bfloat16;
}

std::vector<std::int32_t> prompt(std::size_t n) {
  std::vector<std::int32_t> tokens(n);
  for (std::size_t i = 0; i < n; ++i) tokens[i] = static_cast<std::int32_t>(i * 7919 % kVocabulary);
  return tokens;
}

void prefill(benchmark::State& state, const std::string& dtype) {
  const Smol& model = smol(dtype);
  PassRunner<float> run(model.program, model.builder.weights(), {model.pool()});
  std::uint64_t sequence = 0;
  for (auto _ : state) {
    if (sequence == 64) return state.SkipWithError("the pool is used up; run it for less time");
    benchmark::DoNotOptimize(run.pass({{sequence++, prompt(kPrompt)}}));
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(kPrompt), benchmark::Counter::kIsIterationInvariantRate);
}

// range(0) sequences, each after a prompt of 256 tokens.
void decode(benchmark::State& state, const std::string& dtype) {
  const Smol& model = smol(dtype);
  const auto batch = static_cast<std::uint64_t>(state.range(0));
  PassRunner<float> run(model.program, model.builder.weights(), {model.pool()});
  std::vector<PassRunner<float>::Part> parts;
  for (std::uint64_t sequence = 0; sequence < batch; ++sequence) {
    run.pass({{sequence, prompt(kPrompt)}});
    parts.push_back({sequence, {1}});
  }
  for (auto _ : state) benchmark::DoNotOptimize(run.pass(parts));
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(batch), benchmark::Counter::kIsIterationInvariantRate);
  state.SetBytesProcessed(static_cast<std::int64_t>(model.program.weights.bytes()) * state.iterations());
}

// Reads as many bytes as the weights have, and writes few.
void read_weights(benchmark::State& state) {
  const Smol& model = smol("float32");
  const std::vector<const void*> weights = model.builder.weights();
  std::vector<char> to(1U << 18);
  for (auto _ : state)
    for (std::size_t n = 0; n < weights.size(); ++n)
      for (std::uint64_t at = 0; at < model.program.weights.tensors[n].bytes; at += to.size()) {
        const std::uint64_t bytes = std::min<std::uint64_t>(to.size(), model.program.weights.tensors[n].bytes - at);
        std::memcpy(to.data(), static_cast<const char*>(weights[n]) + at, bytes);
        benchmark::ClobberMemory();
      }
  state.SetBytesProcessed(static_cast<std::int64_t>(model.program.weights.bytes()) * state.iterations());
}

BENCHMARK_CAPTURE(prefill, float32, std::string("float32"))->Unit(benchmark::kMillisecond)->Iterations(4)->Repetitions(3);
BENCHMARK_CAPTURE(decode, float32, std::string("float32"))
    ->Unit(benchmark::kMillisecond)
    ->Arg(1)
    ->Arg(2)
    ->Arg(4)
    ->Arg(8)
    ->Iterations(30)
    ->Repetitions(2);
BENCHMARK(read_weights)->Unit(benchmark::kMillisecond)->Iterations(20)->Repetitions(2);
BENCHMARK_CAPTURE(prefill, bfloat16, std::string("bfloat16"))->Unit(benchmark::kMillisecond)->Iterations(4);
BENCHMARK_CAPTURE(decode, bfloat16, std::string("bfloat16"))
    ->Unit(benchmark::kMillisecond)
    ->Arg(1)
    ->Arg(4)
    ->Arg(8)
    ->Arg(16)
    ->Iterations(30);

} // namespace
} // namespace plimsoll::test
