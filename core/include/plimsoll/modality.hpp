// plimsoll/modality.hpp - what a request may bring beside text. Threads: constants.
#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll {

enum class Modality : std::uint8_t { kImage, kVideo, kAudio };
constexpr std::string_view modality_name(Modality modality) noexcept {
  switch (modality) {
  case Modality::kImage: return "image";
  case Modality::kVideo: return "video";
  case Modality::kAudio: return "audio";
  }
  return "image";
}

} // namespace plimsoll
