// Philox4x32-10: a counter-based generator. Each draw is a function of a key and a counter, so that no draw depends on another, on the
// order of requests or on threads. Header only. Threads: pure functions. Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
// easy as 1, 2, 3" (SC 2011), section 3. Example (their known answers): counter and key of zeros give 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
#pragma once

#include <array>
#include <cstdint>

namespace plimsoll {

constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0], b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

// A number in [0, 1) with 53 random bits, for one position of one request.
constexpr double uniform_draw(std::uint64_t seed, std::uint64_t request, std::uint64_t position) {
  const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
  const auto high = [](std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); };
  const auto words = philox4x32({low(position), high(position), low(request), high(request)}, {low(seed), high(seed)});
  const std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

} // namespace plimsoll
