// What stands behind a flag or a key: a word, or a document of JSON or YAML, each part with its place. For the readers of command lines
// and of engines' files. Bounded in depth and number. Threads: plain values.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

struct FlagValue {
  enum class Kind : std::uint8_t { kNothing, kText, kList, kMap };
  Kind kind = Kind::kText;
  std::string text;                                       // of a word
  std::vector<std::pair<std::string, FlagValue>> members; // of a map, and without names of a list
  std::string place;                                      // "--speculative-config", FILE:3

  // As one word: a list's words with commas between them.
  std::string joined() const;
};

FlagValue text_value(std::string text, std::string place);
// The value of a flag: a document where `is_document` and it is one, else a word. kBadRequest where it begins like a document and is none.
Result<FlagValue> parse_flag_value(const std::string& text, bool is_document, const std::string& place);
// A YAML file: a map; places are file:line. kBadRequest where it cannot be read, is no YAML or no map.
Result<FlagValue> read_yaml_map(const std::string& path);

} // namespace plimsoll
