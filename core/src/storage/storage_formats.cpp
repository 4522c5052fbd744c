// The table of storage formats: each maker lists the tensors of one linear layer as its exporter writes them.
// No arithmetic here (storage.cpp). Threads: pure.
//
// Sources: tensor headers and quantisation code of the exporters (transformers FP8 and MXFP4 integrations,
// compressed-tensors 0.9+, modelopt 0.22+, AutoGPTQ 0.7, AutoAWQ 0.2, bitsandbytes 0.43, mlx-lm 0.24, quark 0.8, torchao 0.9, HQQ 0.2,
// AQLM 1.1, ExLlamaV3 0.0.4, quanto 0.2). Of quark, torchao and HQQ scales are taken in the widest type that they are written in.
#include "storage/storage_formats.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace plimsoll::formats {
namespace {

using Axis = Extent::Axis;

Dtype type(std::string_view name) { return find_dtype(name).value_or(Dtype{}); }
const Dtype& f32() {
  static const Dtype t = type("float32");
  return t;
}
const Dtype& f16() {
  static const Dtype t = type("float16");
  return t;
}
const Dtype& f8() {
  static const Dtype t = type("float8_e4m3fn");
  return t;
}
const Dtype& e8m0() {
  static const Dtype t = type("float8_e8m0fnu");
  return t;
}
const Dtype& u8() {
  static const Dtype t = type("uint8");
  return t;
}
const Dtype& i8() {
  static const Dtype t = type("int8");
  return t;
}
const Dtype& i32() {
  static const Dtype t = type("int32");
  return t;
}
constexpr std::nullopt_t kBase = std::nullopt;

constexpr Extent out(std::uint32_t divide = 1, std::uint32_t times = 1) { return {Axis::kOut, times, divide}; }
constexpr Extent in(std::uint32_t divide = 1, std::uint32_t times = 1) { return {Axis::kIn, times, divide}; }
constexpr Extent matrix(std::uint32_t divide = 1) { return {Axis::kMatrix, 1, divide}; }
constexpr Extent fixed(std::uint32_t n) { return {Axis::kOne, n, 1}; }
// `extent` per group of inputs; group 0: one group.
constexpr Extent groups(std::uint32_t group) { return group == 0 ? fixed(1) : in(group); }

struct Names {
  std::string_view weight, packed;
};

// out and in stay where the class declares them.
StoragePart as_declared(Names names, std::optional<Dtype> dtype, Extent o = out(), Extent i = in()) {
  return {names.weight, names.packed, dtype, true, o, i, {}, 0};
}

// Dims of its own, after the leading ones.
StoragePart own(Names names, std::optional<Dtype> dtype, std::initializer_list<Extent> extents = {}) {
  StoragePart part{names.weight, names.packed, dtype, false, {}, {}, {}, static_cast<std::uint8_t>(extents.size())};
  std::copy(extents.begin(), extents.end(), part.extents.begin());
  return part;
}

// How the numbers of each format are unpacked. Blocks of 0 are all of that dimension.
Unpacking float8(std::uint32_t block_out, std::uint32_t block_in, bool exponents = false) {
  Unpacking how;
  how.block_out = block_out;
  how.block_in = block_in;
  how.exponents = exponents;
  return how;
}
// Two in a byte, with exponents for 32 inputs, or with numbers of 8 bits and one for the whole matrix.
Unpacking float4(std::uint32_t group, Unpacking::Second second) {
  Unpacking how = float8(1, group, second == Unpacking::Second::kNone);
  how.element = Unpacking::Element::kFloat4;
  how.bits = 4;
  how.second = second;
  return how;
}
Unpacking integers(std::uint32_t bits, Unpacking::Order order, Unpacking::Zero zero, std::uint32_t block_out, std::uint32_t block_in,
                   Unpacking::Index index) {
  Unpacking how = float8(block_out, block_in);
  how.element = Unpacking::Element::kInteger;
  how.bits = static_cast<std::uint8_t>(bits);
  how.order = order;
  how.zero = zero;
  how.index = index;
  return how;
}

constexpr Names kWeight{"weight", ""};
constexpr Names kWeightScale{"weight_scale", "_weight_scale"};
constexpr Names kWeightScale2{"weight_scale_2", "_weight_scale_2"};
constexpr Names kInputScale{"input_scale", "_input_scale"};
constexpr Names kPreQuantScale{"pre_quant_scale", "_pre_quant_scale"};

// compressed-tensors' scale (or zero point) of a scheme.
StoragePart ct_per_scale(Names names, std::optional<Dtype> dtype, const Scheme& s) {
  switch (s.strategy) {
  case Strategy::kTensor: return own(names, dtype, {fixed(1)});
  case Strategy::kChannel: return as_declared(names, dtype, out(), fixed(1));
  case Strategy::kGroup: return as_declared(names, dtype, out(), groups(s.group));
  case Strategy::kBlock: break;
  }
  return as_declared(names, dtype, out(s.block_out), in(s.block_in));
}

std::string ct_scale_name(const Scheme& s) {
  switch (s.strategy) {
  case Strategy::kTensor: return "tensor";
  case Strategy::kChannel: return "channel";
  case Strategy::kGroup: return s.group == 0 ? "channel" : fmt::format("g{}", s.group);
  case Strategy::kBlock: break;
  }
  return fmt::format("block_{}x{}", s.block_out, s.block_in);
}

std::string ct_name(std::string_view kind, const Scheme& s) {
  return fmt::format("{}_{}{}{}{}{}", kind, ct_scale_name(s), s.symmetric ? "" : "_zp", s.group_index ? "_g_idx" : "",
                     s.static_input ? "_static" : "", s.wide_shape ? "_wide" : "");
}

// Outputs and inputs of one scale of a scheme.
std::pair<std::uint32_t, std::uint32_t> ct_block(const Scheme& s) {
  switch (s.strategy) {
  case Strategy::kTensor: return {0, 0};
  case Strategy::kChannel: return {1, 0};
  case Strategy::kGroup: return {1, s.group};
  case Strategy::kBlock: break;
  }
  return {s.block_out, s.block_in};
}

Unpacking ct_integers(const Scheme& s) {
  const auto [out, in] = ct_block(s);
  using Index = Unpacking::Index;
  return integers(s.bits, Unpacking::Order::kByOutput, s.symmetric ? Unpacking::Zero::kNone : Unpacking::Zero::kStored, out, in,
                  s.group_index ? Index::kMust : Index::kMayBe);
}

Storage ct_bytes(std::string_view kind, const Dtype& element, const Scheme& s) {
  std::vector<StoragePart> parts{as_declared(kWeight, element), ct_per_scale(kWeightScale, kBase, s)};
  if (!s.symmetric) parts.push_back(ct_per_scale({"weight_zero_point", "_weight_zero_point"}, element, s));
  if (s.static_input) parts.push_back(own(kInputScale, kBase, {fixed(1)}));
  const Storage storage(ct_name(kind, s), std::move(parts), 8);
  const auto [block_out, block_in] = ct_block(s);
  if (element == i8()) return storage.unpacked(ct_integers(s));
  return s.symmetric ? storage.unpacked(float8(block_out, block_in)) : storage;
}

std::string group_name(std::uint32_t group) { return group == 0 ? "channel" : fmt::format("g{}", group); }

} // namespace

Storage fp8_block(std::uint32_t block_out, std::uint32_t block_in) {
  return Storage(fmt::format("fp8_block_{}x{}", block_out, block_in),
                 {as_declared(kWeight, f8()), as_declared({"weight_scale_inv", "_scale_inv"}, f32(), out(block_out), in(block_in))}, 8)
      .unpacked(float8(block_out, block_in));
}

Storage fp8_block_e8m0(std::uint32_t block_out, std::uint32_t block_in) {
  return {fmt::format("fp8_block_e8m0_{}x{}", block_out, block_in),
          {as_declared(kWeight, f8()), as_declared({"scale", "_scale"}, e8m0(), out(block_out), in(block_in))},
          8};
}

Storage mxfp4_scale() {
  return {"mxfp4_scale", {as_declared(kWeight, i8(), out(), in(2)), as_declared({"scale", "_scale"}, e8m0(), out(), in(32))}, 4};
}

Storage fp8_tensor(bool static_input) {
  std::vector<StoragePart> parts{as_declared(kWeight, f8()), own(kWeightScale, f32())};
  if (static_input) parts.push_back(own(kInputScale, f32()));
  return Storage(static_input ? "fp8_tensor_static" : "fp8_tensor", std::move(parts), 8).unpacked(float8(0, 0));
}

Storage fp8_fbgemm() {
  return Storage("fp8_fbgemm",
                 {as_declared(kWeight, f8()), as_declared(kWeightScale, f32(), out(), fixed(1)),
                  own({"input_scale_ub", "_input_scale_ub"}, f32(), {fixed(1)})},
                 8)
      .unpacked(float8(1, 0));
}

Storage fp8_row() { return Storage("fp8_row", {as_declared(kWeight, f8()), own(kWeightScale, f32(), {out()})}, 8).unpacked(float8(1, 0)); }

Storage fp8_modelopt_block() {
  return Storage("fp8_modelopt_block", {as_declared(kWeight, f8()), own(kWeightScale, f32(), {out(128), fixed(1), in(128), fixed(1)})}, 8)
      .unpacked(float8(128, 128));
}

Storage mxfp4_blocks() {
  return Storage("mxfp4",
                 {own({"weight_blocks", "_blocks"}, u8(), {out(), in(32), fixed(16)}),
                  own({"weight_scales", "_scales"}, u8(), {out(), in(32)})},
                 4)
      .unpacked(float4(32, Unpacking::Second::kNone));
}

Storage mxfp4() {
  return Storage("mxfp4_linear", {as_declared(kWeight, u8(), out(), in(2)), as_declared(kWeightScale, u8(), out(), in(32))}, 4)
      .unpacked(float4(32, Unpacking::Second::kNone));
}

Storage mxfp8() {
  return Storage("mxfp8", {as_declared(kWeight, f8()), as_declared(kWeightScale, u8(), out(), in(32))}, 8).unpacked(float8(1, 32, true));
}

Storage nvfp4(std::uint32_t group, bool input_scale, bool pre_quant_scale) {
  std::vector<StoragePart> parts{as_declared(kWeight, u8(), out(), in(2)), as_declared(kWeightScale, f8(), out(), groups(group)),
                                 own(kWeightScale2, f32())};
  if (input_scale) parts.push_back(own(kInputScale, f32()));
  if (pre_quant_scale) parts.push_back(own(kPreQuantScale, kBase, {in()}));
  const Storage storage(
      fmt::format("nvfp4{}{}{}", input_scale ? "" : "_w4a16", pre_quant_scale ? "_awq" : "", group == 16 ? "" : "_" + group_name(group)),
      std::move(parts), 4);
  // A factor of the inputs is another forward pass.
  return pre_quant_scale ? storage : storage.unpacked(float4(group, Unpacking::Second::kTimes));
}

Storage int4_modelopt(std::uint32_t group, bool input_scale) {
  std::vector<StoragePart> parts{as_declared(kWeight, u8(), out(2), in()), as_declared(kWeightScale, kBase, out(), groups(group)),
                                 own(kPreQuantScale, kBase, {in()})};
  if (input_scale) {
    parts.push_back(own(kWeightScale2, f32()));
    parts.push_back(own(kInputScale, f32()));
  }
  return {fmt::format("int4_modelopt{}_{}", input_scale ? "_w4a8" : "", group_name(group)), std::move(parts), 4};
}

Storage ct_packed_int(const Scheme& s) {
  std::vector<StoragePart> parts{as_declared({"weight_packed", "_packed"}, i32(), out(), in(32, s.bits)),
                                 ct_per_scale({"weight_scale", "_scale"}, kBase, s),
                                 own({"weight_shape", "_shape"}, s.wide_shape ? type("int64") : i32(), {fixed(2)})};
  if (!s.symmetric) {
    // Zero points are packed along the outputs.
    parts.push_back(as_declared({"weight_zero_point", "_zero_point"}, i32(), out(32, s.bits),
                                s.strategy == Strategy::kGroup ? groups(s.group) : fixed(1)));
  }
  if (s.group_index) parts.push_back(own({"weight_g_idx", "_g_idx"}, i32(), {in()}));
  const Storage storage(ct_name(fmt::format("int{}", s.bits), s), std::move(parts), s.bits);
  const bool zeros_are_known = s.symmetric || s.strategy == Strategy::kGroup || s.strategy == Strategy::kChannel;
  return zeros_are_known ? storage.unpacked(ct_integers(s)) : storage;
}

Storage ct_int(const Scheme& s) { return ct_bytes("int8_bytes", i8(), s); }
Storage ct_float(const Scheme& s) { return ct_bytes("fp8_ct", f8(), s); }

Storage ct_nvfp4(std::uint32_t group, bool input_scale) {
  std::vector<StoragePart> parts{as_declared({"weight_packed", "_packed"}, u8(), out(), in(2)),
                                 as_declared({"weight_scale", "_scale"}, f8(), out(), groups(group)),
                                 own({"weight_global_scale", "_global_scale"}, f32(), {fixed(1)})};
  if (input_scale) parts.push_back(own({"input_global_scale", "_input_global_scale"}, f32(), {fixed(1)}));
  return Storage(fmt::format("nvfp4_packed{}{}", input_scale ? "" : "_w4a16", group == 16 ? "" : "_" + group_name(group)), std::move(parts),
                 4)
      .unpacked(float4(group, Unpacking::Second::kDivides));
}

Storage ct_mxfp4() {
  return Storage(
             "mxfp4_packed",
             {as_declared({"weight_packed", "_packed"}, u8(), out(), in(2)), as_declared({"weight_scale", "_scale"}, u8(), out(), in(32))},
             4)
      .unpacked(float4(32, Unpacking::Second::kNone));
}

Storage gptq(std::uint32_t bits, std::uint32_t group, GptqZeros zeros, bool reordered) {
  const Storage storage(fmt::format("gptq_int{}_{}", bits, group_name(group)),
                        {own({"qweight", "_qweight"}, i32(), {in(32, bits), out()}),
                         own({"qzeros", "_qzeros"}, i32(), {groups(group), out(32, bits)}),
                         own({"scales", "_scales"}, f16(), {groups(group), out()}), own({"g_idx", "_g_idx"}, i32(), {in()})},
                        bits);
  if (bits == 3 || zeros == GptqZeros::kUnknown) return storage; // 3 bits go across words
  using Zero = Unpacking::Zero;
  return storage.unpacked(integers(bits, Unpacking::Order::kByInput, zeros == GptqZeros::kLess ? Zero::kStoredLess : Zero::kStored, 1,
                                   group, reordered ? Unpacking::Index::kMust : Unpacking::Index::kMayBe));
}

Storage awq(std::uint32_t bits, std::uint32_t group, bool gemm) {
  const Storage storage(fmt::format("awq_int{}_{}", bits, group_name(group)),
                        {own({"qweight", "_qweight"}, i32(), {in(), out(32, bits)}),
                         own({"qzeros", "_qzeros"}, i32(), {groups(group), out(32, bits)}),
                         own({"scales", "_scales"}, f16(), {groups(group), out()})},
                        bits);
  if (bits != 4 || !gemm) return storage; // its order is one of 4 bits, and of one of its kernels
  return storage.unpacked(integers(bits, Unpacking::Order::kByInputOutputs, Unpacking::Zero::kStored, 1, group, Unpacking::Index::kNone));
}

namespace {

// How an exporter stores what grouped() makes. No zero point where `zero` has no name.
struct GroupedKind {
  std::string_view name;
  std::uint32_t bits;
  const Dtype& (*scale)(); // nullptr: the base type
  Names weight, scales, zero;
};
constexpr Names kNone{"", ""};
constexpr Names kHqq[]{{"W_q", "_W_q"}, {"scale", "_scale"}, {"zero", "_zero"}};
constexpr Names kQuanto[]{{"weight._data", "._data"}, {"weight._scale", "._scale"}, {"weight._shift", "._shift"}};
constexpr Names kZeroPoint{"weight_zero_point", "_weight_zero_point"};
constexpr std::array kGroupedKinds{
    GroupedKind{"hqq_int1", 1, nullptr, kHqq[0], kHqq[1], kHqq[2]},
    GroupedKind{"hqq_int2", 2, nullptr, kHqq[0], kHqq[1], kHqq[2]},
    GroupedKind{"hqq_int4", 4, nullptr, kHqq[0], kHqq[1], kHqq[2]},
    GroupedKind{"hqq_int8", 8, nullptr, kHqq[0], kHqq[1], kHqq[2]},
    GroupedKind{"quanto_int2", 2, nullptr, kQuanto[0], kQuanto[1], kQuanto[2]},
    GroupedKind{"quanto_int4", 4, nullptr, kQuanto[0], kQuanto[1], kQuanto[2]},
    GroupedKind{"quanto_int8", 8, nullptr, kQuanto[0], kQuanto[1], kNone},
    GroupedKind{"quanto_fp8", 8, nullptr, kQuanto[0], kQuanto[1], kNone},
    GroupedKind{"torchao_int4", 4, nullptr, kWeight, kWeightScale, kZeroPoint},
    GroupedKind{"torchao_int8", 8, f32, kWeight, kWeightScale, kNone},
    GroupedKind{"torchao_intx", 8, f32, kWeight, kWeightScale, kZeroPoint}, // fewer bits, a byte each
    GroupedKind{"torchao_fp8", 8, f32, kWeight, kWeightScale, kNone},
    GroupedKind{"quark_int2", 2, f32, kWeight, kWeightScale, kZeroPoint},
    GroupedKind{"quark_int4", 4, f32, kWeight, kWeightScale, kZeroPoint},
    GroupedKind{"quark_int8", 8, f32, kWeight, kWeightScale, kZeroPoint},
    GroupedKind{"quark_fp6", 6, u8, kWeight, kWeightScale, kNone},
    GroupedKind{"quark_fp8", 8, f32, kWeight, kWeightScale, kNone},
    GroupedKind{"eetq_int8", 8, f16, kWeight, {"weight_scales", "_scales"}, kNone},
    GroupedKind{"experts_int8", 8, f32, kWeight, kWeightScale, kNone},
};

} // namespace

std::optional<Storage> grouped(std::string_view kind, std::uint32_t group) {
  for (const GroupedKind& one : kGroupedKinds) {
    if (one.name != kind) continue;
    const std::optional<Dtype> scale = one.scale == nullptr ? std::optional<Dtype>() : one.scale();
    std::vector<StoragePart> parts{as_declared(one.weight, one.bits == 8 ? i8() : u8(), out(), in(8, one.bits)),
                                   as_declared(one.scales, scale, out(), groups(group))};
    if (!one.zero.weight.empty()) parts.push_back(as_declared(one.zero, scale, out(), groups(group)));
    return Storage(fmt::format("{}_{}", kind, group_name(group)), std::move(parts), one.bits);
  }
  return std::nullopt;
}

std::vector<std::string_view> grouped_kinds() {
  std::vector<std::string_view> names;
  for (const GroupedKind& one : kGroupedKinds) names.push_back(one.name);
  return names;
}

Storage mlx(std::string_view mode, std::uint32_t bits, std::uint32_t group) {
  const bool affine = mode == "affine";
  const std::optional<Dtype> scale = affine ? std::optional<Dtype>() : u8();
  std::vector<StoragePart> parts{as_declared(kWeight, type("uint32"), out(), in(32, bits)),
                                 as_declared({"scales", "_scales"}, scale, out(), groups(group))};
  if (affine) parts.push_back(as_declared({"biases", "_biases"}, scale, out(), groups(group)));
  return {fmt::format("mlx_{}_int{}_{}", mode, bits, group_name(group)), std::move(parts), bits};
}

Storage aqlm(std::uint32_t codebooks, std::uint32_t bits, std::uint32_t in_group, std::uint32_t out_group) {
  return {fmt::format("aqlm_{}x{}_{}x{}", codebooks, bits, out_group, in_group),
          {own({"codes", "_codes"}, bits > 8 ? type("int16") : i8(), {out(out_group), in(in_group), fixed(codebooks)}),
           own({"codebooks", "_codebooks"}, f16(), {fixed(codebooks), fixed(1U << bits), fixed(out_group), fixed(in_group)}),
           own({"scales", "_scales"}, f16(), {out(out_group), fixed(1), fixed(1), fixed(1)})},
          std::max(1U, codebooks * bits / (in_group * out_group))};
}

Storage exl3(std::uint32_t hundredths) {
  // Whole bits of 16 x 16 weights; a mean of several layers ends between.
  return {fmt::format("exl3_{}", hundredths),
          {own({"trellis", "_trellis"}, type("int16"), {{Axis::kMatrix, hundredths, 1600}}), own({"suh", "_suh"}, f16(), {in()}),
           own({"svh", "_svh"}, f16(), {out()}), own({"mcg", "_mcg"}, i32())},
          (hundredths + 99) / 100};
}

Storage bitnet() { return {"bitnet", {as_declared(kWeight, u8(), out(4)), own(kWeightScale, kBase, {fixed(1)})}, 2}; }

Storage bnb_4bit(bool nf4, bool double_quant) {
  // Blocks of 64 weights share one absmax, 256 of these one nested_absmax. The JSON state's length varies by a
  // few bytes with the digits of shape and offset; for a 4096 x 4096 bfloat16 matrix it is 172, without nesting 82.
  std::vector<StoragePart> parts{own(kWeight, u8(), {matrix(2), fixed(1)}),
                                 own({"weight.absmax", ".absmax"}, double_quant ? u8() : f32(), {matrix(64)}),
                                 own({"weight.quant_map", ".quant_map"}, f32(), {fixed(16)})};
  if (double_quant) {
    parts.push_back(own({"weight.nested_absmax", ".nested_absmax"}, f32(), {matrix(64 * 256)}));
    parts.push_back(own({"weight.nested_quant_map", ".nested_quant_map"}, f32(), {fixed(256)}));
  }
  const Names state = nf4 ? Names{"weight.quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__nf4"}
                          : Names{"weight.quant_state.bitsandbytes__fp4", ".quant_state.bitsandbytes__fp4"};
  parts.push_back(own(state, u8(), {fixed(double_quant ? 172 : 82)}));
  return {fmt::format("bnb_{}{}", nf4 ? "nf4" : "fp4", double_quant ? "_double" : ""), std::move(parts), 4};
}

Storage bnb_int8() {
  return {
      "bnb_int8", {as_declared(kWeight, i8()), own({"SCB", "_SCB"}, f32(), {out()}), own({"weight_format", "_weight_format"}, u8())}, 8};
}

} // namespace plimsoll::formats
