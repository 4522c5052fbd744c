#include "backend/blas_memory.hpp"

#include <gtest/gtest.h>

#include "backend/cpu_backend.hpp"
#include "schedule/blas_memory.hpp"

namespace plimsoll {
namespace {

TEST(BlasMemoryTest, TakesNoMoreThanThePlanSetsAside) {
  for (const std::uint32_t threads : {1U, 2U}) {
    cpu_backend({.threads = threads});
    for (const std::uint64_t tokens : {1ULL, 64ULL, 512ULL, 1024ULL}) {
      const Result<std::uint64_t> measured = blas_bytes(tokens);
      ASSERT_TRUE(measured);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // those have memory of their own
      EXPECT_LE(*measured, blas_bound_bytes(tokens, threads).value()) << tokens << " tokens, " << threads << " threads";
#endif
    }
  }
  cpu_backend({.threads = 1});
}

TEST(BlasMemoryTest, WhatIsThereIsNotTakenAgain) {
  const std::uint64_t once = blas_bytes(256).value();
  EXPECT_LE(blas_bytes(256).value(), once + (256U << 10));
}

TEST(BlasMemoryTest, LeavesRoomOnSmallDevices) {
  EXPECT_LE(blas_bound_bytes(512).value(), 12U << 20);
  EXPECT_EQ(blas_bound_bytes(512).value(), 4'718'592U); // 512 x 3,072 + 2 MiB + 1 MiB
  EXPECT_EQ(blas_bound_bytes(512, 4).value(), 4 * (512U * 3072 + (2U << 20)) + (1U << 20));
  EXPECT_TRUE(blas_bound_bytes(UINT64_MAX).overflowed());
}

} // namespace
} // namespace plimsoll
