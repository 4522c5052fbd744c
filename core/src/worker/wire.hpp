// Values as bytes between this process and a worker: numbers of fixed size in the machine's order, texts and lists with their length.
// Reading never trusts a length; after the first fault everything reads as nothing. Threads: plain values.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace plimsoll {

class WireWriter {
public:
  template <class Number>
  requires std::is_arithmetic_v<Number>
  void operator()(Number value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void operator()(std::string_view text) {
    (*this)(static_cast<std::uint64_t>(text.size()));
    bytes_.append(text);
  }
  void operator()(const std::string& text) { (*this)(std::string_view(text)); }

  std::string& bytes() { return bytes_; }

private:
  std::string bytes_;
};

// Texts lie in what is read, which must outlive them.
class WireReader {
public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  template <class Number>
  requires std::is_arithmetic_v<Number>
  void operator()(Number& value) {
    value = {};
    const std::string_view from = take(sizeof value);
    if (from.size() == sizeof value) std::memcpy(&value, from.data(), sizeof value);
  }
  void operator()(std::string_view& text) { text = take(number<std::uint64_t>()); }
  void operator()(std::string& text) { text = take(number<std::uint64_t>()); }
  template <class Number>
  Number number() {
    Number value;
    (*this)(value);
    return value;
  }
  // How many entries follow that take at least `each` bytes; a fault where there is no room for so many.
  std::uint64_t count(std::uint64_t each) {
    const auto n = number<std::uint64_t>();
    if (n <= rest_.size() / each) return n;
    fail();
    return 0;
  }

  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view out = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return out;
  }
  void fail() {
    failed_ = true;
    rest_ = {};
  }
  bool failed() const { return failed_; }
  // Nothing is left, and nothing was wrong.
  bool done() const { return !failed_ && rest_.empty(); }

private:
  std::string_view rest_;
  bool failed_ = false;
};

} // namespace plimsoll
