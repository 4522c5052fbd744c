// PipelineModel::signal_buffers and AlwaysSignalBuffersMixin of the documented module: lazy, once, one per device; whether there are any is
// the plan's to say.
#include <bit>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "support/built_context.hpp"
#include "unit/runtime/fake_model.hpp"

namespace plimsoll::signal_buffers_test {
namespace {

using namespace plimsoll::testing;
using ::testing::Each;

constexpr std::uint64_t kSiteBytes = 294'387'728;

// A plan of a whole model, of which nothing but signal buffers is taken here.
struct Planned {
  Plan plan;
  std::vector<Arena> arenas;
  std::unique_ptr<FakeModel> model;
  std::uint64_t live_bytes() const {
    std::uint64_t sum = 0;
    for (const Arena& arena : arenas) sum += arena.usage_by_category()[static_cast<std::size_t>(Category::kSignalBuffer)].live_bytes;
    return sum;
  }
};
Planned planned(const std::string& name, const std::string& devices, const std::string& engine = "max") {
  const Context& context = test::built_context();
  PlanRequest request;
  request.devices = devices;
  request.engine = engine;
  Planned out;
  out.plan = context.plan(context.load(name).value(), request).value();
  for (std::uint32_t rank = 0; rank < out.plan.devices.size(); ++rank) out.arenas.push_back(Arena::create(out.plan, rank).value());
  out.model = std::make_unique<FakeModel>(PipelineModelOptions{out.plan, out.arenas});
  return out;
}

struct PolicyCase {
  const char *model, *devices, *engine;
  std::size_t buffers;
};
// Of several devices each has one; of a single device only where the family always reduces.
constexpr PolicyCase kCases[]{
    {"meta-llama/Llama-3.1-8B", "1xH100", "max", 0},      {"meta-llama/Llama-3.1-8B", "2xH100", "max", 2},
    {"meta-llama/Llama-3.1-8B", "4xH100", "max", 4},      {"meta-llama/Llama-3.1-8B", "2xH100", "llama.cpp", 0},
    {PLIMSOLL_TEST_DATA "/tiny/mla", "400MiB", "max", 1}, {PLIMSOLL_TEST_DATA "/tiny/mla", "64MiB", "reference", 0},
    {PLIMSOLL_TEST_DATA "/tiny/kjv", "64MiB", "max", 0},
};

TEST(SignalBuffers, OnePerDeviceWhereThePolicyOfTheFamilyWantsThem) {
  for (const PolicyCase& c : kCases) {
    Planned p = planned(c.model, c.devices, c.engine);
    const auto buffers = p.model->signal_buffers();
    ASSERT_TRUE(buffers) << buffers.error().message;
    EXPECT_EQ(buffers->size(), c.buffers) << c.model << " on " << c.devices;
    for (const Tensor& buffer : *buffers) EXPECT_EQ(buffer.bytes(), kSiteBytes);
  }
}

TEST(AlwaysSignalBuffersMixin, OneBufferOnASingleDeviceAsPlanned) {
  Planned p = planned(PLIMSOLL_TEST_DATA "/tiny/mla", "400MiB");
  ASSERT_EQ(p.model->signal_buffers().value().size(), 1U);
  EXPECT_EQ(p.plan.devices[0].signal_buffer_bytes, kSiteBytes);
  EXPECT_EQ(p.live_bytes(), kSiteBytes);
}

TEST(SignalBuffers, AreTakenWhenFirstAskedForAndTheSameAfterwards) {
  Planned p = planned(PLIMSOLL_TEST_DATA "/tiny/mla", "400MiB");
  EXPECT_EQ(p.live_bytes(), 0U);
  const auto first = p.model->signal_buffers(), second = p.model->signal_buffers();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->data(), second->data());
  EXPECT_EQ(p.live_bytes(), kSiteBytes);
  p.model->release_signal_buffers();
  EXPECT_EQ(p.live_bytes(), 0U);
  EXPECT_EQ(p.model->signal_buffers().value().size(), 1U) << "and once more";
}

TEST(SignalBuffers, OnceForManyThreads) {
  Planned p = planned(PLIMSOLL_TEST_DATA "/tiny/mla", "400MiB");
  std::vector<const Tensor*> seen(4);
  {
    std::vector<std::jthread> threads;
    for (const Tensor*& one : seen) threads.emplace_back([&] { one = p.model->signal_buffers().value().data(); });
  }
  EXPECT_THAT(seen, Each(seen[0]));
  EXPECT_EQ(p.live_bytes(), kSiteBytes);
}

// Flags are zero, slots of small messages say that nobody has written them, the rest is zero.
TEST(SignalBuffers, SlotsHoldMinusZeroUntilTheyAreWritten) {
  Planned p = planned(PLIMSOLL_TEST_DATA "/tiny/mla", "400MiB");
  const Tensor buffer = p.model->signal_buffers().value()[0];
  const auto word = [bytes = buffer.values<std::uint8_t>().value()](std::size_t at) {
    return std::uint32_t{bytes[at]} | std::uint32_t{bytes[at + 1]} << 8 | std::uint32_t{bytes[at + 2]} << 16 |
           std::uint32_t{bytes[at + 3]} << 24;
  };
  constexpr std::size_t kSlots = 8 * 3 * 1024 * 8 * 4 + 16, kScratch = kSlots + 3 * 8 * (1U << 20);
  EXPECT_EQ(word(0), 0U);
  EXPECT_EQ(word(kSlots - 4), 0U);
  EXPECT_EQ(word(kSlots), std::bit_cast<std::uint32_t>(-0.0F));
  EXPECT_EQ(word(kSlots + 12'345'676), std::bit_cast<std::uint32_t>(-0.0F));
  EXPECT_EQ(word(kScratch - 4), std::bit_cast<std::uint32_t>(-0.0F));
  EXPECT_EQ(word(kScratch), 0U);
  EXPECT_EQ(word(kSiteBytes - 4), 0U);
}

TEST(SignalBuffers, BeyondThePlanIsAnErrorAndTriedAgain) {
  Planned p = planned(PLIMSOLL_TEST_DATA "/tiny/mla", "400MiB");
  std::optional<Buffer> other;
  const std::array<std::uint64_t, 1> shape{kSiteBytes - 1};
  other.emplace(p.arenas[0].allocate(Category::kSignalBuffer, "signal_buffers", ElementType::kUint8, shape).value());
  const auto none = p.model->signal_buffers();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kOverPlan);
  other.reset();
  EXPECT_TRUE(p.model->signal_buffers());
}

} // namespace
} // namespace plimsoll::signal_buffers_test
