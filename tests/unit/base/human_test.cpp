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

} // namespace
} // namespace plimsoll
