// Adapters of a LINEAR by themselves, in float and in double: ragged batches, parts, types, rows of outputs, and what is refused.
#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/executor_adapters.hpp"
#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_adapters_test {
namespace {

using test::Memory;
using test::OpCase;
using test::Table;
using ::testing::HasSubstr;

constexpr std::uint64_t kIn = 24, kMaxRank = 6, kTokens = 200;
const std::vector<std::uint64_t> kParts{10, 6, 16};
constexpr std::uint64_t kOut = 32;

// A weight of three parts, two slots with adapters of rank 6 and 2, the second one of the middle part alone.
struct AdaptedLinear {
  explicit AdaptedLinear(const std::string& dtype, std::uint64_t part) : part(part), type(find_element_type(dtype).value()) {
    slots.slots = 2;
    slots.max_rank = kMaxRank;
    slots.dtype = dtype;
    slots.parts = kParts.size();
    slots.targets.push_back({"linear", kNoIndex, kIn, kParts, {}, {}, 0, kMaxRank * kIn * kParts.size(), 0});
    slots.slot_elements = kMaxRank * (kIn * kParts.size() + kOut);
    slots.bytes = 2 * slots.slot_elements * element_bytes(type);
    values = test::random_values(2 * slots.slot_elements, 5);
    if (dtype != "float32") // what is kept is what is computed with
      for (double& value : values) value = std::round(value * 64) / 64;
    memory = std::make_unique<Memory>(slots.bytes, true);
    std::vector<double> stored(values.size());
    store_elements(values.data(), values.size(), stored.data(), type, 0);
    memory->write(stored.data());
    factors = {{6, 0.5}, {6, 0.5}, {6, 2}, {0, 0}, {2, -1.5}, {0, 0}};
  }

  ExecutorAdapters view() const { return {memory->data(), memory->bytes(), factors}; }
  std::uint64_t width() const { return part == kAll ? kOut : kParts[part]; }
  std::uint64_t first_row() const {
    std::uint64_t rows = 0;
    for (std::uint64_t before = 0; part != kAll && before < part; ++before) rows += kParts[before];
    return rows;
  }
  // W x + scale * B (A x), one element, as it is written.
  double expected(const Table& x, std::uint64_t token, const Table& w, std::uint64_t row, std::int32_t slot) const {
    double sum = 0;
    for (std::uint64_t i = 0; i < kIn; ++i) sum += w.at(row, i) * x.at(token, i);
    if (slot < 0) return sum;
    std::uint64_t of = 0, begin = 0;
    while (row >= begin + kParts[of]) begin += kParts[of++];
    const AdapterFactor& factor = factors[static_cast<std::size_t>(slot) * kParts.size() + of];
    const double* const base = values.data() + static_cast<std::uint64_t>(slot) * slots.slot_elements;
    for (std::uint64_t r = 0; r < factor.rank; ++r) {
      double down = 0;
      for (std::uint64_t i = 0; i < kIn; ++i) down += base[of * kMaxRank * kIn + r * kIn + i] * x.at(token, i);
      sum += factor.scale * base[slots.targets[0].b_offset_elements + row * kMaxRank + r] * down;
    }
    return sum;
  }

  static constexpr std::uint64_t kAll = UINT32_MAX;
  std::uint64_t part;
  ElementType type;
  AdapterSlots slots;
  std::vector<double> values;
  std::unique_ptr<Memory> memory;
  std::vector<AdapterFactor> factors;
};

template <class Real>
void expect_adapted(const AdaptedLinear& with, bool of_outputs, double tolerance) {
  const Table x(kTokens, kIn, 1), w(kOut, kIn, 2);
  OpCase c(kTokens);
  std::uint32_t in = c.input(x);
  if (of_outputs) {
    const std::uint32_t rows = c.builder.value(kIn, true);
    c.builder.op(OpKind::kLastRows, rows, {in});
    in = rows;
  }
  const std::uint32_t out = c.builder.value(with.width(), of_outputs);
  const std::uint32_t weight = c.builder.weight({kOut, kIn}, w.values, "float32", 0, 1, kParts);
  ProgramOp op = c.builder.op(OpKind::kLinear, out, {in}, {weight}, {with.part}, {1});
  op.adapter = 0;
  op.scratch_bytes = (kAdapterRows * kMaxRank + (with.slots.dtype == "float32" ? 0 : kTileElements)) * sizeof(float);
  c.builder.replace_last(op);
  Program program = of_outputs ? c.builder.program(out) : c.finish(out);
  program.adapters = with.slots;

  Memory slab(Executor<Real>::slab_bytes(program), true);
  slab.fill(0xFF);
  auto executor = Executor<Real>::create(program, test::test_backend(), c.builder.weights(), {}, {slab.data(), slab.bytes(), with.view()});
  ASSERT_TRUE(executor) << executor.error().message;
  test::VisibleVector<std::int32_t> tokens(kTokens);
  for (std::size_t n = 0; n < tokens.size(); ++n) tokens[n] = static_cast<std::int32_t>(n);
  const test::VisibleVector<std::uint32_t> offsets{0, 150, 151, 153, kTokens}, lengths(4, 0);
  const std::vector<std::int32_t> slots{0, -1, 1, 1};
  ForwardInputs pass;
  pass.tokens = std::span<const std::int32_t>(tokens);
  pass.row_offsets = offsets;
  pass.kv.batch = 4;
  pass.kv.cache_lengths = lengths;
  pass.adapters = slots;
  pass.logits_per_sequence = of_outputs ? 2 : kAllRows;
  const auto outputs = executor->run(pass);
  ASSERT_TRUE(outputs) << outputs.error().message;
  std::vector<Real> logits(outputs->rows * outputs->width);
  test::test_backend()->copy_out(logits.data(), outputs->logits, logits.size() * sizeof(Real));
  std::uint64_t row = 0;
  for (std::size_t b = 0; b < 4; ++b)
    for (std::uint64_t token = of_outputs ? std::max<std::uint64_t>(offsets[b], offsets[b + 1] - std::min(2U, offsets[b + 1])) : offsets[b];
         token < offsets[b + 1]; ++token, ++row)
      for (std::uint64_t column = 0; column < with.width(); ++column)
        ASSERT_NEAR(static_cast<double>(logits[row * outputs->width + column]),
                    with.expected(x, token, w, with.first_row() + column, slots[b]), test::test_tolerance(tolerance))
            << "sequence " << b << ", token " << token << ", column " << column;
  EXPECT_EQ(row, outputs->rows);
}

TEST(ExecutorAdapters, AddToEachSequencesRows) {
  for (const char* dtype : {"float32", "bfloat16", "float16"})
    for (const std::uint64_t part : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, AdaptedLinear::kAll})
      for (const bool of_outputs : {false, true}) {
        SCOPED_TRACE(std::string(dtype) + ", part " + std::to_string(part) + (of_outputs ? ", outputs" : ""));
        const AdaptedLinear with(dtype, part);
        expect_adapted<double>(with, of_outputs, 1e-11);
        expect_adapted<float>(with, of_outputs, 1e-4);
      }
}

TEST(ExecutorAdapters, SlotsThatReachBeyondTheirMemoryAreRefused) {
  const AdaptedLinear with("float32", 0);
  Program program;
  program.adapters = with.slots;
  EXPECT_EQ(wrong_adapters(program, with.view()), "");
  ExecutorAdapters small = with.view();
  small.bytes -= 1;
  EXPECT_THAT(wrong_adapters(program, small), HasSubstr("2 slots"));
  ExecutorAdapters few = with.view();
  few.factors = few.factors.first(5);
  EXPECT_THAT(wrong_adapters(program, few), HasSubstr("2 slots"));
  program.adapters.targets[0].b_offset_elements += 1;
  EXPECT_THAT(wrong_adapters(program, with.view()), HasSubstr("beyond their slot"));
  program.adapters = with.slots;
  program.ops.emplace_back().adapter = 0;
  EXPECT_THAT(wrong_adapters(program, with.view()), HasSubstr("not there")) << "no LINEAR";
  program.adapters = {};
  EXPECT_THAT(wrong_adapters(program, {}), HasSubstr("not there"));
}

} // namespace
} // namespace plimsoll::executor_adapters_test
