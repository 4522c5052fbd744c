// Demands and price files as people write them.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

#include "plimsoll/fit.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

std::string shown(const std::string& text) {
  const auto demand = read_demand(text, "--for");
  if (!demand) return demand.error().where + ": " + demand.error().message;
  std::string out;
  for (const FitDemand& part : *demand)
    out += (out.empty() ? "" : " ") + std::to_string(part.requests) + "x" + std::to_string(part.length_tokens);
  return out;
}

TEST(DemandText, IsRequestsTimesTokens) {
  EXPECT_EQ(shown("64x8K,4x128K"), "64x8192 4x131072");
  EXPECT_EQ(shown("64x8k,4x128k"), "64x8000 4x128000"); // as --length has it
  EXPECT_EQ(shown("1x1"), "1x1");
  EXPECT_EQ(shown("8K"), "1x8192");
  EXPECT_EQ(shown(" 2 X 1M , 3x1000 "), "2x1048576 3x1000");
  for (const char* bad : {"",
                          ",",
                          "x",
                          "8x",
                          "x8k",
                          "0x8k",
                          "8x0",
                          "-1x8k",
                          "8x-1",
                          "8.5x8k",
                          "8x8.5K",
                          "8x8kk",
                          "8x8q",
                          "8x8k,",
                          "8x8kx2",
                          "k",
                          "99999999999999999999x1",
                          "1x99999999999999999999",
                          "1x9999999999M",
                          "8 8k"})
    EXPECT_THAT(shown(bad), HasSubstr("--for: ")) << bad;
  EXPECT_THAT(shown("8x8k\x1b[31m"), Not(HasSubstr("\x1b")));
  std::string many = "1x1";
  for (int more = 0; more < 20; ++more) many += ",1x1";
  EXPECT_THAT(shown(many), HasSubstr("more than 16"));
}

class PriceFile : public ::testing::Test {
protected:
  void TearDown() override { std::filesystem::remove(path_); }
  std::string read(const std::string& text) const {
    std::ofstream(path_) << text;
    const auto prices = read_prices(path_);
    if (!prices) return prices.error().where.substr(path_.size()) + " " + prices.error().message;
    std::string out;
    for (const auto& [card, price] : *prices) out += card + "=" + std::to_string(price) + " ";
    return out;
  }
  std::string path_ = std::filesystem::temp_directory_path() / ("prices-" + std::to_string(getpid()) + ".yaml");
};

TEST_F(PriceFile, IsACardALine) {
  EXPECT_EQ(read("H100: 2.49\n# a comment\n'RTX 4090': 0\nL40S: \"0.9\"\n"), "H100=2.490000 L40S=0.900000 RTX 4090=0.000000 ");
  EXPECT_EQ(read("{H100: 2}"), "H100=2.000000 ");
}

TEST_F(PriceFile, IsRefusedWithItsLine) {
  const std::pair<const char*, const char*> bad[]{{"H100: 2\nT4: -1\n", ":2 '-1' is no price of T4"},
                                                  {"H100: cheap\n", ":1 'cheap' is no price"},
                                                  {"H100: nan\n", ":1 'nan'"},
                                                  {"H100: inf\n", ":1 'inf'"},
                                                  {"H100: 1e10\n", ":1 '1e10'"},
                                                  {"H100: 9999999999\n", ":1 "},
                                                  {"H100: 2\n\nH100: 2\n", ":3 H100 is given twice"},
                                                  {"H100:\n", ":1 H100 has no price"},
                                                  {"H100: [2]\n", ":1 H100 has no price"},
                                                  {"[1]: 2\n", ":1 a key that is no word"},
                                                  {"- H100\n", ":1 prices are a map"},
                                                  {"H100: 2\n  T4: {\n", " this is not YAML"},
                                                  {"", " prices are a map"}};
  for (const auto& [text, message] : bad) EXPECT_THAT(read(text), HasSubstr(message)) << text;
  EXPECT_FALSE(read_prices("/nonexistent/prices.yaml"));
  EXPECT_FALSE(read_prices("/"));
}

} // namespace
} // namespace plimsoll
