// What a process is doing while it runs code that is not ours: written there before every call, read here when it is dead. Lies in memory
// that both share, so nothing that is read from it is believed to be whole. Threads: one writes; the other reads afterwards.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

namespace plimsoll {

struct CallNote {
  char who[128];   // a plugin's id
  char where[512]; // its folder
  char what[64];   // "weights()"

  void write(std::string_view plugin, std::string_view folder, std::string_view call) noexcept {
    put(who, sizeof who, plugin);
    put(where, sizeof where, folder);
    put(what, sizeof what, call);
  }

private:
  static void put(char* to, std::size_t capacity, std::string_view text) noexcept {
    const std::size_t n = std::min(text.size(), capacity - 1);
    std::memcpy(to, text.data(), n);
    to[n] = '\0';
  }
};

} // namespace plimsoll
