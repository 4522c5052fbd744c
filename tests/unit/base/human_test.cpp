#include "base/human.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(Human, BytesUseBinaryUnitsAndNeverLessThanKib) {
  EXPECT_EQ(human_bytes(0), "0.00 KiB");
  EXPECT_EQ(human_bytes(1023), "1.00 KiB");
  EXPECT_EQ(human_bytes(1048576), "1.00 MiB");
  EXPECT_EQ(human_bytes(60129542144), "56.00 GiB");
  EXPECT_EQ(human_bytes(1ULL << 40), "1.00 TiB");
  EXPECT_EQ(human_signed_bytes(-1073741824), "-1.00 GiB");
  EXPECT_EQ(human_count(1234567), "1,234,567");
}

TEST(Human, ParsesSizesExactly) {
  EXPECT_EQ(parse_bytes("80GiB", "o").value(), 85899345920U);
  EXPECT_EQ(parse_bytes("80 GB", "o").value(), 80000000000U);
  EXPECT_EQ(parse_bytes("1024", "o").value(), 1024U);
  EXPECT_EQ(parse_bytes("79.5gib", "o").value(), 85362475008U);
  EXPECT_EQ(parse_bytes("0", "o").value(), 0U);
}

TEST(Human, RefusesWhatIsNotASize) {
  for (const char* text : {"", "GiB", "1e400", "nan", "-1", "1.2.3GiB", "18446744073709551616", "99999999999TiB", "0x10"})
    EXPECT_FALSE(parse_bytes(text, "--devices").has_value()) << text;
  EXPECT_EQ(parse_bytes("x", "--devices").error().where, "--devices");
}

// vLLM's reading: small letters are decimal, capital ones binary and without a fraction.
TEST(Human, TokensHaveLetters) {
  const std::pair<const char*, std::uint64_t> rows[] = {
      {"8192", 8192},   {"0", 0},          {"8k", 8000},     {"8K", 8192},       {"32K", 32768}, {"1M", 1048576},   {"1m", 1000000},
      {"25.6k", 25600}, {"1.5m", 1500000}, {"1.000k", 1000}, {"1G", 1ULL << 30}, {"0.5k", 500},  {"1.0000k", 1000}, {"131072", 131072}};
  for (const auto& [text, tokens] : rows) EXPECT_EQ(parse_tokens(text), tokens) << text;
  for (const char* text : {"",
                           "k",
                           ".5k",
                           "8.k",
                           "1.5K",
                           "1.5",
                           "8kb",
                           "8 k",
                           "-8k",
                           "+8",
                           "08k",
                           "0x10",
                           "1.0005k",
                           "1.00005k",
                           "8KK",
                           "1e3",
                           "9223372036854775808",
                           "18446744073709551615",
                           "9999999999G",
                           "8T",
                           "eight"})
    EXPECT_EQ(parse_tokens(text), std::nullopt) << text;
}

} // namespace
} // namespace plimsoll
