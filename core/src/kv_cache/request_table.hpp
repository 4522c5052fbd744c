// What the manager keeps of claimed requests, and how it finds them by id. Records are used again with the memory that they have
// grown, so that claiming takes none after a while. Threads: [serial].
#pragma once

#include <cstdint>
#include <vector>

#include "kv_cache/page_keys.hpp"
#include "plimsoll/kv_cache.hpp"

namespace plimsoll {

// Pages of one table and lane, by position. They only grow at the end; those behind a window turn into null.
struct PageRow {
  std::vector<PageId> pages;
  std::uint32_t first_held = 0; // pages before it are null
  std::uint32_t published = 0;  // pages before it have been published, or were hit
};

struct Request {
  RequestId id = 0;
  std::uint64_t serial = 0; // of this claim; never 0 while claimed
  std::uint32_t replica = 0;
  bool started = false;  // it holds pages of its tokens
  bool publishes = true; // false once the cache was reset
  std::vector<PageRow> rows;
  std::vector<std::uint32_t> state_rows;
  std::vector<PageKeys> keys; // one for each page size
};

class RequestTable {
public:
  RequestTable();

  std::size_t size() const { return size_; }
  Request* find(RequestId id) const;
  // A record of an id that is not there; its vectors are as its last owner left them, cleared by the caller.
  Request& add(RequestId id);
  void remove(Request& request);
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& slot : slots_)
      if (slot->serial != 0) visit(*slot);
  }

private:
  void grow();

  std::vector<std::unique_ptr<Request>> slots_;
  std::vector<std::uint32_t> unused_;  // slots
  std::vector<std::uint32_t> buckets_; // slot + 1 by id
  std::size_t size_ = 0;
  std::uint64_t next_serial_ = 1;
};

} // namespace plimsoll
