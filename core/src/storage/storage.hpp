// How a checkpoint stores one linear layer: which tensors, of which type and shape, for each quantisation format.
// What a
// configuration asks for is storage/quantization.hpp; this file never reads one. Threads: plain values, pure functions.
//
// Layouts: the file formats of the exporters (DeepSeek's block fp8, compressed-tensors, modelopt, AutoGPTQ, AutoAWQ,
// bitsandbytes, transformers' MXFP4), as model cards and tensor headers show them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/checked.hpp"
#include "base/dtype.hpp"
#include "plimsoll/unpacking.hpp"

namespace plimsoll {

inline constexpr std::size_t kMaxTensorDims = 8;
inline constexpr std::int64_t kMaxBlockExtent = 1 << 20; // inputs or outputs per scale; the largest seen is 128

// One weight as its class declares it: unpacked elements, any number of leading dimensions (experts), and which
// dimension is the output and which the input feature. A shard is the same with its local dims.
struct LinearShape {
  std::array<std::uint64_t, kMaxTensorDims> dims{};
  std::uint8_t rank = 0;
  std::uint8_t out_dim = 0;
  std::uint8_t in_dim = 1;
  Dtype base; // the type of what is not quantised, usually the configuration's torch_dtype

  // A linear layer's weight, [out, in].
  static LinearShape matrix(std::uint64_t out, std::uint64_t in, const Dtype& base);
  // `dims` of rank <= kMaxTensorDims (further ones are folded into the last); out_dim and in_dim default to the last two.
  static LinearShape of(std::span<const std::uint64_t> dims, const Dtype& base);
  // [experts, out, in] and, for families that store the transpose, [experts, in, out].
  static LinearShape packed(std::uint64_t experts, std::uint64_t out, std::uint64_t in, const Dtype& base);
  static LinearShape packed_in_out(std::uint64_t experts, std::uint64_t in, std::uint64_t out, const Dtype& base);

  std::span<const std::uint64_t> extents() const { return {dims.data(), rank}; }
  // Logical parameters: the product of the declared dims, scales not counted.
  Checked elements() const;
};

// One dimension of a stored tensor: ceil(axis * times / divide). In whole blocks: ceil(axis / divide) * times, `times` elements for each
// block of `divide`, the last one filled up.
struct Extent {
  enum class Axis : std::uint8_t { kOne, kOut, kIn, kMatrix }; // kMatrix = out * in of one matrix
  Axis axis = Axis::kOne;
  std::uint32_t times = 1;
  std::uint32_t divide = 1;
  bool whole_blocks = false;
};

// One stored tensor of a format.
struct StoragePart {
  // Replaces "weight" in "x.weight" ("x.weight_packed").
  std::string_view weight_suffix;
  // Follows the name of a packed class, "experts.up_proj" ("experts.up_proj_blocks").
  std::string_view packed_suffix;
  std::optional<Dtype> dtype;     // empty: the base type of the shape
  bool declared_order = true;     // out and in stay where the class declared them; otherwise leading dims, then `extents`
  Extent out{Extent::Axis::kOut}; // declared_order only
  Extent in{Extent::Axis::kIn};   // declared_order only
  std::array<Extent, 4> extents{};
  std::uint8_t extent_count = 0;
};

// A format: an immutable list of parts, the first of which is the main weight.
class Storage {
public:
  using TensorVisitor = std::function<void(std::string_view name, const Dtype& dtype, std::span<const std::uint64_t> dims)>;

  // The plain format: one tensor of the base type.
  Storage();
  // Of a built-in name, which says whether the elements are 4-bit floats.
  Storage(std::string name, std::vector<StoragePart> parts, std::uint32_t weight_bits);
  // Of a plugin's own, whose name says nothing.
  static Storage own(std::string name, std::vector<StoragePart> parts, std::uint32_t weight_bits);

  // "plain", "fp8_block_128x128", "gptq_int4_g128".
  const std::string& name() const { return name_; }
  bool is_plain() const { return plain_; }
  // Bits of one weight without scales; 0 for plain: whatever the base type has.
  std::uint32_t weight_bits() const { return weight_bits_; }
  // 4-bit floats (MXFP4, NVFP4): engines account these like a byte type with two values.
  bool is_fp4() const { return fp4_; }
  // False where a part's length depends on what its exporter wrote (bitsandbytes' JSON state, off by a few bytes).
  bool exact() const { return exact_; }
  // Bytes of one element of the main tensor as stored: 1 for fp8 and packed bytes, 4 for packed int32, 2 for bfloat16.
  std::uint32_t element_bytes(const Dtype& base) const;

  // Bytes of all tensors, blocks rounded up, overflow kept. DeepSeek-V3's q_b_proj, [24576, 1536] in fp8_block_128x128:
  // 24576 * 1536 + 192 * 12 * 4 = 37,757,952.
  Checked bytes(const LinearShape& shape) const;
  // Bytes of the parts whose size no shape changes: scalars of one linear layer.
  Checked scalar_bytes(const Dtype& base) const;
  // This format with a float32 scalar beside it ("k_scale").
  Storage with_scalar(std::string_view suffix) const;
  // Logical parameters: the product of the declared dims.
  static Checked parameters(const LinearShape& shape) { return shape.elements(); }
  // The same, and how its numbers become float32.
  Storage unpacked(const Unpacking& how) const;
  // Nothing where no loader here knows: whoever runs such a model is refused.
  const std::optional<Unpacking>& unpacking() const { return unpacking_; }
  // Calls `visit` for each stored tensor. `class_name` is the class's own name or pattern ("...up_proj.weight", or
  // "...experts.up_proj" for packed classes); the name handed out is valid during the call only.
  void tensors(std::string_view class_name, const LinearShape& shape, const TensorVisitor& visit) const;
  // One part's stored name, type and dims (0-d: rank 0); an extent that overflows is UINT64_MAX.
  struct Tensor {
    std::string name;
    Dtype dtype;
    std::array<std::uint64_t, kMaxTensorDims + 4> dims{};
    std::uint8_t rank = 0;
  };
  std::size_t part_count(const LinearShape& shape) const;
  Tensor part(std::size_t index, std::string_view class_name, const LinearShape& shape) const;

private:
  const std::vector<StoragePart>& parts_for(const LinearShape& shape) const;

  std::string name_;
  std::vector<StoragePart> parts_;
  std::uint32_t weight_bits_ = 0;
  bool plain_ = true;
  bool fp4_ = false;
  bool exact_ = true;
  std::optional<Unpacking> unpacking_;
};

} // namespace plimsoll
