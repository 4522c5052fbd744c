#include "device/catalogue.hpp"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "base/human.hpp"
#include "unit/device/shipped.hpp"

namespace plimsoll {
namespace {

using testing::shipped;

TEST(Catalogue, TheShippedFileIsSoundAndComplete) {
  const auto cards = shipped().cards();
  ASSERT_TRUE(cards.has_value()) << cards.error().where << ": " << cards.error().message;
  EXPECT_GE(cards->size(), 40U);
  std::set<std::string> vendors;
  for (const Card& card : *cards) {
    const Device& device = card.device;
    vendors.insert(device.vendor);
    EXPECT_GT(device.total_bytes, card.nominal_bytes / 10 * 9) << device.name;
    EXPECT_LT(device.total_bytes, card.nominal_bytes / 10 * 11) << device.name;
    EXPECT_EQ(device.vendor == "nvidia", device.compute_capability != 0) << device.name;
    EXPECT_FALSE(card.source.empty()) << device.name;
  }
  EXPECT_THAT(vendors, ::testing::IsSupersetOf({"nvidia", "amd", "intel", "apple"}));
}

TEST(Catalogue, EveryCardIsFoundOnItsOwnLineByEveryName) {
  const auto cards = shipped().cards();
  ASSERT_TRUE(cards.has_value());
  const DeviceCatalogue one_by_one = shipped();
  for (const Card& card : *cards) {
    std::vector<std::string> names = card.aliases;
    names.push_back(card.device.name);
    for (const std::string& name : names) {
      const auto found = one_by_one.find(name);
      ASSERT_TRUE(found.has_value() && found->has_value()) << name;
      EXPECT_EQ((*found)->device, card.device) << name;
    }
  }
}

// What drivers were seen to report, and the sizes that planners of real engines printed.
TEST(Catalogue, KnowsWhatDriversReport) {
  struct Row {
    const char* name;
    const char* total;
    const char* free;
    std::uint32_t capability;
  };
  for (const Row& row :
       {Row{"H100", "79.19GiB", "78.58GiB", 90}, Row{"H200", "139.81GiB", "139.21GiB", 90}, Row{"B200", "184.31GiB", "181.84GiB", 100},
        Row{"RTX-5090", "31.37GiB", "31.37GiB", 120}, Row{"T4", "14.74GiB", "14.74GiB", 75}, Row{"L4", "22.16GiB", "22.16GiB", 89},
        Row{"RTX-3090", "23.58GiB", "23.58GiB", 86}, Row{"A100-40GB", "42298834944", "42298834944", 80},
        Row{"A100-80GB", "79.15GiB", "79.15GiB", 80}}) {
    const auto card = shipped().find(row.name);
    ASSERT_TRUE(card.has_value() && card->has_value()) << row.name;
    EXPECT_EQ((*card)->device.total_bytes, parse_bytes(row.total, "").value()) << row.name;
    EXPECT_EQ((*card)->device.free_bytes, parse_bytes(row.free, "").value()) << row.name;
    EXPECT_EQ((*card)->device.compute_capability, row.capability) << row.name;
    EXPECT_EQ((*card)->device.kind, DeviceKind::kGpu) << row.name;
    EXPECT_TRUE((*card)->reported) << row.name;
  }
}

// Every machine has a card that is known, a name that no card and no other machine has, and whoever says so.
TEST(Catalogue, TheMachinesOfCloudsAreSound) {
  const auto instances = shipped().instances();
  ASSERT_TRUE(instances) << instances.error().where << ": " << instances.error().message;
  EXPECT_GE(instances->size(), 80U);
  std::set<std::string> keys;
  for (const Instance& instance : *instances) {
    const auto card = shipped().find(instance.card), same = shipped().find(instance.name);
    ASSERT_TRUE(card && same) << instance.name;
    EXPECT_TRUE(card->has_value()) << instance.name << ": " << instance.card;
    EXPECT_FALSE(same->has_value()) << instance.name;
    EXPECT_TRUE(keys.insert(device_name_key(instance.name)).second) << instance.name;
    EXPECT_FALSE(instance.source.empty()) << instance.name;
    EXPECT_LE(instance.count, 16U) << instance.name;
  }
  EXPECT_EQ(shipped().find_instance("STANDARD-ND96isr-h100-v5").value()->count, 8U);
}

TEST(Catalogue, NamesIgnoreCaseSeparatorsAndVendors) {
  for (const char* name : {"h200", "H200", "NVIDIA H200", "nvidia-h200"}) {
    const auto card = shipped().find(name);
    ASSERT_TRUE(card.has_value() && card->has_value()) << name;
    EXPECT_EQ((*card)->device.name, "H200") << name;
  }
  EXPECT_EQ(device_name_key("NVIDIA GeForce RTX 4090"), device_name_key("rtx-4090"));
  EXPECT_EQ(shipped().find("AMD Instinct MI300X").value()->device.name, "MI300X");
  EXPECT_EQ(shipped().find("NVIDIA A100-SXM4-40GB").value()->device.name, "A100-40GB");
  EXPECT_FALSE(shipped().find("H201").value().has_value());
  EXPECT_FALSE(shipped().find("").value().has_value());
  EXPECT_FALSE(shipped().find(std::string(100000, 'H')).value().has_value());
}

TEST(Catalogue, UnifiedMemoryIsFreeUpToItsWiredLimit) {
  const auto card = shipped().find("M4-Max-128GB");
  ASSERT_TRUE(card.has_value() && card->has_value());
  EXPECT_EQ((*card)->device.kind, DeviceKind::kUnified);
  EXPECT_EQ((*card)->device.total_bytes, 128ULL << 30);
  EXPECT_EQ((*card)->device.free_bytes, 96ULL << 30);
  EXPECT_EQ((*card)->device.wired_limit_bytes, 96ULL << 30);
}

TEST(Catalogue, NearestNamesComeFirst) {
  EXPECT_EQ(shipped().nearest("H201").value().front(), "H200");
  EXPECT_EQ(shipped().nearest("rtx3091").value().front(), "RTX-3090");
  EXPECT_THAT(shipped().nearest("mi30").value(), ::testing::Contains("MI300X"));
  EXPECT_EQ(shipped().nearest("").value().size(), 3U);
}

TEST(Catalogue, SaysWhatIsWrongAndWhere) {
  const std::string head = "schema: plimsoll.devices/1\ndevices:\n";
  const std::string card = "- {name: X, vendor: v, arch: a, nominal_bytes: 1GiB, total_bytes: 1GiB, basis: nominal, source: s}\n";
  struct Row {
    std::string text;
    const char* where;
    const char* message;
  };
  for (const Row& row : {
           Row{"", "cat.yaml", "empty"},
           Row{"schema: [", "cat.yaml", "not a YAML document"},
           Row{"schema: plimsoll.devices/2\ndevices: []\n", "cat.yaml#/schema", "expected plimsoll.devices/1"},
           Row{"schema: plimsoll.devices/1\n", "cat.yaml#/devices", "expected a list"},
           Row{head + "- {name: X}\n", "cat.yaml#/devices/0", "'vendor' is missing"},
           Row{head + card + card, "cat.yaml#/devices/1", "two cards"},
           Row{head + "- {name: X, colour: red}\n", "cat.yaml#/devices/0", "unknown key 'colour'"},
           Row{head + "- {name: X, name: Y}\n", "cat.yaml", "twice"},
           Row{head + "- 7\n", "cat.yaml#/devices/0", "expected a mapping"},
           Row{head + "- {name: X, vendor: v, arch: a, nominal_bytes: 1GiB, total_bytes: none, basis: nominal, source: s}\n",
               "cat.yaml#/devices/0/total_bytes", "not a size"},
           Row{head +
                   "- {name: X, vendor: v, arch: a, nominal_bytes: 1GiB, total_bytes: 1GiB, free_bytes: 2GiB, basis: nominal, source: s}\n",
               "cat.yaml#/devices/0/free_bytes", "between"},
           Row{head + "- {name: X, vendor: v, arch: a, nominal_bytes: 1GiB, total_bytes: 1GiB, basis: guessed, source: s}\n",
               "cat.yaml#/devices/0/basis", "neither"},
       }) {
    const auto cards = DeviceCatalogue::from_text(row.text, "cat.yaml").cards();
    ASSERT_FALSE(cards.has_value()) << row.text;
    EXPECT_EQ(cards.error().code, ErrorCode::kBadRequest);
    EXPECT_THAT(cards.error().where, ::testing::StartsWith(row.where)) << row.text;
    EXPECT_THAT(cards.error().message, ::testing::HasSubstr(row.message)) << row.text;
  }
  const auto missing = DeviceCatalogue("/nonexistent/devices.yaml").find("H100");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().where, "/nonexistent/devices.yaml");
}

TEST(Catalogue, AnotherLayoutIsReadAsAWhole) {
  const std::string text = "schema: plimsoll.devices/1\ndevices:\n  - name: X9\n    vendor: v\n    arch: a\n    nominal_bytes: 1GiB\n"
                           "    total_bytes: 1GiB\n    basis: nominal\n    source: s\n";
  EXPECT_EQ(DeviceCatalogue::from_text(text, "c").find("x9").value()->device.total_bytes, 1ULL << 30);
}

} // namespace
} // namespace plimsoll
