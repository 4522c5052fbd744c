#include "plimsoll/tensor.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <new>
#include <stdexcept>
#include <vector>

#include "base/checked.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

std::string describe(std::span<const std::uint64_t> shape, ElementType type) {
  return fmt::format("{} [{}]", element_type_name(type), fmt::join(shape, ", "));
}

Result<std::uint64_t> elements_of(std::span<const std::uint64_t> shape, ElementType type) {
  if (shape.size() > kMaxDimensions)
    return fail(ErrorCode::kBadRequest, fmt::format("a tensor of {} dimensions; at most {} are possible", shape.size(), kMaxDimensions));
  Checked elements = 1;
  for (const std::uint64_t extent : shape) elements = elements * extent;
  const std::uint64_t bytes = (elements * element_bytes(type)).saturated();
  if (bytes > kMaxBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("a tensor {} has more bytes than there can be", describe(shape, type)));
  return elements.saturated();
}

} // namespace

Result<Tensor> Tensor::zeros(std::span<const std::uint64_t> shape, ElementType type) {
  PLIMSOLL_ASSIGN(const std::uint64_t elements, elements_of(shape, type));
  const std::uint64_t bytes = elements * element_bytes(type);
  try {
    // Words, so that it is aligned for every type; one at least, so that a tensor without elements is still one.
    const auto memory = std::make_shared<std::vector<std::uint64_t>>(bytes / 8 + 1);
    return view(std::as_writable_bytes(std::span(*memory)), shape, type, memory);
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kOutOfMemory, fmt::format("{} B for a tensor {} were refused", bytes, describe(shape, type)));
  } catch (const std::length_error&) {
    return fail(ErrorCode::kOutOfMemory, fmt::format("{} B for a tensor {} were refused", bytes, describe(shape, type)));
  }
}

Result<Tensor> Tensor::zeros(std::initializer_list<std::uint64_t> shape, ElementType type) {
  return zeros(std::span(shape.begin(), shape.size()), type);
}

Result<Tensor> Tensor::view(std::span<std::byte> memory, std::span<const std::uint64_t> shape, ElementType type,
                            std::shared_ptr<const void> owner, bool on_host) {
  PLIMSOLL_ASSIGN(const std::uint64_t elements, elements_of(shape, type));
  const std::uint64_t bytes = elements * element_bytes(type);
  if (memory.data() == nullptr || bytes > memory.size())
    return fail(ErrorCode::kBadRequest, fmt::format("a tensor {} needs {} B; there are {}", describe(shape, type), bytes, memory.size()));
  if (std::bit_cast<std::uintptr_t>(memory.data()) % element_bytes(type) != 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("memory for a tensor {} is not aligned to {} B", describe(shape, type), element_bytes(type)));
  Tensor tensor;
  tensor.owner_ = std::move(owner);
  tensor.data_ = memory.data();
  tensor.elements_ = elements;
  std::copy(shape.begin(), shape.end(), tensor.shape_.begin());
  tensor.dimensions_ = static_cast<std::uint8_t>(shape.size());
  tensor.type_ = type;
  tensor.on_host_ = on_host;
  return tensor;
}

Tensor Tensor::of(Buffer buffer, bool on_host) {
  const auto owner = std::make_shared<Buffer>(std::move(buffer));
  const std::span memory(static_cast<std::byte*>(owner->data()), owner->bytes());
  return view(memory, owner->shape(), owner->type(), owner, on_host).value_or(Tensor());
}

Result<Tensor> Tensor::first(std::span<const std::uint64_t> shape) const {
  return view(std::span(data_, bytes()), shape, type_, owner_, on_host_);
}

Result<Tensor> Tensor::first(std::initializer_list<std::uint64_t> shape) const { return first(std::span(shape.begin(), shape.size())); }

std::string Tensor::description() const { return empty() ? "no tensor" : describe(shape(), type_); }

Result<void> Tensor::expect(ElementType type) const {
  if (type_ != type) return fail(ErrorCode::kBadRequest, fmt::format("expected {}, got {}", element_type_name(type), description()));
  if (empty()) return fail(ErrorCode::kBadRequest, fmt::format("expected {}, got no tensor", element_type_name(type)));
  if (!on_host_) return fail(ErrorCode::kBadRequest, fmt::format("{} lies on a device; copy it to the host to read it", description()));
  return {};
}

bool operator==(const Tensor& a, const Tensor& b) noexcept {
  return a.data_ == b.data_ && a.type_ == b.type_ && a.dimensions_ == b.dimensions_ && a.shape_ == b.shape_;
}

} // namespace plimsoll
