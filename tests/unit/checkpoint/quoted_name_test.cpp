#include "checkpoint/quoted_name.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(QuotedName, ShowsForeignNamesSafely) {
  EXPECT_EQ(quoted_name("model.norm.weight"), "'model.norm.weight'");
  EXPECT_EQ(quoted_name(""), "''");
  EXPECT_EQ(quoted_name("a\nb\x1b[31m"), "'a\\x0ab\\x1b[31m'");
  EXPECT_EQ(quoted_name("caf\xc3\xa9"), "'caf\xc3\xa9'");
  EXPECT_EQ(quoted_name("\xff\xfe"), "'\\xff\\xfe'");
  EXPECT_EQ(quoted_name(std::string(1000, 'x')), "'" + std::string(120, 'x') + "...'");
}

} // namespace
} // namespace plimsoll
