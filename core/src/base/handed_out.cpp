// See handed_out.hpp.
#include "base/handed_out.hpp"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace plimsoll::capi {
namespace {

struct alignas(std::max_align_t) Head {
  void (*destroy)(void*) noexcept;
};

} // namespace

void* hand_out_room(std::size_t size_bytes, void (*destroy)(void*) noexcept) noexcept {
  if (size_bytes > SIZE_MAX - sizeof(Head)) return nullptr;
  void* block = std::malloc(sizeof(Head) + size_bytes); // NOLINT: freed by release
  if (!block) return nullptr;
  new (block) Head{destroy};
  return static_cast<std::byte*>(block) + sizeof(Head);
}

char* hand_out_text(std::string_view text) noexcept {
  char* out = static_cast<char*>(hand_out_room(text.size() + 1, nullptr));
  if (!out) return nullptr;
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  out[text.size()] = '\0';
  return out;
}

void release(void* handed_out) noexcept {
  if (!handed_out) return;
  Head* head = reinterpret_cast<Head*>(static_cast<std::byte*>(handed_out) - sizeof(Head)); // NOLINT: the head that we wrote
  if (head->destroy) head->destroy(handed_out);
  std::free(head); // NOLINT: malloc's own
}

} // namespace plimsoll::capi
