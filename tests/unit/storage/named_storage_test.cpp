// Storage formats by name: every parameter that a maker takes, and nothing else.
#include "storage/named_storage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/storage_formats.hpp"
#include "unit/storage/bf16.hpp"
#include "unit/storage/format_names.hpp"

namespace plimsoll {
namespace {

using testing::kBf16;

TEST(NamedStorage, EveryNameLeadsToTheFormatOfThatName) {
  for (const std::string_view name : testing::kFormatNames) {
    const auto storage = find_storage(name);
    ASSERT_TRUE(storage) << name;
    EXPECT_EQ(storage->name(), name);
  }
}

// Bytes of a 256 x 512 matrix in formats that only their parameters tell apart.
TEST(NamedStorage, ParametersCount) {
  struct Case {
    const char* name;
    std::uint64_t bytes;
  };
  const Case cases[] = {
      {"fp8_block_128x128", 131072 + 2 * 4 * 4},
      {"fp8_block_64x32", 131072 + 4 * 16 * 4},
      {"fp8_block_e8m0_32x32", 131072 + 8 * 16},
      {"fp8_ct_block_100x100", 131072 + 3 * 6 * 2},
      {"int4_g48", 65536 + 256 * 11 * 2 + 8},
      {"gptq_int4_g256", 65536 + 2 * 32 * 4 + 2 * 256 * 2 + 512 * 4},
      {"awq_int8_g64", 131072 + 8 * 64 * 4 + 8 * 256 * 2},
      {"nvfp4_g32", 65536 + 256 * 16 + 4 + 4},
      {"int4_modelopt_g16", 65536 + 256 * 32 * 2 + 512 * 2},
  };
  for (const Case& c : cases) {
    const auto storage = find_storage(c.name);
    ASSERT_TRUE(storage) << c.name;
    EXPECT_EQ(storage->bytes(LinearShape::matrix(256, 512, kBf16)).value(), c.bytes) << c.name;
  }
}

TEST(NamedStorage, WhatNoFormatHasIsNoName) {
  for (const char* name : {"",
                           "fp7",
                           "Plain",
                           "plain ",
                           "fp8_block_",
                           "fp8_block_128",
                           "fp8_block_128x",
                           "fp8_block_0x128",
                           "fp8_block_128x0128",
                           "fp8_block_128x128x128",
                           "fp8_block_1048577x1",
                           "fp8_block_99999999999x1",
                           "fp8_block_-1x1",
                           "fp8_block_e8m0_1x",
                           "gptq_int4",
                           "gptq_int5_g128",
                           "gptq_int4_g0",
                           "gptq_int4_g",
                           "gptq_int4_tensor",
                           "awq_int3_g128",
                           "int4_modelopt",
                           "int4_modelopt_w4a8",
                           "int3_g128",
                           "int16_g128",
                           "int4_g128_zp_zp",
                           "int4_g128_wide_zp",
                           "fp8_ct",
                           "fp8_ct_block_128",
                           "int8_bytes",
                           "nvfp4_",
                           "nvfp4_g16",
                           "nvfp4_packed_awq",
                           "nvfp4_awq_w4a16",
                           "mxfp4_g32",
                           "bnb_int8_double",
                           "fp8_tensor_static_k_scale"})
    EXPECT_FALSE(find_storage(name)) << name;
}

TEST(NamedStorage, SaysHowNamesAreMade) {
  const std::string patterns = storage_name_patterns();
  for (const char* part : {"plain", "fp8_block[_e8m0]_OUTxIN", "gptq_intBITS_gN", "bnb_nf4_double"})
    EXPECT_NE(patterns.find(part), std::string::npos) << part;
}

} // namespace
} // namespace plimsoll
