// Items and their sums: residents add up, of the transients on each rank the largest phase counts.
#include <gmock/gmock.h>

#include "plan/ledger.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;

class Settling : public ::testing::Test {
protected:
  Settling() {
    family_.id = "tested";
    family_.aspects = PLIMSOLL_ASPECT_FFN;
    node_.family.family = &family_;
  }
  void emit(std::string_view label, std::uint64_t bytes, std::string_view phase, std::uint32_t rank = PLIMSOLL_ALL_RANKS,
            std::uint32_t lifetime = PLIMSOLL_TRANSIENT, std::uint32_t category = PLIMSOLL_BYTES_ACTIVATION) {
    plimsoll_item item{};
    item.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_item, phase);
    item.aspect = PLIMSOLL_ASPECT_FFN;
    item.rank = rank;
    item.category = category;
    item.lifetime = lifetime;
    item.bytes = bytes;
    item.label = {label.data(), label.size()}, item.phase = {phase.data(), phase.size()};
    const auto taken = collector_.on_item(node_, item);
    EXPECT_TRUE(taken) << taken.error().message;
  }
  void resident(std::string_view label, std::uint64_t bytes) { emit(label, bytes, "", PLIMSOLL_ALL_RANKS, PLIMSOLL_RESIDENT); }
  std::vector<std::uint64_t> settled() {
    const auto done = collector_.settle(ledger_);
    EXPECT_TRUE(done) << done.error().message;
    return {ledger_.sum(Category::kActivation, 0), ledger_.sum(Category::kActivation, 1)};
  }
  const Item& item(std::string_view label) {
    for (const Item& i : ledger_.items())
      if (i.label == label) return i;
    ADD_FAILURE() << "no item " << label;
    return ledger_.items().front();
  }

  FamilyManifest family_;
  PlannerNode node_;
  ItemCollector collector_{2, 3};
  Ledger ledger_{2};
};

TEST_F(Settling, ResidentsAddUp) {
  resident("a", 10), resident("b", 20);
  emit("signals", 5, "", 1, PLIMSOLL_RESIDENT, PLIMSOLL_BYTES_SIGNAL);
  EXPECT_THAT(settled(), ElementsAre(30U, 30U));
  EXPECT_EQ(ledger_.sum(Category::kSignalBuffer, 0), 0U);
  EXPECT_EQ(ledger_.sum(Category::kSignalBuffer, 1), 5U);
  EXPECT_EQ(ledger_.used(1), 35U);
  EXPECT_EQ(item("a").planner, "tested");
  EXPECT_EQ(item("a").category, Category::kActivation);
}

TEST_F(Settling, WhatIsOfEachRequestCountsForTheBatch) {
  emit("slots", 7, "", PLIMSOLL_ALL_RANKS, PLIMSOLL_PER_REQUEST, PLIMSOLL_BYTES_WORKSPACE);
  emit("masks", 5, "", 1, PLIMSOLL_PER_REQUEST);
  EXPECT_THAT(settled(), ElementsAre(0U, 15U));
  EXPECT_EQ(ledger_.sum(Category::kWorkspace, 0), 21U);
  EXPECT_EQ(ledger_.used(1), 36U);
}

TEST_F(Settling, TheLargestPhaseCountsAndItsItemsAddUpFirst) {
  resident("always", 100);
  emit("prefill.x", 10, "prefill"), emit("decode.x", 25, "decode"), emit("prefill.y", 20, "prefill");
  EXPECT_THAT(settled(), ElementsAre(130U, 130U));
  EXPECT_TRUE(item("prefill.x").counted);
  EXPECT_TRUE(item("prefill.y").counted);
  EXPECT_FALSE(item("decode.x").counted);
  EXPECT_THAT(item("decode.x").bytes, ElementsAre(25U, 25U)); // still shown
}

TEST_F(Settling, EveryRankHasItsOwnWinner) {
  emit("a", 30, "a"), emit("b", 25, "b"), emit("b.more", 10, "b", 1);
  EXPECT_THAT(settled(), ElementsAre(30U, 35U));
  EXPECT_THAT(item("a").bytes, ElementsAre(30U, 0U));
  EXPECT_THAT(item("b").bytes, ElementsAre(0U, 25U));
  EXPECT_THAT(item("b.more").bytes, ElementsAre(0U, 10U));
}

TEST_F(Settling, OfEqualPhasesTheFirstCounts) {
  emit("first", 30, "a"), emit("second", 30, "b");
  EXPECT_THAT(settled(), ElementsAre(30U, 30U));
  EXPECT_TRUE(item("first").counted);
  EXPECT_FALSE(item("second").counted);
}

TEST_F(Settling, AnItemWithoutAPhaseIsAPhase) {
  emit("x", 30, ""), emit("y", 40, ""), emit("z", 20, "");
  EXPECT_THAT(settled(), ElementsAre(40U, 40U));
  EXPECT_FALSE(item("x").counted);
}

// An item without a phase is none of those that have a name, whatever that is.
TEST_F(Settling, NoNameIsLikeAnother) {
  emit("x", 30, ""), emit("y", 20, "#0"), emit("z", 20, "#0");
  EXPECT_THAT(settled(), ElementsAre(40U, 40U));
  EXPECT_FALSE(item("x").counted);
}

TEST_F(Settling, NothingIsNoItem) {
  emit("nothing", 0, "a"), resident("nothing", 0);
  EXPECT_THAT(settled(), ElementsAre(0U, 0U));
  EXPECT_TRUE(ledger_.items().empty());
}

TEST_F(Settling, PhasesThatOverflowAreAnError) {
  for (const char* label : {"x", "y"}) { // as only the engine's own formulas could: planners' items are bounded
    Item large;
    large.label = label;
    large.bytes.assign(2, UINT64_MAX);
    collector_.add(Category::kActivation, "a", std::move(large));
  }
  EXPECT_FALSE(collector_.settle(ledger_));
}

TEST(Ledger, SumsStayWithin63Bits) {
  Ledger ledger(1);
  constexpr std::uint64_t kMax = 0x7fffffffffffffffULL;
  EXPECT_TRUE(ledger.add_all(Category::kWeights, "w", Basis::kExact, "p", "", kMax));
  const auto over = ledger.add_all(Category::kWeights, "one more", Basis::kExact, "p", "", 1);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::kBadConfig);
  Ledger several(1);
  for (const Category c : {Category::kWeights, Category::kActivation, Category::kKvCache})
    EXPECT_TRUE(several.add_all(c, "x", Basis::kExact, "p", "", kMax));
  EXPECT_EQ(several.used(0), kMax); // and not a small number
}

TEST(Ledger, HostMemoryIsNoPartOfADevice) {
  Ledger ledger(2);
  Item item;
  item.memory = MemoryKind::kHost, item.bytes = {5, 6};
  EXPECT_TRUE(ledger.add(Category::kWeights, item));
  EXPECT_EQ(ledger.used(0), 0U);
  EXPECT_EQ(ledger.host_bytes(), 11U);
  EXPECT_EQ(ledger.sums().host_bytes(), 11U);
  item.bytes = {0x7fffffffffffffffULL, 0};
  EXPECT_FALSE(ledger.add(Category::kWeights, item));
}

TEST(Ledger, WhatIsNotCountedIsNotSummed) {
  Ledger ledger(2);
  Item item;
  item.counted = false, item.bytes = {5, 6};
  EXPECT_TRUE(ledger.add(Category::kActivation, item));
  EXPECT_EQ(ledger.used(0), 0U);
  EXPECT_EQ(ledger.items().size(), 1U);
}

} // namespace
} // namespace plimsoll::testing
