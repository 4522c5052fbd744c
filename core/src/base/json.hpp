// Strict JSON for what strangers wrote: bounded depth, no duplicate keys, every error with its place.
// Called for config.json and its relatives. Never recurses deeper than the limit. Threads: pure functions.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

using Json = nlohmann::ordered_json;

// Parses one document; `where` names it in errors. NaN and Infinity, which Python writes although JSON has
// neither, become the strings "NaN", "Infinity", "-Infinity": harmless where nobody reads them, a type error
// with a pointer where somebody does.
Result<Json> parse_json(std::string text, const std::string& where, ErrorCode code);

// A value that is made when somebody first asks for it, by any thread. Copies are the same value.
class LazyJson {
public:
  explicit LazyJson(std::function<Json()> make);
  const Json& get() const;

private:
  struct Made;
  std::shared_ptr<Made> made_;
};

// An object, and the members of one of its members, each an object too, which become values later.
struct JsonApart {
  Json rest;
  std::vector<std::pair<std::string, LazyJson>> members;
};
// For texts that are known to be right, as our own are: a member of `member` that repeats a key is empty. Nothing where the text is
// anything else; parse_json says what.
std::optional<JsonApart> parse_apart(const std::string& text, std::string_view member);

// The value at an RFC 6901 pointer; nullptr where there is none. "" is the value itself.
const Json* find_pointer(const Json& root, std::string_view pointer);

// An integer from 0 to 2^63-1, also where it is written as an integral float (1e3).
std::optional<std::uint64_t> as_u64(const Json& value);

} // namespace plimsoll
