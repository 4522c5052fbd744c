// plimsoll/tensor.hpp - a piece of memory with a type and a shape, as models take and give it. Whoever steps a model reads and makes them.
// A handle, like std::shared_ptr: copies name the same memory, which lives as long as one of them. Its bytes come from whoever made it:
// an arena's buffer that the plan counts, or memory of the host's own (zeros). Never copies elements by itself. Threads: as
// std::shared_ptr.
//
//   const Tensor tokens = Tensor::zeros({1, 2, 3}, ElementType::kInt64).value();
//   std::span<std::int64_t> values = tokens.values<std::int64_t>().value();
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "plimsoll/arena.hpp"
#include "plimsoll/element_type.hpp"
#include "plimsoll/export.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// The element types that C++ has; others (bfloat16, float16) are read as bytes.
template <class T>
inline constexpr std::optional<ElementType> kElementTypeOf = std::nullopt;
template <>
inline constexpr std::optional<ElementType> kElementTypeOf<float> = ElementType::kFloat32;
template <>
inline constexpr std::optional<ElementType> kElementTypeOf<double> = ElementType::kFloat64;
template <>
inline constexpr std::optional<ElementType> kElementTypeOf<std::int64_t> = ElementType::kInt64;
template <>
inline constexpr std::optional<ElementType> kElementTypeOf<std::int32_t> = ElementType::kInt32;
template <>
inline constexpr std::optional<ElementType> kElementTypeOf<std::uint32_t> = ElementType::kUint32;
template <>
inline constexpr std::optional<ElementType> kElementTypeOf<std::uint8_t> = ElementType::kUint8;

inline constexpr std::size_t kMaxDimensions = 6;

class PLIMSOLL_API Tensor {
public:
  // No memory, no elements: an input that is absent.
  Tensor() = default;
  // Memory of its own on the host, zero-filled. kBadRequest for more than kMaxDimensions or more bytes than there can be.
  static Result<Tensor> zeros(std::span<const std::uint64_t> shape, ElementType type);
  static Result<Tensor> zeros(std::initializer_list<std::uint64_t> shape, ElementType type);
  // The beginning of memory that somebody else has: `owner` (may be null) is kept as long as this or a copy of it lives. `on_host`:
  // whether the processor can read it. kBadRequest where the shape needs more bytes than there are or `memory` is not aligned for the type.
  static Result<Tensor> view(std::span<std::byte> memory, std::span<const std::uint64_t> shape, ElementType type,
                             std::shared_ptr<const void> owner = nullptr, bool on_host = true);

  // The memory of an arena, which gets it back with the last copy. Empty for a buffer without memory.
  static Tensor of(Buffer buffer, bool on_host = true);

  // The beginning of the same memory in another shape. kBadRequest where that needs more.
  Result<Tensor> first(std::span<const std::uint64_t> shape) const;
  Result<Tensor> first(std::initializer_list<std::uint64_t> shape) const;

  bool empty() const { return data_ == nullptr; }
  ElementType type() const { return type_; }
  std::span<const std::uint64_t> shape() const { return {shape_.data(), dimensions_}; }
  std::uint64_t elements() const { return elements_; } // 0 where empty
  std::uint64_t bytes() const { return elements_ * element_bytes(type_); }
  bool on_host() const { return on_host_; }
  std::byte* data() const { return data_; }

  // The elements. kBadRequest where they are of another type or where the processor cannot read them. Valid as long as the memory.
  template <class T>
  Result<std::span<T>> values() const {
    static_assert(kElementTypeOf<T>.has_value(), "an element type of tensors");
    PLIMSOLL_TRY(expect(*kElementTypeOf<T>));
    return std::span<T>(static_cast<T*>(static_cast<void*>(data_)), elements_);
  }

  // "int64 [1, 2, 3]".
  std::string description() const;
  // Whether both are the same memory, seen alike; never compares elements.
  friend PLIMSOLL_API bool operator==(const Tensor& a, const Tensor& b) noexcept;

private:
  Result<void> expect(ElementType type) const;

  std::shared_ptr<const void> owner_;
  std::byte* data_ = nullptr;
  std::uint64_t elements_ = 0;
  std::array<std::uint64_t, kMaxDimensions> shape_{};
  std::uint8_t dimensions_ = 0;
  ElementType type_ = ElementType::kUint8;
  bool on_host_ = true;
};

} // namespace plimsoll
