// The targets as libFuzzer calls them (PLIMSOLL_LIBFUZZER=ON, Clang); driver.cpp takes its place elsewhere. A corpus folder
// that is given and empty gets the target's seeds.
#include "fuzz/fuzz.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  namespace fs = std::filesystem;
  for (int i = 1; i < *argc; ++i) {
    const fs::path folder = (*argv)[i];
    std::error_code failed;
    if (!fs::is_directory(folder, failed) || !fs::is_empty(folder, failed)) continue;
    std::size_t number = 0;
    for (const std::string& seed : plimsoll::fuzz::seeds())
      std::ofstream(folder / ("seed-" + std::to_string(number++)), std::ios::binary) << seed;
    break;
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  plimsoll::fuzz::fuzz_one({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
