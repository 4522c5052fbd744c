// Memory that ends where its contents end: the next byte is on a page that nobody can read. Threads: each object by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace plimsoll::check {

class Guarded {
public:
  // A copy of `size` bytes; where there is no memory, none.
  Guarded(const void* data, std::size_t size) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    room_ = (size + page - 1) / page * page + page;
    void* const base = ::mmap(nullptr, room_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return;
    base_ = static_cast<char*>(base);
    ::mprotect(base_ + room_ - page, page, PROT_NONE);
    data_ = base_ + room_ - page - size;
    if (size > 0) std::memcpy(data_, data, size);
  }
  ~Guarded() {
    if (base_ != nullptr) ::munmap(base_, room_);
  }
  Guarded(Guarded&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), data_(std::exchange(other.data_, nullptr)), room_(other.room_) {}
  Guarded& operator=(Guarded&&) = delete;
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  char* data() const { return data_; }

private:
  char* base_ = nullptr;
  char* data_ = nullptr;
  std::size_t room_ = 0;
};

} // namespace plimsoll::check
