// Messages on a stream: each its length in four bytes, then itself. The same at both ends of a channel. Threads: pure functions.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll {

inline std::string framed(std::string_view message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  std::string frame(sizeof size + message.size(), '\0');
  std::memcpy(frame.data(), &size, sizeof size);
  std::memcpy(frame.data() + sizeof size, message.data(), message.size());
  return frame;
}

// How long the first message of what arrived is; nothing before its length is there.
inline std::optional<std::uint32_t> first_length(std::string_view arrived) {
  std::uint32_t size = 0;
  if (arrived.size() < sizeof size) return std::nullopt;
  std::memcpy(&size, arrived.data(), sizeof size);
  return size;
}

// Takes the first message out of what arrived; nothing while it is not all there.
inline std::optional<std::string> take_message(std::string& arrived) {
  const std::optional<std::uint32_t> size = first_length(arrived);
  if (!size || arrived.size() < sizeof *size + *size) return std::nullopt;
  std::string message = arrived.substr(sizeof *size, *size);
  arrived.erase(0, sizeof *size + *size);
  return message;
}

} // namespace plimsoll
