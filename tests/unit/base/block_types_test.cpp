#include "base/block_types.hpp"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "base/dtype.hpp"
#include "support/tiny_blocks.hpp"

namespace plimsoll {
namespace {

// 1 and 0.5 as float16.
constexpr unsigned char kOne[2]{0x00, 0x3C}, kHalf[2]{0x00, 0x38};

std::vector<float> unpacked(const char* name, const std::vector<unsigned char>& block) {
  const BlockType* const type = find_block_type(name);
  if (type == nullptr || type->block_bytes != block.size()) return {};
  std::vector<float> out(type->block_elements, -999);
  type->unpack(block.data(), out.data());
  return out;
}

// A block of zeros with bytes at some places.
struct At {
  std::size_t place;
  unsigned char byte;
};
std::vector<unsigned char> block(std::size_t bytes, std::initializer_list<At> set) {
  std::vector<unsigned char> out(bytes, 0);
  for (const At& at : set) out[at.place] = at.byte;
  return out;
}

struct ByHand {
  const char* type;
  std::vector<unsigned char> block;
  std::size_t element;
  float value;
};

// Of each type an element whose bits stand in more than one place.
TEST(BlockTypes, GiveElementsThatWereWorkedOutByHand) {
  const ByHand rows[] = {
      {"float16", {0x00, 0xC2}, 0, -3},
      {"bfloat16", {0x20, 0xC1}, 0, -10},
      {"q4_0", block(18, {{0, kHalf[0]}, {1, kHalf[1]}, {2 + 5, 0xB3}}), 5, (3 - 8) * 0.5F},
      {"q4_0", block(18, {{0, kHalf[0]}, {1, kHalf[1]}, {2 + 5, 0xB3}}), 21, (11 - 8) * 0.5F},
      {"q4_1", block(20, {{0, kHalf[0]}, {1, kHalf[1]}, {2, kOne[0]}, {3, kOne[1]}, {4 + 15, 0xF0}}), 31, 15 * 0.5F + 1},
      // Bit 4 of element 17 is bit 1 of the third byte of bits.
      {"q5_0", block(22, {{0, kOne[0]}, {1, kOne[1]}, {2 + 2, 0x02}, {6 + 1, 0x70}}), 17, 16 + 7 - 16},
      {"q5_1", block(24, {{0, kOne[0]}, {1, kOne[1]}, {2, kHalf[0]}, {3, kHalf[1]}, {4, 0x08}, {8 + 3, 0x05}}), 3, 16 + 5 + 0.5F},
      {"q8_0", block(34, {{0, kHalf[0]}, {1, kHalf[1]}, {2 + 31, 0x80}}), 31, -64},
      // Element 200: second half, third quarter, place 8; its group is the 12th.
      {"q2_k", block(84, {{12, 0x35}, {16 + 32 + 8, 0x20}, {81, kOne[1]}, {83, kHalf[1]}}), 200, 5 * 2 - 0.5F * 3},
      {"q3_k", block(110, {{8, 0x40}, {32 + 32 + 8, 0x20}, {96 + 4, 0x70}, {96 + 8, 0x80}, {109, kOne[1]}}), 200, (7 + 32 - 32) * 2},
      // Group 5: upper bits of scale and minimum stand above those of groups 1 and 1 + 4.
      {"q4_k", block(144, {{1, kOne[1]}, {3, kHalf[1]}, {4 + 1, 0x40}, {4 + 5, 0xC0}, {4 + 9, 0x21}, {16 + 64 + 7, 0xA0}}), 167,
       (1 + 16) * 10 - 0.5F * (2 + 48)},
      {"q5_k", block(176, {{1, kOne[1]}, {3, kHalf[1]}, {4 + 1, 0x40}, {4 + 9, 0x21}, {16 + 7, 0x20}, {48 + 64 + 7, 0xA0}}), 167,
       (1 + 16) * 26 - 0.5F * 2},
      {"q6_k", block(210, {{64 + 8, 0x90}, {128 + 32 + 8, 0x30}, {192 + 12, 0xFE}, {209, kOne[1]}}), 200, -2 * (9 + 3 * 16 - 32)},
      {"mxfp4", block(17, {{0, 128}, {1 + 4, 0xD7}}), 4, 12},
      {"mxfp4", block(17, {{0, 128}, {1 + 4, 0xD7}}), 20, -6},
  };
  for (const ByHand& row : rows) {
    const std::vector<float> found = unpacked(row.type, row.block);
    ASSERT_GT(found.size(), row.element) << row.type;
    EXPECT_EQ(found[row.element], row.value) << row.type << ", element " << row.element;
  }
}

// Sizes stand in the table of types, too; every type that the tests can write is unpacked, whatever its bits.
TEST(BlockTypes, AgreeWithTheTableOfTypesAndFillTheirBlocks) {
  for (const std::string& name : test::block_type_names()) {
    const BlockType* const type = find_block_type(name);
    ASSERT_NE(type, nullptr) << name;
    const auto dtype = find_dtype(name);
    ASSERT_TRUE(dtype) << name;
    EXPECT_EQ(dtype->block_elements, type->block_elements) << name;
    EXPECT_EQ(dtype->block_bytes, type->block_bytes) << name;
    for (const unsigned char byte : std::array<unsigned char, 3>{0x00, 0x5A, 0xFF})
      for (const float value : unpacked(name.c_str(), std::vector<unsigned char>(type->block_bytes, byte))) EXPECT_NE(value, -999) << name;
  }
  for (const char* none : {"iq2_xs", "float32", "", "Q4_0"}) EXPECT_EQ(find_block_type(none), nullptr) << none;
}

} // namespace
} // namespace plimsoll
