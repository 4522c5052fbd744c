#include "storage/storage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

#include "storage/named_storage.hpp"
#include "storage/storage_formats.hpp"
#include "unit/storage/bf16.hpp"
#include "unit/storage/format_names.hpp"

namespace plimsoll {
namespace {

using ::testing::ElementsAre;
using testing::kBf16;

const Dtype kF16 = *find_dtype("float16");

// "name dtype [dims]" of every tensor.
std::vector<std::string> listing(const Storage& storage, std::string_view class_name, const LinearShape& shape) {
  std::vector<std::string> lines;
  storage.tensors(class_name, shape, [&](std::string_view name, const Dtype& dtype, std::span<const std::uint64_t> dims) {
    std::string line = std::string(name) + " " + std::string(dtype.safetensors) + " [";
    for (std::size_t i = 0; i < dims.size(); ++i) line += (i ? "," : "") + std::to_string(dims[i]);
    lines.push_back(line + "]");
  });
  return lines;
}

// Kept for the life of the program: tests hold references.
const Storage& format(std::string_view name) {
  static std::map<std::string, Storage, std::less<>> kept;
  if (const auto known = kept.find(name); known != kept.end()) return known->second;
  auto found = find_storage(name);
  EXPECT_TRUE(found) << name;
  return kept.emplace(name, found.value_or(Storage())).first->second;
}

TEST(Storage, PlainIsOneTensorOfTheBaseType) {
  EXPECT_THAT(listing(Storage(), "a.weight", LinearShape::matrix(4096, 14336, kBf16)), ElementsAre("a.weight BF16 [4096,14336]"));
  EXPECT_EQ(Storage().bytes(LinearShape::matrix(4096, 14336, kBf16)).value(), 117440512U);
  EXPECT_EQ(Storage().element_bytes(kBf16), 2U);
}

TEST(Storage, BlockFp8) {
  // DeepSeek-V3: q_b_proj, and kv_a_proj_with_mqa, whose 576 rows are four and a half blocks.
  const Storage& fp8 = format("fp8_block_128x128");
  EXPECT_THAT(listing(fp8, "q_b_proj.weight", LinearShape::matrix(24576, 1536, kBf16)),
              ElementsAre("q_b_proj.weight F8_E4M3 [24576,1536]", "q_b_proj.weight_scale_inv F32 [192,12]"));
  EXPECT_EQ(fp8.bytes(LinearShape::matrix(24576, 1536, kBf16)).value(), 37757952U);
  EXPECT_THAT(listing(fp8, "kv_a_proj_with_mqa.weight", LinearShape::matrix(576, 7168, kBf16)),
              ElementsAre("kv_a_proj_with_mqa.weight F8_E4M3 [576,7168]", "kv_a_proj_with_mqa.weight_scale_inv F32 [5,56]"));
  // Packed experts keep their order.
  EXPECT_THAT(listing(fp8, "e.gate_up_proj", LinearShape::packed(16, 256, 300, kBf16)),
              ElementsAre("e.gate_up_proj F8_E4M3 [16,256,300]", "e.gate_up_proj_scale_inv F32 [16,2,3]"));
  EXPECT_THAT(listing(fp8, "e.gate_up_proj", LinearShape::packed_in_out(16, 300, 256, kBf16)),
              ElementsAre("e.gate_up_proj F8_E4M3 [16,300,256]", "e.gate_up_proj_scale_inv F32 [16,3,2]"));
}

TEST(Storage, Mxfp4OfGptOss) {
  // gpt-oss-20b: 32 experts, hidden and intermediate 2880.
  const Storage& mxfp4 = format("mxfp4");
  const std::vector<std::string> want{"e.gate_up_proj_blocks U8 [32,5760,90,16]", "e.gate_up_proj_scales U8 [32,5760,90]"};
  EXPECT_EQ(listing(mxfp4, "e.gate_up_proj", LinearShape::packed(32, 5760, 2880, kBf16)), want);
  EXPECT_EQ(listing(mxfp4, "e.gate_up_proj", LinearShape::packed_in_out(32, 2880, 5760, kBf16)), want);
  EXPECT_EQ(mxfp4.bytes(LinearShape::packed(32, 5760, 2880, kBf16)).value(), 282009600U);
  EXPECT_TRUE(mxfp4.is_fp4());
  EXPECT_EQ(mxfp4.element_bytes(kBf16), 1U);
  // The declared elements stay those of the unpacked weight.
  EXPECT_EQ(Storage::parameters(LinearShape::packed(32, 5760, 2880, kBf16)).value(), 530841600U);
}

TEST(Storage, Fp8Scalars) {
  EXPECT_THAT(listing(format("fp8_tensor_static"), "q.weight", LinearShape::matrix(8192, 5120, kBf16)),
              ElementsAre("q.weight F8_E4M3 [8192,5120]", "q.weight_scale F32 []", "q.input_scale F32 []"));
  EXPECT_EQ(format("fp8_tensor_static").bytes(LinearShape::matrix(8192, 5120, kBf16)).value(), 41943048U);
  EXPECT_THAT(listing(format("fp8_ct_channel"), "q.weight", LinearShape::matrix(8192, 5120, kBf16)),
              ElementsAre("q.weight F8_E4M3 [8192,5120]", "q.weight_scale BF16 [8192,1]"));
  EXPECT_THAT(listing(format("fp8_fbgemm"), "q.weight", LinearShape::matrix(64, 32, kBf16)),
              ElementsAre("q.weight F8_E4M3 [64,32]", "q.weight_scale F32 [64,1]", "q.input_scale_ub F32 [1]"));
}

TEST(Storage, Nvfp4) {
  // DeepSeek-V3.1-NVFP4's o_proj [7168, 16384].
  EXPECT_THAT(listing(format("nvfp4"), "o_proj.weight", LinearShape::matrix(7168, 16384, kBf16)),
              ElementsAre("o_proj.weight U8 [7168,8192]", "o_proj.weight_scale F8_E4M3 [7168,1024]", "o_proj.weight_scale_2 F32 []",
                          "o_proj.input_scale F32 []"));
  EXPECT_EQ(format("nvfp4").bytes(LinearShape::matrix(7168, 16384, kBf16)).value(), 66060296U);
  EXPECT_EQ(format("nvfp4_w4a16").bytes(LinearShape::matrix(7168, 16384, kBf16)).value(), 66060292U);
  EXPECT_TRUE(format("nvfp4").is_fp4());
}

TEST(Storage, PackedIntegers) {
  EXPECT_THAT(listing(format("int4_g32"), "e.0.up_proj.weight", LinearShape::matrix(2048, 7168, kBf16)),
              ElementsAre("e.0.up_proj.weight_packed I32 [2048,896]", "e.0.up_proj.weight_scale BF16 [2048,224]",
                          "e.0.up_proj.weight_shape I32 [2]"));
  EXPECT_THAT(listing(format("int4_g128_zp"), "q.weight", LinearShape::matrix(1024, 256, kBf16)),
              ElementsAre("q.weight_packed I32 [1024,32]", "q.weight_scale BF16 [1024,2]", "q.weight_shape I32 [2]",
                          "q.weight_zero_point I32 [128,2]"));
  // A group size beside another strategy says nothing: one scale and one zero point per row.
  formats::Scheme rows;
  rows.strategy = formats::Strategy::kChannel;
  rows.bits = 4;
  rows.group = 128;
  rows.symmetric = false;
  EXPECT_THAT(listing(formats::ct_packed_int(rows), "q.weight", LinearShape::matrix(1024, 256, kBf16)),
              ElementsAre("q.weight_packed I32 [1024,32]", "q.weight_scale BF16 [1024,1]", "q.weight_shape I32 [2]",
                          "q.weight_zero_point I32 [128,1]"));
  EXPECT_THAT(listing(format("gptq_int4_g128"), "q.weight", LinearShape::matrix(4096, 4096, kF16)),
              ElementsAre("q.qweight I32 [512,4096]", "q.qzeros I32 [32,512]", "q.scales F16 [32,4096]", "q.g_idx I32 [4096]"));
  EXPECT_THAT(listing(format("gptq_int3_channel"), "q.weight", LinearShape::matrix(64, 64, kF16)),
              ElementsAre("q.qweight I32 [6,64]", "q.qzeros I32 [1,6]", "q.scales F16 [1,64]", "q.g_idx I32 [64]"));
  EXPECT_THAT(listing(format("awq_int4_g128"), "q.weight", LinearShape::matrix(8960, 1536, kF16)),
              ElementsAre("q.qweight I32 [1536,1120]", "q.qzeros I32 [12,1120]", "q.scales F16 [12,8960]"));
  EXPECT_EQ(format("gptq_int4_g128").weight_bits(), 4U);
}

TEST(Storage, BitsAndBytes) {
  EXPECT_THAT(listing(format("bnb_nf4_double"), "q.weight", LinearShape::matrix(4096, 4096, kBf16)),
              ElementsAre("q.weight U8 [8388608,1]", "q.weight.absmax U8 [262144]", "q.weight.quant_map F32 [16]",
                          "q.weight.nested_absmax F32 [1024]", "q.weight.nested_quant_map F32 [256]",
                          "q.weight.quant_state.bitsandbytes__nf4 U8 [172]"));
  EXPECT_FALSE(format("bnb_nf4").exact());
  EXPECT_THAT(listing(format("bnb_int8"), "q.weight", LinearShape::matrix(64, 32, kBf16)),
              ElementsAre("q.weight I8 [64,32]", "q.SCB F32 [64]", "q.weight_format U8 []"));
}

// AWQ Qwen2-VL-2B (float16): the vision tower, embedding, head, norms and biases are plain, 28 layers of seven linears packed.
TEST(Storage, AwqQwen2Vl2bTotal) {
  const Storage& awq = format("awq_int4_g128");
  const auto bytes = [&](std::uint64_t out, std::uint64_t in) { return awq.bytes(LinearShape::matrix(out, in, kF16)).value(); };
  const std::uint64_t layer =
      2 * bytes(1536, 1536) + 2 * bytes(256, 1536) + 2 * bytes(8960, 1536) + bytes(1536, 8960) + 2 * (1536 + 256 + 256) + 2 * 2 * 1536;
  const std::uint64_t h = 1280, merged = 4 * h;
  const std::uint64_t block = 4 * h + 3 * h * h + 3 * h + h * h + h + 2 * 4 * h * h + 4 * h + h;
  const std::uint64_t vision = h * 3 * 2 * 14 * 14 + 32 * block + 2 * h + merged * merged + merged + 1536 * merged + 1536;
  EXPECT_EQ(28 * layer + 2 * vision + 2 * (2 * 151936 * 1536) + 2 * 1536, 2945014784U);
}

TEST(Storage, ShardsRoundBlocksUp) {
  const Storage& fp8 = format("fp8_block_128x128");
  // kv_b_proj [32768, 512] split over 3 ranks by hand: 10923 rows are 86 blocks.
  EXPECT_EQ(fp8.bytes(LinearShape::matrix(10923, 512, kBf16)).value(), 10923U * 512 + 86 * 4 * 4);
  EXPECT_EQ(format("int4_g128").bytes(LinearShape::matrix(1, 1, kBf16)).value(), 4U + 2 + 8);
  EXPECT_EQ(format("mxfp4").bytes(LinearShape::packed(1, 1, 33, kBf16)).value(), 2U * 17);
}

TEST(Storage, VectorsStayPlain) {
  const std::array<std::uint64_t, 1> dims{4096};
  EXPECT_THAT(listing(format("nvfp4"), "norm.weight", LinearShape::of(dims, kBf16)), ElementsAre("norm.weight BF16 [4096]"));
  EXPECT_THAT(listing(format("nvfp4"), "A", LinearShape::of({}, kBf16)), ElementsAre("A BF16 []"));
}

TEST(Storage, EveryFormat) {
  for (const std::string_view name : testing::kFormatNames) {
    const Storage& storage = format(name);
    EXPECT_EQ(storage.name(), name);
    std::uint64_t last = 0;
    for (const std::uint64_t dim : {0U, 1U, 2U, 31U, 32U, 33U, 127U, 128U, 129U, 1000U, 4096U}) {
      // Bytes grow with each dim, and are the sum of the tensors handed out.
      const LinearShape square = LinearShape::matrix(dim, dim, kBf16);
      const std::uint64_t bytes = storage.bytes(square).value();
      EXPECT_GE(bytes, last) << name << " " << dim;
      last = bytes;
      EXPECT_GE(storage.bytes(LinearShape::matrix(dim + 1, dim, kBf16)).value(), bytes) << name;
      EXPECT_GE(storage.bytes(LinearShape::matrix(dim, dim + 1, kBf16)).value(), bytes) << name;
      std::uint64_t sum = 0;
      for (const LinearShape& shape :
           {square, LinearShape::packed(3, dim, 2 * dim, kBf16), LinearShape::packed_in_out(3, dim, 2 * dim, kBf16)}) {
        sum = 0;
        storage.tensors("x.weight", shape, [&](std::string_view, const Dtype& dtype, std::span<const std::uint64_t> dims) {
          Checked elements = 1;
          for (const std::uint64_t d : dims) elements *= d;
          sum += dtype.bytes(elements).value();
        });
        EXPECT_EQ(sum, storage.bytes(shape).value()) << name << " " << dim;
      }
    }
    // E experts packed are E times one.
    EXPECT_EQ(storage.bytes(LinearShape::packed(7, 256, 384, kBf16)).value(),
              7 * storage.bytes(LinearShape::matrix(256, 384, kBf16)).value())
        << name;
    EXPECT_TRUE(storage.bytes(LinearShape::matrix(UINT64_MAX, UINT64_MAX, kBf16)).overflowed()) << name;
    EXPECT_TRUE(storage.bytes(LinearShape::packed(UINT64_MAX, 2, UINT64_MAX, kBf16)).overflowed()) << name;
  }
  EXPECT_FALSE(find_storage("fp7"));
}

TEST(Storage, KnowsTheScalarsOfALinearLayer) {
  EXPECT_EQ(formats::nvfp4(16, true, false).scalar_bytes(kBf16).value(), 8U);
  EXPECT_EQ(formats::nvfp4(16, false, false).scalar_bytes(kBf16).value(), 4U);
  EXPECT_EQ(formats::fp8_tensor(true).scalar_bytes(kBf16).value(), 8U);
  EXPECT_EQ(formats::fp8_block(128, 128).scalar_bytes(kBf16).value(), 0U);
  EXPECT_EQ(formats::awq(4, 128).scalar_bytes(kBf16).value(), 0U);
  const Storage scaled = Storage().with_scalar("k_scale");
  const LinearShape shape = LinearShape::matrix(128, 64, kBf16);
  EXPECT_EQ(scaled.bytes(shape).value(), 128U * 64 * 2 + 4);
  EXPECT_EQ(scaled.part(1, "a.k_proj.weight", shape).name, "a.k_proj.k_scale");
}

} // namespace
} // namespace plimsoll
