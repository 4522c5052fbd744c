// A compiled list of module-name patterns, each with a number: "which of these lists names this layer?".
// Holds exclusion lists and per-layer formats; tens of thousands of entries stay a few hash
// lookups per question. Never interprets what the numbers mean. Threads: immutable once filled.
//
// A pattern is, as the loaders of these formats read them:
//   "model.layers.3.mlp.gate"  that module and everything below it; an outer "model." or "language_model." may differ
//   "mlp.gate", "visual"       the same segments anywhere in the name, whole segments only
//   "model.layers.61*"         a shell glob over the whole name, or over a parent of it
//   "re:.*self_attn.*"         a regular expression that must match from the start
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "plimsoll/result.hpp"
#include "storage/name_regex.hpp"

namespace plimsoll {

class NameSet {
public:
  static constexpr std::size_t kMaxPatterns = 200000;
  static constexpr std::size_t kMaxPatternBytes = 512;
  static constexpr std::size_t kMaxGlobs = 1024;      // with a wildcard elsewhere than at the end
  static constexpr std::size_t kMaxRegexSteps = 8192; // of all regular expressions together

  struct Hit {
    std::uint16_t value = 0;
    bool whole = false; // a pattern without wildcards named exactly this module
  };

  // kBadConfig at `where` where the pattern is malformed or the set would become too large.
  Result<void> add(std::string_view pattern, std::uint16_t value, const std::string& where);
  // The most specific match: names first, then globs, then regular expressions in the order added.
  std::optional<Hit> find(std::string_view name) const;
  bool empty() const { return count_ == 0; }

private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  using Map = std::unordered_map<std::string, std::uint16_t, Hash, std::equal_to<>>;
  struct Glob {
    std::string pattern;
    bool canonical; // compared with the name without its wrappers
    std::uint16_t value;
  };
  struct Regex {
    NameRegex regex;
    std::uint16_t value;
  };

  Result<void> add_glob(std::string pattern, bool canonical, std::uint16_t value, const std::string& where);
  Result<void> add_regex(std::string_view pattern, std::uint16_t value, const std::string& where);

  Map anchored_;                                    // from the start of the canonical name
  std::vector<std::pair<std::size_t, Map>> loose_;  // by number of segments: anywhere
  std::vector<std::pair<std::size_t, Map>> prefix_; // by length: "text*" on the canonical name
  std::vector<Glob> globs_;
  std::vector<Regex> regexes_;
  std::size_t count_ = 0, glob_bytes_ = 0, regex_steps_ = 0;
};

} // namespace plimsoll
