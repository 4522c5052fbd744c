// Arithmetic of storage formats: parts times dims. The formats themselves are data, in storage_formats.cpp.
// Called through storage.hpp; never reads a configuration. Threads: pure functions.
#include "storage/storage.hpp"

#include <algorithm>
#include <utility>

namespace plimsoll {
namespace {

// The sizes of one shape that extents refer to.
struct Axes {
  Checked out = 1;
  Checked in = 1;
  Checked lead = 1; // product of the leading dims: experts
};

Axes axes_of(const LinearShape& shape) {
  Axes axes;
  for (std::size_t i = 0; i < shape.rank; ++i) {
    if (i == shape.out_dim) axes.out = shape.dims[i];
    else if (i == shape.in_dim) axes.in = shape.dims[i];
    else axes.lead *= shape.dims[i];
  }
  return axes;
}

// See Extent; overflow kept.
Checked extent_of(const Extent& extent, const Axes& axes) {
  Checked value = 1;
  if (extent.axis == Extent::Axis::kOut) value = axes.out;
  if (extent.axis == Extent::Axis::kIn) value = axes.in;
  if (extent.axis == Extent::Axis::kMatrix) value = axes.out * axes.in;
  if (extent.whole_blocks) return value.overflowed() ? value : Checked(ceil_div(value.value(), extent.divide)) * extent.times;
  value *= extent.times;
  return value.overflowed() || extent.divide <= 1 ? value : Checked(ceil_div(value.value(), extent.divide));
}

Checked part_bytes(const StoragePart& part, const LinearShape& shape, const Axes& axes) {
  Checked elements = axes.lead;
  if (part.declared_order) elements *= extent_of(part.out, axes) * extent_of(part.in, axes);
  else
    for (std::size_t i = 0; i < part.extent_count; ++i) elements *= extent_of(part.extents[i], axes);
  return (part.dtype ? *part.dtype : shape.base).bytes(elements);
}

// A vector or a scalar is never quantised: its only part.
const std::vector<StoragePart>& plain_parts() {
  static const std::vector<StoragePart> parts{StoragePart{"weight", "", {}, true, {Extent::Axis::kOut}, {Extent::Axis::kIn}, {}, 0}};
  return parts;
}

} // namespace

LinearShape LinearShape::matrix(std::uint64_t out, std::uint64_t in, const Dtype& base) {
  const std::array dims{out, in};
  return of(dims, base);
}

LinearShape LinearShape::packed(std::uint64_t experts, std::uint64_t out, std::uint64_t in, const Dtype& base) {
  const std::array dims{experts, out, in};
  return of(dims, base);
}

LinearShape LinearShape::packed_in_out(std::uint64_t experts, std::uint64_t in, std::uint64_t out, const Dtype& base) {
  const std::array dims{experts, in, out};
  LinearShape shape = of(dims, base);
  std::swap(shape.out_dim, shape.in_dim);
  return shape;
}

LinearShape LinearShape::of(std::span<const std::uint64_t> dims, const Dtype& base) {
  LinearShape shape;
  shape.base = base;
  shape.rank = static_cast<std::uint8_t>(std::min(dims.size(), kMaxTensorDims));
  std::copy_n(dims.begin(), shape.rank, shape.dims.begin());
  for (std::size_t i = kMaxTensorDims; i < dims.size(); ++i) shape.dims.back() = (Checked(shape.dims.back()) * dims[i]).saturated();
  shape.out_dim = shape.rank >= 2 ? static_cast<std::uint8_t>(shape.rank - 2) : std::uint8_t{0};
  shape.in_dim = static_cast<std::uint8_t>(shape.out_dim + 1);
  return shape;
}

Checked LinearShape::elements() const {
  Checked product = 1;
  for (const std::uint64_t dim : extents()) product *= dim;
  return product;
}

Storage::Storage() : name_("plain"), parts_(plain_parts()) {}

Storage::Storage(std::string name, std::vector<StoragePart> parts, std::uint32_t weight_bits)
    : name_(std::move(name)), parts_(std::move(parts)), weight_bits_(weight_bits), plain_(false),
      fp4_(name_.starts_with("mxfp4") || name_.starts_with("nvfp4")),
      exact_(!name_.starts_with("bnb_nf4") && !name_.starts_with("bnb_fp4")) {}

Storage Storage::own(std::string name, std::vector<StoragePart> parts, std::uint32_t weight_bits) {
  Storage storage;
  storage.name_ = std::move(name);
  storage.parts_ = std::move(parts);
  storage.weight_bits_ = weight_bits;
  storage.plain_ = false;
  return storage;
}

const std::vector<StoragePart>& Storage::parts_for(const LinearShape& shape) const { return shape.rank < 2 ? plain_parts() : parts_; }

std::uint32_t Storage::element_bytes(const Dtype& base) const {
  const Dtype& type = parts_.front().dtype ? *parts_.front().dtype : base;
  return std::max(1U, type.block_bytes / std::max(1U, type.block_elements));
}

Checked Storage::bytes(const LinearShape& shape) const {
  const Axes axes = axes_of(shape);
  Checked sum = 0;
  for (const StoragePart& part : parts_for(shape)) sum += part_bytes(part, shape, axes);
  return sum;
}

Checked Storage::scalar_bytes(const Dtype& base) const {
  Checked sum = 0;
  for (const StoragePart& part : parts_) {
    if (part.declared_order) continue;
    const auto end = part.extents.begin() + part.extent_count;
    if (std::any_of(part.extents.begin(), end, [](const Extent& e) { return e.axis != Extent::Axis::kOne; })) continue;
    sum += part_bytes(part, LinearShape::matrix(1, 1, base), Axes{});
  }
  return sum;
}

Storage Storage::with_scalar(std::string_view suffix) const {
  Storage storage = *this;
  storage.name_ += "_" + std::string(suffix);
  storage.parts_.push_back({suffix, suffix, find_dtype("float32"), false, {}, {}, {}, 0});
  storage.plain_ = false;
  return storage;
}

Storage Storage::unpacked(const Unpacking& how) const {
  Storage storage = *this;
  storage.unpacking_ = how;
  return storage;
}

std::size_t Storage::part_count(const LinearShape& shape) const { return parts_for(shape).size(); }

Storage::Tensor Storage::part(std::size_t index, std::string_view class_name, const LinearShape& shape) const {
  const StoragePart& part = parts_for(shape)[index];
  const Axes axes = axes_of(shape);
  Tensor tensor;
  tensor.dtype = part.dtype ? *part.dtype : shape.base;
  const auto push = [&](Checked extent) { tensor.dims[tensor.rank++] = extent.saturated(); };
  for (std::size_t i = 0; i < shape.rank; ++i) {
    const bool matrix_dim = i == shape.out_dim || i == shape.in_dim;
    if (!matrix_dim) push(shape.dims[i]);
    else if (part.declared_order) push(extent_of(i == shape.out_dim ? part.out : part.in, axes));
  }
  if (!part.declared_order)
    for (std::size_t i = 0; i < part.extent_count; ++i) push(extent_of(part.extents[i], axes));

  constexpr std::string_view kWeight = ".weight";
  if (class_name.ends_with(kWeight)) {
    tensor.name.assign(class_name.substr(0, class_name.size() - kWeight.size() + 1)).append(part.weight_suffix);
  } else tensor.name.assign(class_name).append(part.packed_suffix);
  return tensor;
}

void Storage::tensors(std::string_view class_name, const LinearShape& shape, const TensorVisitor& visit) const {
  for (std::size_t i = 0; i < part_count(shape); ++i) {
    const Tensor tensor = part(i, class_name, shape);
    visit(tensor.name, tensor.dtype, {tensor.dims.data(), tensor.rank});
  }
}

} // namespace plimsoll
