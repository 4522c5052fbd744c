// The small option objects of plimsoll/runtime.h: typed values by key, anything else refused with its pointer. Threads: one.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace plimsoll::capi {

class OptionsReader {
public:
  // NULL is an object of nothing. kBadRequest: no object, or another key than `known`.
  static Result<OptionsReader> create(const char* json, std::initializer_list<std::string_view> known);

  // Sets `out` where the key is there and not null. kBadRequest: another type, or a number above `most`.
  Result<void> number(const char* key, std::uint64_t most, std::uint64_t& out) const;
  Result<void> flag(const char* key, bool& out) const;
  Result<void> text(const char* key, std::string& out) const;
  Result<void> texts(const char* key, std::vector<std::string>& out) const;
  bool has(const char* key) const { return find(key) != nullptr; }

private:
  const Json* find(const char* key) const;
  Json document_;
};

} // namespace plimsoll::capi
