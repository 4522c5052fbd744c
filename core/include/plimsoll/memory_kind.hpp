// plimsoll/memory_kind.hpp - which memory bytes are in: a device's, or the host's. Threads: constants.
#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll {

enum class MemoryKind : std::uint8_t { kDevice, kHost };
constexpr std::string_view memory_kind_name(MemoryKind kind) noexcept { return kind == MemoryKind::kHost ? "host" : "device"; }

} // namespace plimsoll
