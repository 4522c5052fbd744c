// Libraries read without loading them: sound ones, and anything at all.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "check/elf.hpp"

namespace plimsoll::check {
namespace {

std::string zoo_library(const std::string& rule) {
  std::ifstream in(std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/zoo/check/" + rule + "/libfault.so", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
bool names(const std::vector<ElfSymbol>& symbols, const std::string& name) {
  return std::any_of(symbols.begin(), symbols.end(), [&](const ElfSymbol& symbol) { return symbol.name == name; });
}

TEST(Elf, SaysWhatALibraryIs) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a library built with sanitizers has their constructors, and their functions in place of the system's";
#endif
  const auto elf = read_elf(zoo_library("sound"));
  ASSERT_TRUE(elf) << elf.error().message;
  EXPECT_EQ(elf->type, 3); // a shared object
  EXPECT_EQ(elf->machine, own_machine());
  EXPECT_FALSE(elf->executable_stack);
  EXPECT_FALSE(elf->text_relocations);
  EXPECT_TRUE(elf->full_relro);
  EXPECT_FALSE(elf->constructors);
  ASSERT_EQ(elf->exported.size(), 1U);
  EXPECT_EQ(elf->exported.front().name, "plimsoll_plugin_v1");
  EXPECT_FALSE(elf->exported.front().weak);
  EXPECT_TRUE(elf->run_paths.empty());
  const auto libc = std::find_if(elf->undefined.begin(), elf->undefined.end(), [](const ElfSymbol& s) { return s.name == "snprintf"; });
  ASSERT_NE(libc, elf->undefined.end());
  EXPECT_TRUE(libc->version.starts_with("GLIBC_")) << libc->version;
}

TEST(Elf, SeesWhatIsWrongWithOne) {
  EXPECT_TRUE(read_elf(zoo_library("MAN-05"))->executable_stack);
  EXPECT_TRUE(names(read_elf(zoo_library("MAN-06"))->exported, "zoo_is_seen"));
  EXPECT_EQ(read_elf(zoo_library("MAN-07"))->run_paths, std::vector<std::string>{"/opt/nowhere"});
  EXPECT_TRUE(names(read_elf(zoo_library("MAN-08"))->undefined, "plimsoll_version"));
}

TEST(Elf, RefusesWhatIsNone) {
  EXPECT_EQ(read_elf("").error().message, "is no ELF file");
  EXPECT_EQ(read_elf("#!/bin/sh\n").error().message, "is no ELF file");
  std::string library = zoo_library("sound");
  library[4] = 1; // 32 bits
  EXPECT_EQ(read_elf(library).error().message, "is no 64-bit little-endian ELF file");
}

// Cut anywhere and changed anywhere it is an answer or an error, and never long.
TEST(Elf, BearsAnything) {
  const std::string library = zoo_library("sound");
  ASSERT_GT(library.size(), 4096U);
  for (std::size_t size = 0; size < library.size(); size += 97) (void)read_elf(std::string_view(library).substr(0, size));
  std::mt19937_64 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string other = library;
    for (int n = 0; n < 4; ++n) other[random() % (n % 2 == 0 ? 1024 : other.size())] = static_cast<char>(random());
    if (const auto elf = read_elf(other); !elf) {
      EXPECT_FALSE(elf.error().message.empty());
    }
  }
}

} // namespace
} // namespace plimsoll::check
