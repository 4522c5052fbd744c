// Nodes of a device list: from counts in a text, from the key of a file; which lists are refused, and where the message points.
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/catalogue.hpp"
#include "device/device_file.hpp"
#include "unit/device/shipped.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using testing::shipped;

Result<std::vector<Device>> read(const std::string& text) { return read_device_text(text, "list.yaml", shipped()); }

// "a a b b": a node for each device, "-" where it has none.
std::string nodes_of(const Result<std::vector<Device>>& devices) {
  if (!devices) return devices.error().where + ": " + devices.error().message;
  std::string out;
  for (const Device& device : *devices) out += (out.empty() ? "" : " ") + (device.node.empty() ? "-" : device.node);
  return out;
}

void expect_refused(const Result<std::vector<Device>>& devices, const std::string& where, const char* message, const std::string& of) {
  ASSERT_FALSE(devices.has_value()) << of.substr(0, 80);
  EXPECT_EQ(devices.error().code, ErrorCode::kBadRequest) << of.substr(0, 80);
  EXPECT_EQ(devices.error().where, where) << of.substr(0, 80);
  EXPECT_THAT(devices.error().message, HasSubstr(message)) << of.substr(0, 80);
  EXPECT_LT(devices.error().message.size(), 1200U) << of.substr(0, 80);
}

TEST(DeviceNodes, TwoCountsInATextMakeThem) {
  struct Row {
    const char* spec;
    const char* nodes;
    std::uint32_t count;
  };
  for (const Row& row : {
           Row{"4xH200", "- - - -", 0},
           Row{"2xH200,2xH100", "- - - -", 0},
           Row{"2x2xH200", "0 0 1 1", 2},
           Row{"1x3xH200", "0 0 0", 1},
           Row{"3x1xH200", "0 1 2", 3},
           Row{" 2 x 2 X H200 ", "0 0 1 1", 2},
           Row{"2x2x80GiB:70GiB", "0 0 1 1", 2},
           Row{"2x2xmine=80GiB", "0 0 1 1", 2},
           Row{"2x2x4090", "0 0 1 1", 2},
           Row{"1x2xH200,2x2xH100", "0 0 1 1 2 2", 3},
           Row{"1x1xT4,1x1xT4,1x1xL4", "0 1 2", 3},
       }) {
    const auto devices = parse_devices(row.spec, shipped());
    EXPECT_EQ(nodes_of(devices), row.nodes) << row.spec;
    EXPECT_EQ(listed_nodes(devices.value_or(std::vector<Device>())), row.count) << row.spec;
  }
  EXPECT_EQ(parse_devices("2x2x4090", shipped())->back().name, "RTX-4090");
  EXPECT_EQ(parse_devices("2x2xmine=80GiB", shipped())->back().name, "mine");
  EXPECT_EQ(listed_nodes({}), 0U);
}

TEST(DeviceNodes, AFileNamesThem) {
  struct Row {
    const char* text;
    const char* nodes;
    std::uint32_t count;
  };
  for (const Row& row : {
           Row{"[{name: H200, count: 2, node: a}, {name: H200, count: 2, node: b}]", "a a b b", 2},
           Row{"[{name: H200, count: 2, node: 0}, {name: H200, count: 2, node: 1}]", "0 0 1 1", 2},
           Row{"[{name: H200, node: 7}, {name: H200, node: '7'}]", "7 7", 1}, // a number and its text are one name
           Row{"[{name: H200, node: -1}, {name: H200, node: 1}]", "-1 1", 2},
           Row{"[{name: H200, count: 2, node: only}]", "only only", 1},
           Row{"[{name: H200, node: a}, {name: H100, node: a}, {name: T4, node: b}, {name: L4, node: b}]", "a a b b", 2},
           Row{"[{name: H200, node: A}, {name: H200, node: a}]", "A a", 2},
           Row{"[{total_bytes: 80GiB, node: '1.10'}, {name: mine, total_bytes: 1GiB, node: '1.1'}]", "1.10 1.1", 2},
           Row{"[{name: H200, node: rack 1/bay 2}]", "rack 1/bay 2", 1},
           Row{"[{name: H200, node: ~}, {name: H200}, H200]", "- - -", 0},
           Row{"[2x1xH200, 1x1xT4]", "0 1 2", 3},
           Row{"[H200, {name: H200, count: 2}]", "- - -", 0},
       }) {
    const auto devices = read(row.text);
    EXPECT_EQ(nodes_of(devices), row.nodes) << row.text;
    EXPECT_EQ(listed_nodes(devices.value_or(std::vector<Device>())), row.count) << row.text;
  }
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "plimsoll-nodes-of-a-file.yaml";
  std::ofstream(path) << "devices:\n- {name: H200, count: 2, node: a}\n- {name: H200, count: 2, node: b}\n";
  EXPECT_EQ(nodes_of(parse_devices(path.string(), shipped())), "a a b b");
  std::filesystem::remove(path);
}

TEST(DeviceNodes, RefusesTextsThatCannotBe) {
  struct Row {
    std::string spec;
    const char* message;
  };
  for (const Row& row : {
           Row{"2x8xH200,8xH200", "device 16 (H200) has no node, but those before it have"},
           Row{"8xH200,2x8xH200", "device 8 (H200) has a node, but those before it have none"},
           Row{"2x8xH200,1x4xH100", "different numbers of devices ('0' 8, '1' 8, '2' 4)"},
           Row{"0x8xH200", "between 1 and 65536"},
           Row{"2x0xH200", "between 1 and 65536"},
           Row{"65537x1xT4", "between 1 and 65536"},
           Row{"2x65537xT4", "between 1 and 65536"},
           Row{"256x257xT4", "between 1 and 65536"},
           Row{"65536x65536xT4", "between 1 and 65536"},
           Row{"2x99999999999999999999xT4", "between 1 and 65536"},
           Row{"2x8x", "names no device"},
           Row{"2x8x,", "names no device"},
           Row{"2x8xH200,", "empty"},
           Row{"2x8xH200,,2x8xH200", "empty"},
           Row{"2x2x2xH200", "not a size"},
           Row{"2x8xH201", "nearest are H200"},
           Row{"2x8x80", "give a unit"},
           Row{"2xx8xH200", "no card"},
           Row{"2x-8xH200", "not a size"},
           Row{"2x8xauto", "no card"},
           Row{"2x8xa\nb=80GiB", "control"},
           Row{"2x8x" + std::string(200, 'n') + "=80GiB", "128 characters"},
       })
    expect_refused(parse_devices(row.spec, shipped()), "--devices", row.message, row.spec);
  // A text with a slash is a path.
  expect_refused(parse_devices("8xH200/8xH200", shipped()), "8xH200/8xH200", "for two nodes, 2x8xH200", "slash");
}

TEST(DeviceNodes, RefusesFilesThatCannotBe) {
  const std::string a = "{name: H200, count: 8, node: a}", b = "{name: H200, count: 8, node: b}";
  struct Row {
    std::string entries;
    const char* place;
    const char* message;
  };
  for (const Row& row : {
           Row{a + ", {name: H100, count: 8}", "/1", "device 8 (H100) has no node"},
           Row{a + ", {name: H100, count: 8, node: null}", "/1", "device 8 (H100) has no node"},
           Row{a + ", " + b + ", 8xH200", "/2", "device 16 (H200) has no node"},
           Row{"8xH200, " + a, "/1", "device 8 (H200) has a node"},
           Row{"{name: H200, count: 8}, 1x8xH200", "/1", "device 8 (H200) has a node"},
           Row{a + ", 1x8xH200", "/1", "two ways"},
           Row{"1x8xH200, {name: H200, count: 8, node: 0}", "/1", "two ways"},
           Row{"1x8xH200, {name: H200, count: 8, node: 1}", "/1", "two ways"},
           Row{a + ", " + b + ", " + a, "/2", "is of node 'a' again, after node 'b'"},
           Row{"{name: H200, node: 1}, {name: H200, node: 2}, {name: H200, node: '1'}", "/2", "is of node '1' again"},
           Row{a + ", {name: H200, count: 4, node: b}", "", "different numbers of devices ('a' 8, 'b' 4)"},
           Row{a + ", {name: H200, count: 4, node: b}, " + "{name: H200, count: 8, node: b}", "", "('a' 8, 'b' 12)"},
           Row{"2x8xH200, 1x4xH200", "", "('0' 8, '1' 8, '2' 4)"},
           Row{"{name: H200, node: ''}", "/0/node", "empty"},
           Row{"{name: H200, node: [a]}", "/0/node", "found a list"},
           Row{"{name: H200, node: {a: b}}", "/0/node", "found a mapping"},
           Row{"{name: H200, node: 1.5}", "/0/node", "neither a text nor a whole number"},
           Row{"{name: H200, node: 99999999999999999999999}", "/0/node", "neither a text nor a whole number"},
           Row{"{name: H200, node: true}", "/0/node", "neither a text nor a whole number"},
           Row{"{name: H200, nodes: a}", "/0", "unknown key 'nodes'"},
           Row{"{name: H200, node: \"a\\nb\"}", "/0/node", "control"},
           Row{"{name: H200, node: \"\\0\"}", "/0/node", "control"},
           Row{"{name: H200, node: \"\\x1b[31m\"}", "/0/node", "control"},
           Row{"{name: H200, node: \"\\x7f\"}", "/0/node", "control"},
           Row{"{name: H200, node: " + std::string(129, 'n') + "}", "/0/node", "128 characters"},
           Row{"{name: H200, node: " + std::string(500000, 'n') + "}", "/0/node", "128 characters"},
       }) {
    expect_refused(read("[" + row.entries + "]"), std::string("list.yaml#") + row.place, row.message, row.entries);
    expect_refused(read("devices: [" + row.entries + "]"), std::string("list.yaml#/devices") + row.place, row.message, row.entries);
  }
  EXPECT_THAT(read("[{name: H200, node: a, node: b}]").error().message, HasSubstr("twice"));
  EXPECT_EQ(read("[{name: H200, node: " + std::string(128, 'n') + "}]")->front().node, std::string(128, 'n'));
}

// A long list of nodes is named in part: the first, and those that differ from it.
TEST(DeviceNodes, MessagesStayShort) {
  const auto node = [](const std::string& name, int count) { return fmt::format("- {{name: T4, count: {}, node: {}}}\n", count, name); };
  std::string text;
  for (int i = 0; i < 1000; ++i) text += node(fmt::format("n{}", i), i == 700 ? 3 : 2);
  expect_refused(read(text), "list.yaml#", "('n0' 2, 'n700' 3, and 998 more)", "one of many");
  text = node(std::string(128, 'a'), 1);
  for (int i = 0; i < 20; ++i) text += node(std::string(120, 'b') + std::to_string(i), 2);
  expect_refused(read(text), "list.yaml#", ", and 13 more)", "many of many");
}

TEST(DeviceNodes, VeryManyAreReadInGoodTime) {
  const auto most = parse_devices("65536x1xT4", shipped());
  ASSERT_TRUE(most.has_value()) << most.error().message;
  EXPECT_EQ(listed_nodes(*most), 65536U);
  EXPECT_EQ(most->back().node, "65535");
  std::string text;
  for (int i = 0; i < 65536; ++i) text += i == 0 ? "1x1x1GiB" : ",1x1x1GiB";
  const auto items = parse_devices(text, shipped());
  ASSERT_TRUE(items.has_value()) << items.error().message;
  EXPECT_EQ(listed_nodes(*items), 65536U);
  EXPECT_FALSE(parse_devices(text + ",1x1x1GiB", shipped()).has_value());
  text.clear();
  for (int i = 0; i < 10000; ++i) text += fmt::format("- {{total_bytes: 1GiB, node: {}}}\n", i);
  EXPECT_EQ(listed_nodes(read(text).value()), 10000U);
}

// The devices themselves do not depend on how their nodes are said.
TEST(DeviceNodes, ChangeNothingElseOfADevice) {
  for (const char* item : {"H200", "H200:100GiB", "80GiB", "mine=80GiB:70GiB", "4090", "DGX-Spark"})
    for (const int nodes : {1, 2, 5})
      for (const int count : {1, 3, 8}) {
        auto with = parse_devices(fmt::format("{}x{}x{}", nodes, count, item), shipped());
        const auto without = parse_devices(fmt::format("{}x{}", nodes * count, item), shipped());
        ASSERT_TRUE(with.has_value() && without.has_value()) << item;
        EXPECT_EQ(listed_nodes(*with), static_cast<std::uint32_t>(nodes));
        EXPECT_EQ(listed_nodes(*without), 0U);
        EXPECT_TRUE(std::is_sorted(with->begin(), with->end(), [](const Device& l, const Device& r) { return l.node < r.node; }));
        for (Device& device : *with) device.node.clear();
        EXPECT_EQ(*with, *without) << item;
      }
}

// Real devices are one machine, where there are any.
TEST(DeviceNodes, RealDevicesAreOne) {
  const auto real = parse_devices("auto", shipped());
  EXPECT_EQ(listed_nodes(real.value_or(std::vector<Device>())), real.has_value() ? 1U : 0U);
}

} // namespace
} // namespace plimsoll
