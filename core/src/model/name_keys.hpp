// What tensor names have in common: a hash of a name without its wrappers and numbers, and the numbers apart.
// For the names that are declared and for every name that a checkpoint stores. Names that follow one another mostly begin
// alike, so the work on what the last two share is kept. Threads: one NameKeys per thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace plimsoll {

struct NameKey {
  static constexpr std::size_t kMaxNumbers = 4;
  std::uint64_t hash = 0; // never 0
  std::uint32_t n_numbers = 0;
  std::array<std::uint32_t, kMaxNumbers> numbers{}; // of the segments that are digits only: layers, experts
};

// The name without the wrappers around a language model that name no tensor of their own: "model.", "language_model.".
std::string_view without_wrappers(std::string_view name);

class NameKeys {
public:
  // The key of name + suffix; holds until the next call.
  const NameKey& key_of(std::string_view name, std::string_view suffix);

private:
  static constexpr std::size_t kMaxMarks = 24;
  // Where a segment begins, and what was known there.
  struct Mark {
    std::size_t at = 0;
    std::uint64_t hash = 0;
    std::uint32_t n_numbers = 0;
  };
  void add_segments(Mark state);

  NameKey key_;
  std::vector<char> text_; // the last name with its suffix, and room for a word behind it
  std::size_t text_bytes_ = 0, n_marks_ = 0;
  std::array<Mark, kMaxMarks> marks_{};
};

} // namespace plimsoll
