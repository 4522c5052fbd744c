#include "kv_cache/request_table.hpp"

#include "kv_cache/index_table.hpp"

namespace plimsoll {
namespace {

// Ids often count up; the multiplication spreads them, its upper half depends on all bits.
std::size_t home_of(RequestId id) { return static_cast<std::size_t>((id * 0x9E3779B97F4A7C15ULL) >> 32); }

} // namespace

RequestTable::RequestTable() : buckets_(buckets_for(16), 0) {}

Request* RequestTable::find(RequestId id) const {
  const std::uint32_t found = find_in_buckets(buckets_, home_of(id), [&](std::uint32_t number) { return slots_[number - 1]->id == id; });
  return found == 0 ? nullptr : slots_[found - 1].get();
}

Request& RequestTable::add(RequestId id) {
  if (buckets_for(size_ + 1) > buckets_.size()) grow();
  if (unused_.empty()) {
    slots_.push_back(std::make_unique<Request>());
    unused_.reserve(slots_.capacity()); // so that remove() takes no memory
    unused_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
  }
  const std::uint32_t slot = unused_.back();
  unused_.pop_back();
  Request& request = *slots_[slot];
  request.id = id;
  request.serial = next_serial_++;
  insert_into_buckets(buckets_, home_of(id), slot + 1);
  ++size_;
  return request;
}

void RequestTable::remove(Request& request) {
  const std::uint32_t number =
      find_in_buckets(buckets_, home_of(request.id), [&](std::uint32_t other) { return slots_[other - 1].get() == &request; });
  erase_from_buckets(buckets_, number, [this](std::uint32_t other) { return home_of(slots_[other - 1]->id); });
  request.serial = 0;
  unused_.push_back(number - 1);
  --size_;
}

void RequestTable::grow() {
  buckets_.assign(2 * buckets_.size(), 0);
  for (std::size_t slot = 0; slot < slots_.size(); ++slot)
    if (slots_[slot]->serial != 0) insert_into_buckets(buckets_, home_of(slots_[slot]->id), static_cast<std::uint32_t>(slot + 1));
}

} // namespace plimsoll
