// A scanner for JSON written the usual way: no escapes, whole numbers, keys in the usual order.
// A fast path: it never decides that a text is wrong: whatever it does
// not know it answers with false, and the caller starts over with simdjson, which has the last word. Threads: plain values.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace plimsoll {

class CompactScanner {
public:
  // At least kPaddingBytes zero bytes must follow `text`: every loop below stops at a zero.
  static constexpr std::size_t kPaddingBytes = 32;
  explicit CompactScanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool at_end() const { return at_ == end_; }
  std::size_t left_bytes() const { return static_cast<std::size_t>(end_ - at_); }
  bool literal(char c) {
    if (*at_ != c) return false;
    ++at_;
    return true;
  }
  template <std::size_t N>
  bool literal(const char (&expected)[N]) {
    static_assert(N - 1 <= kPaddingBytes);
    if (std::memcmp(at_, expected, N - 1) != 0) return false;
    at_ += N - 1;
    return true;
  }
  void space() {
    while (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t') ++at_;
  }
  // The rest of a string whose opening quote has been taken; false for an escape or a control character in it.
  bool rest_of_string(std::string_view& text) {
    const char* const stop = string_stop(at_);
    if (*stop != '"') return false;
    text = {at_, static_cast<std::size_t>(stop - at_)};
    at_ = stop + 1;
    return true;
  }
  // A whole number below 10^19, without a leading zero.
  bool number(std::uint64_t& value) {
    const char* const begin = at_;
    value = 0;
    for (;;) {
      unsigned count = 0;
      const std::uint64_t some = digits(count);
      value = value * kPowersOfTen[count] + some;
      at_ += count;
      if (count < 8) break;
      if (at_ - begin > 16) return false;
    }
    const auto length = at_ - begin;
    return length != 0 && length < 20 && (*begin != '0' || length == 1);
  }

private:
  static constexpr std::array<std::uint64_t, 9> kPowersOfTen{1, 10, 100, 1000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};

  // The first quote, backslash or byte below 0x20.
  static const char* string_stop(const char* p) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
    for (;; p += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
      const __m128i stops = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                         _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
      if (const auto mask = static_cast<unsigned>(_mm_movemask_epi8(stops)); mask != 0) return p + std::countr_zero(mask);
    }
#else
    while (*p != '"' && *p != '\\' && static_cast<unsigned char>(*p) >= 0x20) ++p;
    return p;
#endif
  }

  // The value of the next digits, at most eight, and their count.
  std::uint64_t digits(unsigned& count) const {
    if constexpr (std::endian::native == std::endian::little) {
      std::uint64_t word;
      std::memcpy(&word, at_, sizeof word);
      word ^= 0x3030303030303030ULL; // digits become 0 to 9
      // The high bit of the lowest byte that is no digit (higher bytes may be marked falsely).
      const std::uint64_t others = ((word + 0x7676767676767676ULL) | word) & 0x8080808080808080ULL;
      count = static_cast<unsigned>(std::countr_zero(others)) / 8;
      if (count == 0) return 0;
      word <<= 64 - 8 * count; // leading zeros take the place of what is no digit
      // Pairs of digits, then pairs of pairs, then pairs of those.
      word = word * 10 + (word >> 8);
      constexpr std::uint64_t kMask = 0x000000FF000000FFULL;
      return ((word & kMask) * (100 + (1'000'000ULL << 32)) + ((word >> 16) & kMask) * (1 + (10'000ULL << 32))) >> 32;
    }
    std::uint64_t value = 0;
    for (count = 0; count < 8 && static_cast<unsigned char>(at_[count] - '0') <= 9; ++count)
      value = value * 10 + static_cast<std::uint64_t>(at_[count] - '0');
    return value;
  }

  const char* at_;
  const char* end_;
};

} // namespace plimsoll
