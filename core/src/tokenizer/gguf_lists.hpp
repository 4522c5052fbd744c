// The long lists of a GGUF file's metadata that its header reader passes by: pieces, merges, scores and kinds of a vocabulary.
// Called once the header is known to be sound. Never holds more than the header is long. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/regular_file.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Texts one after another in one string.
class TextList {
public:
  void push_back(std::string_view text) {
    bytes_ += text;
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }
  std::size_t size() const { return ends_.size(); }
  std::string_view operator[](std::size_t index) const {
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(begin, ends_[index] - begin);
  }

private:
  std::string bytes_;
  std::vector<std::uint32_t> ends_; // a header has less than 4 GB
};

struct GgufLists {
  TextList pieces, merges;
  std::vector<float> scores;
  std::vector<std::int32_t> kinds; // of pieces
};

// kBadCheckpoint names the file and the key, also for a list whose elements have another type than expected.
Result<GgufLists> read_gguf_lists(const RegularFile& file);

} // namespace plimsoll
