// The keys of an engine profile: one row each, so that reading, limits, --set's short names and error messages come
// from one place. Threads: constants.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "engine/profile.hpp"

namespace plimsoll {

struct NumberKey {
  std::uint64_t& (*field)(EngineProfile&);
  std::uint64_t low, high;
};
struct RealKey {
  double& (*field)(EngineProfile&);
  double above, most; // above: exclusive, but 0 itself counts where above < 0
};
struct FlagKey {
  bool& (*field)(EngineProfile&);
};
struct TextKey {
  std::string& (*field)(EngineProfile&);
};
// One of the words of an enumeration.
struct WordKey {
  bool (*set)(EngineProfile&, std::string_view word); // false: no such word
  std::string (*words)();                             // all of them, for messages
};

struct ProfileKey {
  std::string_view pointer; // "/kv/page_tokens"
  std::variant<NumberKey, RealKey, FlagKey, TextKey, WordKey> kind;
  std::string_view short_name() const { return pointer.substr(pointer.rfind('/') + 1); }
  std::string_view section() const { return pointer.substr(0, pointer.rfind('/')); }
};

std::span<const ProfileKey> profile_keys();

} // namespace plimsoll
