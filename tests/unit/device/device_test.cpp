#include "device/device.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/human.hpp"
#include "device/catalogue.hpp"
#include "device/query.hpp"
#include "unit/device/shipped.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using testing::shipped;

std::uint64_t size(const char* text) { return parse_bytes(text, "").value(); }

TEST(Devices, ReadsEveryFormOfItem) {
  struct Row {
    const char* spec;
    std::size_t count;
    const char* name; // of the last device
    const char* total;
    const char* free;
  };
  for (const Row& row : {
           Row{"8xH200", 8, "H200", "139.81GiB", "139.21GiB"},
           Row{"h200", 1, "H200", "139.81GiB", "139.21GiB"},
           Row{"8 x H200", 8, "H200", "139.81GiB", "139.21GiB"},
           Row{"4xH100,4xA100-40GB", 8, "A100-40GB", "42298834944", "42298834944"},
           Row{"2x80GiB", 2, "80GiB", "80GiB", "80GiB"},
           Row{"80GiB,24GiB", 2, "24GiB", "24GiB", "24GiB"},
           Row{"2x79.19GiB", 2, "79.19GiB", "79.19GiB", "79.19GiB"},
           Row{"85899345920", 1, "85899345920", "80GiB", "80GiB"},
           Row{"80GiB:70GiB", 1, "80GiB", "80GiB", "70GiB"},
           Row{"H200:100GiB", 1, "H200", "139.81GiB", "100GiB"},
           Row{"mine=80GiB", 1, "mine", "80GiB", "80GiB"},
           Row{"2xmine=80GiB:75.5GiB", 2, "mine", "80GiB", "75.5GiB"},
           Row{"h100=79.18GiB", 1, "H100", "79.18GiB", "79.18GiB"},
           Row{"H100=79.18GiB:78.57GiB", 1, "H100", "79.18GiB", "78.57GiB"},
           Row{"4090", 1, "RTX-4090", "23.52GiB", "23.52GiB"},
           Row{"2x4090", 2, "RTX-4090", "23.52GiB", "23.52GiB"},
           Row{" T4 , L4 ", 2, "L4", "22.16GiB", "22.16GiB"},
           Row{"65536xT4", 65536, "T4", "14.74GiB", "14.74GiB"},
           Row{"H200x8", 8, "H200", "139.81GiB", "139.21GiB"},
           Row{"8*H200", 8, "H200", "139.81GiB", "139.21GiB"},
           Row{"8 \u00d7 H200", 8, "H200", "139.81GiB", "139.21GiB"},
           Row{"H200 * 8", 8, "H200", "139.81GiB", "139.21GiB"},
           Row{"80GiBx2", 2, "80GiB", "80GiB", "80GiB"},
           Row{"2 x RTX 3090", 2, "RTX-3090", "23.58GiB", "23.58GiB"},
           Row{"RTX4090", 1, "RTX-4090", "23.52GiB", "23.52GiB"},
           Row{"RTX4090x2", 2, "RTX-4090", "23.52GiB", "23.52GiB"},
           Row{"p5.48xlarge", 8, "H100", "79.19GiB", "78.58GiB"},
           Row{"2xp5en.48xlarge", 16, "H200", "139.81GiB", "139.21GiB"},
           Row{"standard_nd96isr_h100_v5:70GiB", 8, "H100", "79.19GiB", "70GiB"},
           Row{"g6e.12xlarge,g6e.12xlarge", 8, "L40S", "44.42GiB", "44.42GiB"},
       }) {
    const auto devices = parse_devices(row.spec, shipped());
    ASSERT_TRUE(devices.has_value()) << row.spec << ": " << devices.error().message;
    ASSERT_EQ(devices->size(), row.count) << row.spec;
    EXPECT_EQ(devices->back().name, row.name) << row.spec;
    EXPECT_EQ(devices->back().total_bytes, size(row.total)) << row.spec;
    EXPECT_EQ(devices->back().free_bytes, size(row.free)) << row.spec;
  }
}

TEST(Devices, ASizeUnderACardsNameKeepsTheCardsOtherProperties) {
  const auto devices = parse_devices("A100-40GB=39.38GiB,spare=39.38GiB", shipped());
  ASSERT_TRUE(devices.has_value());
  EXPECT_EQ(devices->at(0).compute_capability, 80U);
  EXPECT_EQ(devices->at(0).arch, "ampere");
  EXPECT_EQ(devices->at(1).compute_capability, 0U);
  EXPECT_EQ(parse_devices("DGX-Spark=100GiB", shipped())->front().kind, DeviceKind::kUnified);
  EXPECT_EQ(parse_devices("Arc-A770=15GiB", shipped())->front().max_allocation_bytes, 4ULL << 30);
}

TEST(Devices, RefusesWhatCannotBe) {
  struct Row {
    std::string spec;
    const char* message;
  };
  for (const Row& row : {
           Row{"", "empty"},
           Row{"   ", "empty"},
           Row{",", "empty"},
           Row{"H200,", "empty"},
           Row{"H200,,H100", "empty"},
           Row{"0xH200", "between 1 and 65536"},
           Row{"65537xH200", "between 1 and 65536"},
           Row{"99999999999999999999xH200", "between 1 and 65536"},
           Row{"65536xT4,T4", "between 1 and 65536"},
           Row{"H201", "nearest are H200"},
           Row{"H100:8", "did you mean 8xH100?"},
           Row{"H100x0", "between 1 and 65536"},
           Row{"RTX9999", "no card"},
           Row{"p5.24xlarge", "no machine of the catalogue; did you mean g5.24xlarge or p5.4xlarge"},
           Row{"2x2xp5.48xlarge", "a machine of 8 cards"},
           Row{"p5.48xlarge,H100", "either all devices have a node or none"},
           Row{"8x", "names no device"},
           Row{"8xx", "no card"},
           Row{"-1xH200", "not a size"},
           Row{"0GiB", "no memory"},
           Row{"mine=0", "no memory"},
           Row{"=80GiB", "no name"},
           Row{"mine=", "not a size"},
           Row{"mine=80GiB:", "not a size"},
           Row{"mine=80GiB:81GiB", "free"},
           Row{"mine=80GiB:1GiB:1GiB", "not a size"},
           Row{"H200:200GiB", "free"},
           Row{"80", "give a unit"},
           Row{"2x80", "give a unit"},
           Row{"1e400GiB", "not a size"},
           Row{"200TiB", "believed"},
           Row{"99999999999TiB", "64 bits"},
           Row{"a\nb=80GiB", "control"},
           Row{std::string(200, 'n') + "=80GiB", "128 characters"},
           Row{std::string(2U << 20, 'n'), "bytes"},
           Row{"auto,H200", "no card"},
           Row{"./none/such.yaml", "no such file"},
           Row{"none.yaml", "no such file"},
       }) {
    const auto devices = parse_devices(row.spec, shipped());
    ASSERT_FALSE(devices.has_value()) << row.spec.substr(0, 80);
    EXPECT_EQ(devices.error().code, ErrorCode::kBadRequest) << row.spec.substr(0, 80);
    EXPECT_THAT(devices.error().message, HasSubstr(row.message)) << row.spec.substr(0, 80);
    EXPECT_FALSE(devices.error().where.empty());
  }
}

// Each machine of a cloud is a node.
TEST(Devices, MachinesOfCloudsAreNodes) {
  const auto machines = parse_devices("2xp5.48xlarge,p5.48xlarge", shipped());
  const auto counted = parse_devices("3x8xH100", shipped());
  ASSERT_TRUE(machines && counted);
  EXPECT_EQ(*machines, *counted);
  const DeviceCatalogue without = DeviceCatalogue::from_text("schema: plimsoll.devices/1\ndevices: []\n", "here");
  EXPECT_THAT(parse_devices("p5.48xlarge", without).error().message, HasSubstr("no card"));
}

TEST(Devices, ManySingleItemsStayLinear) {
  std::string spec = "1GiB";
  for (int i = 1; i < 65536; ++i) spec += ",1GiB";
  EXPECT_EQ(parse_devices(spec, shipped())->size(), 65536U);
  EXPECT_FALSE(parse_devices(spec + ",1GiB", shipped()).has_value());
}

class DeviceFile : public ::testing::Test {
protected:
  Result<std::vector<Device>> read(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    return parse_devices(path_.string(), shipped());
  }
  ~DeviceFile() override { std::filesystem::remove(path_); }
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() /
      (std::string("plimsoll-devices-") + ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".yaml");
};

TEST_F(DeviceFile, HoldsItemsAndMappings) {
  const auto devices = read("devices:\n"
                            "  - 2xH100\n"
                            "  - {name: A100-40GB, count: 2, free_bytes: 38GiB}\n"
                            "  - name: edge\n"
                            "    total_bytes: 24GiB\n"
                            "    kind: unified\n"
                            "    wired_limit_bytes: 18GiB\n"
                            "    max_allocation_bytes: 4GiB\n"
                            "    compute_capability: 8.9\n"
                            "  - {total_bytes: 8589934592}\n");
  ASSERT_TRUE(devices.has_value()) << devices.error().where << devices.error().message;
  ASSERT_EQ(devices->size(), 6U);
  EXPECT_EQ(devices->at(3).free_bytes, 38ULL << 30);
  EXPECT_EQ(devices->at(3).compute_capability, 80U);
  EXPECT_EQ(devices->at(4).name, "edge");
  EXPECT_EQ(devices->at(4).free_bytes, 18ULL << 30);
  EXPECT_EQ(devices->at(4).max_allocation_bytes, 4ULL << 30);
  EXPECT_EQ(devices->at(4).compute_capability, 89U);
  EXPECT_EQ(devices->at(5).total_bytes, 8ULL << 30);
  EXPECT_EQ(read("[H200, 80GiB]")->size(), 2U);
  // Numbers are words too.
  const auto numbers = read("[{name: 3090, compute_capability: 9.0, total_bytes: 8589934592}, {name: 42, total_bytes: 1GiB}]");
  ASSERT_TRUE(numbers.has_value()) << numbers.error().where << numbers.error().message;
  EXPECT_EQ(numbers->at(0).compute_capability, 90U);
  EXPECT_EQ(numbers->at(1).name, "42");
}

TEST_F(DeviceFile, SaysWhatIsWrongAndWhere) {
  struct Row {
    std::string text;
    const char* place; // after the file's name
    const char* message;
  };
  for (const Row& row : {
           Row{"", "", "empty"},
           Row{"devices: [", "", "not a YAML document"},
           Row{"H200", "#", "expected a list"},
           Row{"devices: []", "#/devices", "at least one"},
           Row{"device: [H200]", "#", "unknown key 'device'"},
           Row{"schema: x", "#", "'devices' is missing"},
           Row{"devices: [{name: a, total_bytes: 80GiB, kind: host}]", "#/devices/0/kind", "give its memory as --host SIZE"},
           Row{"devices: [H201]", "#/devices/0", "nearest are H200"},
           Row{"devices: [H200, {name: H201}]", "#/devices/1/name", "nearest are H200"},
           Row{"devices: [{count: 2}]", "#/devices/0", "total_bytes"},
           Row{"devices: [{name: H200, count: 0}]", "#/devices/0", "between 1 and"},
           Row{"devices: [{name: H200, count: 1e9}]", "#/devices/0/count", "whole number"},
           Row{"devices: [{name: H200, count: 70000}]", "#/devices/0", "between 1 and"},
           Row{"devices: [{name: H200, free_bytes: 200GiB}]", "#/devices/0", "free"},
           Row{"devices: [{name: H200, wired_limit_bytes: 1GiB}]", "#/devices/0/wired_limit_bytes", "unified"},
           Row{"devices: [{name: x, total_bytes: 1GiB, kind: tpu}]", "#/devices/0/kind", "neither"},
           Row{"devices: [{name: x, total_bytes: 1GiB, compute_capability: 9}]", "#/devices/0/compute_capability", "9.0"},
           Row{"devices: [{name: x, total_bytes: 1GiB, total_bytes: 2GiB}]", "", "twice"},
           Row{"devices: [[H200]]", "#/devices/0", "expected a mapping"},
           Row{std::string(2U << 20, ' '), "", "at most"},
           Row{"devices: " + std::string(100000, '['), "", "not a YAML document"},
       }) {
    const auto devices = read(row.text);
    ASSERT_FALSE(devices.has_value()) << row.text.substr(0, 80);
    EXPECT_THAT(devices.error().where, ::testing::StartsWith(path_.string() + row.place)) << row.text.substr(0, 80);
    EXPECT_THAT(devices.error().message, HasSubstr(row.message)) << row.text.substr(0, 80);
  }
}

// True on a machine with GPUs and on one without.
TEST(Devices, AutoAnswersWithDevicesOrWithWhatToGive) {
  const auto devices = parse_devices("auto", shipped());
  EXPECT_FALSE(query_backend().empty());
  if (devices.has_value()) {
    for (const Device& device : *devices) {
      EXPECT_FALSE(device.name.empty());
      EXPECT_GT(device.total_bytes, 0U);
      EXPECT_LE(device.free_bytes, device.total_bytes);
    }
    EXPECT_FALSE(devices->empty());
  } else {
    EXPECT_EQ(devices.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(devices.error().where, "--devices");
    EXPECT_THAT(devices.error().message, HasSubstr("give --devices"));
  }
}

} // namespace
} // namespace plimsoll
