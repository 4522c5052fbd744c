// plimsoll/element_type.hpp - types of elements that the runtime keeps in memory and computes with. Threads: constants.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace plimsoll {

enum class ElementType : std::uint8_t { kFloat32, kFloat64, kBfloat16, kFloat16, kInt32, kInt64, kUint32, kUint8 };

constexpr std::uint64_t element_bytes(ElementType type) noexcept {
  switch (type) {
  case ElementType::kFloat64:
  case ElementType::kInt64: return 8;
  case ElementType::kFloat32:
  case ElementType::kInt32:
  case ElementType::kUint32: return 4;
  case ElementType::kBfloat16:
  case ElementType::kFloat16: return 2;
  case ElementType::kUint8: break;
  }
  return 1;
}

// As plans and documents spell it: "float32".
constexpr std::string_view element_type_name(ElementType type) noexcept {
  switch (type) {
  case ElementType::kFloat32: return "float32";
  case ElementType::kFloat64: return "float64";
  case ElementType::kBfloat16: return "bfloat16";
  case ElementType::kFloat16: return "float16";
  case ElementType::kInt32: return "int32";
  case ElementType::kInt64: return "int64";
  case ElementType::kUint32: return "uint32";
  case ElementType::kUint8: break;
  }
  return "uint8";
}

// The type of that name; empty where the runtime has none.
constexpr std::optional<ElementType> find_element_type(std::string_view name) noexcept {
  constexpr std::array kTypes{ElementType::kFloat32, ElementType::kFloat64, ElementType::kBfloat16, ElementType::kFloat16,
                              ElementType::kInt32,   ElementType::kInt64,   ElementType::kUint32,   ElementType::kUint8};
  for (const ElementType type : kTypes)
    if (element_type_name(type) == name) return type;
  return std::nullopt;
}

} // namespace plimsoll
