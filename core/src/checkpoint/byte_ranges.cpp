#include "checkpoint/byte_ranges.hpp"

#include <algorithm>

namespace plimsoll {

void ByteRanges::add_run(std::uint64_t begin, std::uint64_t end) {
  if (begin == end) return;
  if (last_.begin != last_.end) runs_.push_back(last_);
  last_ = {begin, end};
}

ByteRanges::Summary ByteRanges::finish() {
  if (last_.begin != last_.end) runs_.push_back(last_);
  std::sort(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) { return a.begin < b.begin; });
  Summary summary;
  for (const Run& run : runs_) {
    if (run.begin < summary.end_bytes && !summary.overlap_at) summary.overlap_at = run.begin;
    if (run.begin > summary.end_bytes) summary.hole_bytes += run.begin - summary.end_bytes;
    summary.end_bytes = std::max(summary.end_bytes, run.end);
  }
  clear();
  return summary;
}

} // namespace plimsoll
