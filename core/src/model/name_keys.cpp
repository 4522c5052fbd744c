#include "model/name_keys.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/digit.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kSeed = 0x243f6a8885a308d3ULL, kFactor = 0x9e3779b97f4a7c15ULL, kNumber = UINT64_MAX;

std::uint64_t mixed_in(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * kFactor;
  return hash ^ hash >> 32;
}

std::size_t common_bytes(std::string_view a, std::string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  std::size_t at = 0;
  for (std::uint64_t x = 0, y = 0; at + sizeof x <= most; at += sizeof x) {
    std::memcpy(&x, a.data() + at, sizeof x), std::memcpy(&y, b.data() + at, sizeof y);
    if (x != y) break;
  }
  while (at < most && a[at] == b[at]) ++at;
  return at;
}

// How many letters of the eight come before a dot.
unsigned letters_before_dot(std::uint64_t word) {
  if constexpr (std::endian::native == std::endian::little) {
    const std::uint64_t x = word ^ 0x2e2e2e2e2e2e2e2eULL; // a dot becomes zero; the lowest zero is marked truly
    return static_cast<unsigned>(std::countr_zero((x - 0x0101010101010101ULL) & ~x & 0x8080808080808080ULL)) / 8;
  }
  std::array<char, sizeof word> letters;
  std::memcpy(letters.data(), &word, sizeof word);
  return static_cast<unsigned>(std::find(letters.begin(), letters.end(), '.') - letters.begin());
}

// Those alone, at the word's other end.
std::uint64_t first_letters(std::uint64_t word, std::size_t letters) {
  if (letters == 0) return 0;
  const std::size_t others = 8 * (sizeof word - letters);
  return std::endian::native == std::endian::little ? word << others : word >> others;
}

} // namespace

std::string_view without_wrappers(std::string_view name) {
  for (;;) {
    if (name.starts_with("model.")) name.remove_prefix(6);
    else if (name.starts_with("language_model.")) name.remove_prefix(15);
    else return name;
  }
}

// A segment of digits counts as one letter and its number is handed out; any other is mixed in eight letters at a time.
void NameKeys::add_segments(Mark state) {
  const char* const text = text_.data();
  for (std::size_t i = state.at;;) {
    bool is_number = false;
    if (is_digit(text[i]) && state.n_numbers < NameKey::kMaxNumbers) {
      std::uint64_t number = 0;
      std::size_t end = i;
      while (is_digit(text[end]) && end - i < 10) number = number * 10 + static_cast<std::uint64_t>(text[end++] - '0');
      is_number = (end == text_bytes_ || text[end] == '.') && number <= UINT32_MAX;
      if (is_number) {
        key_.numbers[state.n_numbers++] = static_cast<std::uint32_t>(number);
        state.hash = mixed_in(state.hash, kNumber);
        i = end;
      }
    }
    while (!is_number) {
      std::uint64_t word;
      std::memcpy(&word, text + i, sizeof word);
      const std::size_t letters = std::min<std::size_t>(letters_before_dot(word), text_bytes_ - i);
      i += letters;
      if (letters == sizeof word) {
        state.hash = mixed_in(state.hash, word);
        continue;
      }
      state.hash = mixed_in(state.hash, first_letters(word, letters) ^ letters);
      break;
    }
    if (i == text_bytes_) break;
    state.at = ++i;
    if (n_marks_ < kMaxMarks) marks_[n_marks_++] = state;
  }
  key_.hash = state.hash == 0 ? 1 : state.hash;
  key_.n_numbers = state.n_numbers;
}

const NameKey& NameKeys::key_of(std::string_view full, std::string_view suffix) {
  const std::string_view name = without_wrappers(full);
  const std::size_t size = name.size() + suffix.size();
  if (text_.size() < size + sizeof(std::uint64_t)) text_.resize(2 * size + sizeof(std::uint64_t));
  std::size_t common = common_bytes(name, {text_.data(), text_bytes_});
  if (common == name.size()) common += common_bytes(suffix, std::string_view(text_.data(), text_bytes_).substr(common));
  if (common == size && size == text_bytes_ && n_marks_ > 0) return key_;
  while (n_marks_ > 0 && marks_[n_marks_ - 1].at > common) --n_marks_;
  std::copy(name.begin(), name.end(), text_.begin());
  std::copy(suffix.begin(), suffix.end(), text_.begin() + static_cast<std::ptrdiff_t>(name.size()));
  text_[size] = '\0'; // no digit
  text_bytes_ = size;
  add_segments(n_marks_ > 0 ? marks_[n_marks_ - 1] : Mark{0, kSeed, 0});
  return key_;
}

} // namespace plimsoll
