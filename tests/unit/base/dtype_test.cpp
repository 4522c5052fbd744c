#include "base/dtype.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(Dtype, KnowsConfigSafetensorsAndGgmlNames) {
  EXPECT_EQ(find_dtype("bfloat16")->bytes(100).value(), 200U);
  EXPECT_EQ(find_dtype("torch.float16")->safetensors, "F16");
  EXPECT_EQ(find_dtype("F8_E4M3")->name, "float8_e4m3fn");
  EXPECT_EQ(find_dtype("F4")->bytes(3).value(), 2U);
  EXPECT_EQ(find_dtype("q8_0")->bytes(64).value(), 68U);
  EXPECT_EQ(find_dtype("Q4_K")->bytes(256).value(), 144U);
  EXPECT_FALSE(find_dtype("bfloat").has_value());
  EXPECT_FALSE(find_dtype("").has_value());
}

TEST(Dtype, OverflowIsKept) { EXPECT_TRUE(find_dtype("float32")->bytes(UINT64_MAX / 2).overflowed()); }

} // namespace
} // namespace plimsoll
