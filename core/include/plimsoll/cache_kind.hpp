// What a cache keeps for a sequence, and how that grows with its length. The one vocabulary of kinds: planners' groups,
// pools, the estimator, plans and documents all speak it.
#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll {

enum class CacheKind : std::uint8_t {
  kFull,   // keys and values of every token
  kWindow, // keys and values of the last tokens, sliding
  kChunk,  // keys and values of the tokens since the last multiple of the window
  kLatent, // one compressed vector of every token
  kState,  // recurrent state: rows of fixed size
  kCross   // keys and values of a fixed number of encoder tokens
};

constexpr bool is_windowed(CacheKind kind) { return kind == CacheKind::kWindow || kind == CacheKind::kChunk; }
// A longer request costs more without bound.
constexpr bool grows(CacheKind kind) { return kind == CacheKind::kFull || kind == CacheKind::kLatent; }

// As documents spell it: "full", "window" (chunks too), "latent", "state", "cross".
constexpr std::string_view cache_kind_name(CacheKind kind) {
  switch (kind) {
  case CacheKind::kFull: return "full";
  case CacheKind::kWindow:
  case CacheKind::kChunk: return "window";
  case CacheKind::kLatent: return "latent";
  case CacheKind::kState: return "state";
  case CacheKind::kCross: return "cross";
  }
  return "full";
}

} // namespace plimsoll
