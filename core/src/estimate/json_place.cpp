// A scanner that walks a JSON text with an explicit stack and stops where it breaks.
// Called through json_place.hpp, for errors alone. Never recurses, never decodes a value. Threads: pure functions.
#include "estimate/json_place.hpp"

#include <charconv>
#include <cstdint>
#include <vector>

namespace plimsoll {
namespace {

constexpr std::size_t kMaxPlaceDepth = 256;

struct Level {
  bool object = false;
  std::string_view key; // raw, between its quotes
  std::size_t index = 0;
};

class Scanner {
public:
  explicit Scanner(std::string_view text) : text_(text) {}

  // False where the text breaks; the levels then tell where.
  bool run() {
    if (!value()) return false;
    while (!levels_.empty()) {
      skip();
      if (at_ >= text_.size()) return false;
      Level& top = levels_.back();
      const char c = text_[at_];
      if (c == (top.object ? '}' : ']')) {
        ++at_;
        levels_.pop_back();
        continue;
      }
      if (c != ',') return false;
      ++at_;
      ++top.index;
      if (top.object && !key()) return false;
      if (!value()) return false;
    }
    return true;
  }

  std::string pointer() const {
    std::string out;
    for (const Level& level : levels_) out += "/" + (level.object ? json_pointer_token(level.key) : std::to_string(level.index));
    return out;
  }

private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }

  bool string(std::string_view& content) {
    skip();
    if (at_ >= text_.size() || text_[at_] != '"') return false;
    const std::size_t begin = ++at_;
    for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (static_cast<unsigned char>(text_[at_]) < 0x20) return false;
      if (text_[at_] == '\\') ++at_;
    }
    if (at_ >= text_.size()) return false;
    content = text_.substr(begin, at_++ - begin);
    return true;
  }

  bool key() {
    levels_.back().key = {};
    std::string_view name;
    if (!string(name)) return false;
    levels_.back().key = name;
    skip();
    if (at_ >= text_.size() || text_[at_] != ':') return false;
    ++at_;
    return true;
  }

  bool number() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && std::string_view("+-.eE0123456789").find(text_[at_]) != std::string_view::npos) ++at_;
    const std::string_view digits = text_.substr(begin, at_ - begin);
    const bool integral = digits.find_first_of(".eE") == std::string_view::npos;
    if (integral) {
      const std::string_view magnitude = digits.substr(digits.starts_with('-') ? 1 : 0);
      std::uint64_t value = 0;
      const auto [end, error] = std::from_chars(magnitude.data(), magnitude.data() + magnitude.size(), value);
      if (error != std::errc() || end != magnitude.data() + magnitude.size()) return false;
      return magnitude == "0" || !magnitude.starts_with('0');
    }
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size();
  }

  // One value; a container only up to its first entry.
  bool value() {
    for (;;) {
      skip();
      if (at_ >= text_.size()) return false;
      const char c = text_[at_];
      if (c == '{' || c == '[') {
        if (levels_.size() >= kMaxPlaceDepth) return false;
        ++at_;
        skip();
        if (at_ < text_.size() && text_[at_] == (c == '{' ? '}' : ']')) {
          ++at_;
          return true;
        }
        levels_.push_back({c == '{', {}, 0});
        if (c == '{' && !key()) return false;
        continue;
      }
      std::string_view ignored;
      if (c == '"') return string(ignored);
      if (c == '-' || (c >= '0' && c <= '9')) return number();
      for (const std::string_view word : {"true", "false", "null"})
        if (text_.substr(at_).starts_with(word)) {
          at_ += word.size();
          return true;
        }
      return false;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Level> levels_;
};

} // namespace

std::string json_pointer_token(std::string_view key) {
  std::string out;
  for (const char c : key.substr(0, 128)) {
    if (c == '~') out += "~0";
    else if (c == '/') out += "~1";
    else out += c;
  }
  return out;
}

std::string json_error_pointer(std::string_view text) {
  Scanner scanner(text);
  return scanner.run() ? std::string() : scanner.pointer();
}

} // namespace plimsoll
