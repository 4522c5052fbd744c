// A scanner for JSON written the usual way: no escapes, whole numbers, keys in the usual order.
// Called by the safetensors and index readers as their fast path. It never decides that a text is wrong: whatever it does
// not know it answers with false, and the caller starts over with simdjson, which has the last word. Threads: plain values.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace plimsoll {

class CompactScanner {
public:
  // At least kPaddingBytes zero bytes must follow `text`.
  static constexpr std::size_t kPaddingBytes = 32;
  explicit CompactScanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool at_end() const { return at_ == end_; }
  bool literal(char c) {
    if (*at_ != c) return false;
    ++at_;
    return true;
  }
  // `expected` is at most kPaddingBytes long.
  bool literal(std::string_view expected) {
    if (std::memcmp(at_, expected.data(), expected.size()) != 0) return false;
    at_ += expected.size();
    return true;
  }
  void space() {
    while (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t') ++at_;
  }
  // The rest of a string whose opening quote has been taken; false for an escape or a control character in it.
  bool rest_of_string(std::string_view& text) {
    const char* p = at_;
    for (;; p += sizeof(std::uint64_t)) {
      if (end_ - p < static_cast<std::ptrdiff_t>(sizeof(std::uint64_t))) return slow_rest_of_string(p, text);
      std::uint64_t word;
      std::memcpy(&word, p, sizeof word);
      if (const std::uint64_t stops = stop_bytes(word)) {
        if constexpr (std::endian::native != std::endian::little) return slow_rest_of_string(p, text);
        p += std::countr_zero(stops) / 8;
        break;
      }
    }
    if (*p != '"') return false;
    text = {at_, static_cast<std::size_t>(p - at_)};
    at_ = p + 1;
    return true;
  }
  // A whole number below 10^19, without a leading zero.
  bool number(std::uint64_t& value) {
    const char* const begin = at_;
    std::uint64_t sum = 0;
    while (static_cast<unsigned char>(*at_ - '0') <= 9 && at_ - begin < 19) sum = sum * 10 + static_cast<std::uint64_t>(*at_++ - '0');
    value = sum;
    return at_ != begin && (*begin != '0' || at_ - begin == 1);
  }

private:
  // The high bit of the lowest byte that is a quote, a backslash or below 0x20 (higher bytes may be marked falsely).
  static std::uint64_t stop_bytes(std::uint64_t word) {
    constexpr std::uint64_t kOnes = 0x0101010101010101ULL, kHighs = 0x8080808080808080ULL;
    const auto zeros = [](std::uint64_t x) { return (x - kOnes) & ~x & kHighs; };
    return zeros(word ^ (kOnes * '"')) | zeros(word ^ (kOnes * '\\')) | ((word - kOnes * 0x20) & ~word & kHighs);
  }
  bool slow_rest_of_string(const char* p, std::string_view& text) {
    while (p != end_ && *p != '"' && *p != '\\' && static_cast<unsigned char>(*p) >= 0x20) ++p;
    if (p == end_ || *p != '"') return false;
    text = {at_, static_cast<std::size_t>(p - at_)};
    at_ = p + 1;
    return true;
  }

  const char* at_;
  const char* end_;
};

} // namespace plimsoll
