// Lets the allocations of one library fail: its own entries for malloc and its like are turned to functions that count, nobody else's.
// For the process of a case only. Threads: one.
#pragma once

#include <cstdint>
#include <memory>

namespace plimsoll::check {

class FailingAllocations {
public:
  // Of the library in which `address` lies.
  explicit FailingAllocations(const void* address);
  ~FailingAllocations();
  FailingAllocations(const FailingAllocations&) = delete;
  FailingAllocations& operator=(const FailingAllocations&) = delete;

  // The one with this number fails, counted from now; UINT64_MAX: none.
  void fail(std::uint64_t number);
  std::uint64_t counted() const;
  bool found() const; // whether the library allocates at all

private:
  struct Entries;
  std::unique_ptr<Entries> entries_;
};

} // namespace plimsoll::check
