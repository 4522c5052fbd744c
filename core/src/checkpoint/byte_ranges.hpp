// The byte ranges that tensors of one file claim: do any two overlap, and is anything left between them?
// Takes every tensor. Ranges that follow one another are one run, so a file
// written in order costs nothing; in the worst order 16 bytes per tensor. Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace plimsoll {

class ByteRanges {
public:
  struct Summary {
    std::optional<std::uint64_t> overlap_at; // a byte that two tensors claim
    std::uint64_t hole_bytes = 0;            // claimed by none, before the last claimed byte
    std::uint64_t end_bytes = 0;             // after the last claimed byte
  };

  void clear() {
    runs_.clear();
    last_ = {};
  }
  // begin <= end; an empty range claims nothing.
  void add(std::uint64_t begin, std::uint64_t end) {
    if (begin == last_.end) last_.end = end;
    else add_run(begin, end);
  }
  // Sorts the runs; the ledger is empty afterwards.
  Summary finish();

private:
  struct Run {
    std::uint64_t begin = 0, end = 0;
  };
  void add_run(std::uint64_t begin, std::uint64_t end);

  std::vector<Run> runs_;
  Run last_;
};

} // namespace plimsoll
