// plimsoll/plugin/types.hpp - the enumerations of plimsoll/abi.h as C++ types, so that a role is never taken for a stage. Never
// include it by itself: plimsoll/plugin.hpp is the include of plugins. Threads: values.
#ifndef PLIMSOLL_PLUGIN_TYPES_HPP
#define PLIMSOLL_PLUGIN_TYPES_HPP

#if __cplusplus < 201703L
#error "plimsoll/plugin.hpp needs C++17 or newer: -std=c++17"
#endif
#if !defined(__cpp_exceptions)
#error "plimsoll/plugin.hpp reports errors by exceptions, which stop at the boundary; leave -fno-exceptions out"
#endif

#include <cstdint>

#include "plimsoll/abi.h"

namespace plimsoll {

// What a planner counts. A class, group, entry or item has one; what is asked for is a set.
enum class Aspect : std::uint32_t {
  kEmbed = PLIMSOLL_ASPECT_EMBED,
  kAttention = PLIMSOLL_ASPECT_ATTENTION,
  kFfn = PLIMSOLL_ASPECT_FFN,
  kState = PLIMSOLL_ASPECT_STATE,
  kVision = PLIMSOLL_ASPECT_VISION,
  kHead = PLIMSOLL_ASPECT_HEAD
};

class Aspects {
public:
  constexpr Aspects(Aspect one) : bits_(static_cast<std::uint32_t>(one)) {}
  constexpr explicit Aspects(std::uint32_t bits) : bits_(bits) {}
  static constexpr Aspects all() { return Aspects(static_cast<std::uint32_t>(PLIMSOLL_ASPECT_ALL)); }

  constexpr std::uint32_t bits() const { return bits_; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool has(Aspects some) const { return (bits_ & some.bits_) != 0; } // any of them
  friend constexpr Aspects operator|(Aspects a, Aspects b) { return Aspects(a.bits_ | b.bits_); }
  friend constexpr Aspects operator&(Aspects a, Aspects b) { return Aspects(a.bits_ & b.bits_); }
  friend constexpr bool operator==(Aspects a, Aspects b) { return a.bits_ == b.bits_; }
  friend constexpr bool operator!=(Aspects a, Aspects b) { return a.bits_ != b.bits_; }

private:
  std::uint32_t bits_;
};
constexpr Aspects operator|(Aspect a, Aspect b) { return Aspects(a) | Aspects(b); }

enum class Stage : std::uint32_t {
  kOfLayer = PLIMSOLL_STAGE_OF_LAYER,
  kFirst = PLIMSOLL_STAGE_FIRST,
  kLast = PLIMSOLL_STAGE_LAST,
  kEvery = PLIMSOLL_STAGE_EVERY
};
enum class Placement : std::uint32_t {
  kReplicate = PLIMSOLL_PLACE_REPLICATE,
  kTp = PLIMSOLL_PLACE_TP,
  kVocab = PLIMSOLL_PLACE_VOCAB,
  kExpert = PLIMSOLL_PLACE_EXPERT,
  kOne = PLIMSOLL_PLACE_ONE
};
enum class Role : std::uint32_t {
  kModel = PLIMSOLL_ROLE_MODEL,
  kDraft = PLIMSOLL_ROLE_DRAFT,
  kUnused = PLIMSOLL_ROLE_UNUSED,
  kTied = PLIMSOLL_ROLE_TIED
};
enum class ExpertStorage : std::uint32_t {
  kSeparate = PLIMSOLL_EXPERTS_SEPARATE,
  kStacked = PLIMSOLL_EXPERTS_STACKED,
  kConcatenated = PLIMSOLL_EXPERTS_CONCATENATED
};
enum class KvKind : std::uint32_t {
  kFull = PLIMSOLL_KV_FULL,
  kWindow = PLIMSOLL_KV_WINDOW,
  kChunk = PLIMSOLL_KV_CHUNK,
  kLatent = PLIMSOLL_KV_LATENT,
  kState = PLIMSOLL_KV_STATE,
  kCross = PLIMSOLL_KV_CROSS
};
enum class Modality : std::uint32_t {
  kImage = PLIMSOLL_MODALITY_IMAGE,
  kVideo = PLIMSOLL_MODALITY_VIDEO,
  kAudio = PLIMSOLL_MODALITY_AUDIO
};
enum class Basis : std::uint32_t { kExact = PLIMSOLL_BASIS_EXACT, kBound = PLIMSOLL_BASIS_BOUND, kHeuristic = PLIMSOLL_BASIS_HEURISTIC };
enum class Memory : std::uint32_t { kDevice = PLIMSOLL_MEMORY_DEVICE, kHost = PLIMSOLL_MEMORY_HOST };
enum class LogLevel : std::uint32_t {
  kDebug = PLIMSOLL_LOG_DEBUG,
  kInfo = PLIMSOLL_LOG_INFO,
  kWarning = PLIMSOLL_LOG_WARNING,
  kError = PLIMSOLL_LOG_ERROR
};

} // namespace plimsoll

#endif
