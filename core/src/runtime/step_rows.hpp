// How many rows of logits a step gives, while its batch is put together. A step has one number of trailing rows that all its requests give,
// so who wants logits of a prompt makes all others give more too. Threads: plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace plimsoll {

class StepRows {
public:
  // `most`: rows of a step. `all`: every active token gives one, whoever wants it. `each`: so many of each request at least, where tokens
  // are drafted.
  StepRows(std::uint64_t most, bool all, std::uint64_t each = 1) : most_(most), per_request_(all ? UINT64_MAX : each) {}

  // The most active tokens, at most `wanted`, with which another request fits; 0: none. `earlier`: it wants a row of each of them.
  std::uint64_t fitting(std::uint64_t wanted, bool earlier) const {
    if (!earlier && per_request_ == 1) return active_.size() < most_ ? wanted : 0;
    std::uint64_t fits = 0, too_many = wanted + 1; // rows never fall with more tokens
    while (too_many - fits > 1) {
      const std::uint64_t tried = fits + (too_many - fits) / 2;
      (rows_with(tried, earlier) <= most_ ? fits : too_many) = tried;
    }
    return fits;
  }
  void add(std::uint64_t active, bool earlier) {
    if (earlier) per_request_ = std::max(per_request_, active);
    active_.push_back(active);
  }

private:
  std::uint64_t rows_with(std::uint64_t active, bool earlier) const {
    const std::uint64_t each = earlier ? std::max(per_request_, active) : per_request_;
    std::uint64_t rows = std::min(active, each);
    for (const std::uint64_t tokens : active_) rows += std::min(tokens, each);
    return rows;
  }

  std::uint64_t most_ = 0, per_request_ = 1;
  std::vector<std::uint64_t> active_; // of each request so far
};

} // namespace plimsoll
