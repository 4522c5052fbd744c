// The tests of ops (tests/unit/runtime/executor_*_test.cpp) on a device: the environment's PLIMSOLL_TEST_DEVICE is `emulated` (the same
// kernels, run by this machine's processors) or `cuda`. Ends with 77, which ctest takes for skipped, where there is no GPU; says why.
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string_view>

#include "backend/device_backend.hpp"
#include "support/emulated_device.hpp"
#include "support/test_backend.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const char* const wanted = std::getenv("PLIMSOLL_TEST_DEVICE");
  if (wanted != nullptr && std::string_view(wanted) == "cuda") {
    auto device = plimsoll::open_gpu(0);
    if (!device) {
      std::printf("skipped: %s\n", device.error().message.c_str());
      return 77;
    }
    plimsoll::test::chosen_backend() = std::move(*device);
  } else {
    plimsoll::test::chosen_backend() = plimsoll::test::emulated_backend(true);
  }
  const int code = RUN_ALL_TESTS();
  plimsoll::test::chosen_backend().reset(); // before what it needs is gone
  return code;
}
