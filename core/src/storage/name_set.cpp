// Sorts patterns by kind at build time and looks names up by hash where it can. Sources of the rules: transformers'
// should_convert_module, vLLM's modelopt and compressed-tensors readers, fnmatch. Threads: see header.
#include "storage/name_set.hpp"

#include <algorithm>
#include <array>
#include <functional>

#include <fmt/format.h>

namespace plimsoll {
namespace {

constexpr std::size_t kMaxGlobBytes = 64 * 1024;
constexpr std::size_t kMaxSegments = 24; // of a name; deeper ones are compared by their first segments

// "language_model.model.layers.0" and "model.layers.0" are the same module to a list written for either.
std::string_view canonical(std::string_view name) {
  for (bool stripped = true; stripped;) {
    stripped = false;
    for (const std::string_view wrapper : {std::string_view("model."), std::string_view("language_model.")}) {
      if (name.starts_with(wrapper)) {
        name.remove_prefix(wrapper.size());
        stripped = true;
      }
    }
  }
  return name;
}

// * and ? only. Steps at most pattern times name.
bool glob_match(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++mark;
    } else return false;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// The glob that a simple regular expression is: literals, escaped dots, ".*" and ".". Empty for all others.
std::optional<std::string> regex_as_glob(std::string_view pattern) {
  std::string glob;
  if (pattern.starts_with('^')) pattern.remove_prefix(1);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const std::string_view rest = pattern.substr(i);
    if (rest == "$") return glob;
    if (rest.starts_with(".*")) {
      if (rest.size() > 2 && (rest[2] == '?' || rest[2] == '+' || rest[2] == '*' || rest[2] == '{')) return std::nullopt;
      glob += '*';
      ++i;
    } else if (rest.starts_with("\\.") || rest.starts_with("\\-")) {
      glob += rest[1];
      ++i;
    } else if (c == '.') glob += '?';
    else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '/') glob += c;
    else return std::nullopt;
    if (i + 1 < pattern.size() && std::string_view("*+?{").find(pattern[i + 1]) != std::string_view::npos) return std::nullopt;
  }
  return glob + '*';
}

// fnmatch with [sets]: as a regular expression over the whole name or a parent of it.
std::string glob_as_regex(std::string_view pattern) {
  std::string regex;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '*') regex += ".*";
    else if (c == '?') regex += '.';
    else if (c == '[') {
      const std::size_t close = pattern.find(']', i + 2);
      if (close == std::string_view::npos) {
        regex += "\\[";
        continue;
      }
      regex += '[';
      if (pattern[i + 1] == '!') {
        regex += '^';
        ++i;
      }
      for (++i; i < close; ++i) {
        if (pattern[i] == '\\' || pattern[i] == '^' || pattern[i] == '[') regex += '\\';
        regex += pattern[i];
      }
      regex += ']';
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_') regex += c;
    else (regex += '\\') += c;
  }
  return regex + "(\\..*)?$";
}

std::size_t segment_count(std::string_view name) { return static_cast<std::size_t>(std::count(name.begin(), name.end(), '.')) + 1; }

template <class Groups>
auto& group_of(Groups& groups, std::size_t key) {
  for (auto& [k, map] : groups)
    if (k == key) return map;
  groups.emplace_back(key, typename Groups::value_type::second_type{});
  return groups.back().second;
}

} // namespace

Result<void> NameSet::add(std::string_view pattern, std::uint16_t value, const std::string& where) {
  if (pattern.empty()) return fail(ErrorCode::kBadConfig, "an empty module name; name a module or remove the entry", where);
  if (pattern.size() > kMaxPatternBytes)
    return fail(ErrorCode::kBadConfig, fmt::format("a module pattern of {} bytes; at most {} are read", pattern.size(), kMaxPatternBytes),
                where);
  if (++count_ > kMaxPatterns)
    return fail(ErrorCode::kBadConfig, fmt::format("more than {} module patterns; use wildcards", kMaxPatterns), where);

  if (pattern.starts_with("re:")) return add_regex(pattern.substr(3), value, where);
  const std::string_view inner = canonical(pattern);
  const bool wrapped = inner.size() != pattern.size();
  const std::size_t wildcard = inner.find_first_of("*?[");
  if (wildcard == std::string_view::npos) {
    if (wrapped) anchored_.emplace(inner, value);
    else group_of(loose_, segment_count(inner)).emplace(inner, value);
    return {};
  }
  if (wildcard + 1 == inner.size() && inner[wildcard] == '*') {
    group_of(prefix_, wildcard).emplace(inner.substr(0, wildcard), value);
    return {};
  }
  if (inner.find('[') != std::string_view::npos) return add_regex(glob_as_regex(pattern), value, where);
  PLIMSOLL_TRY(add_glob(std::string(inner), wrapped, value, where));
  return inner.ends_with('*') ? Result<void>{} : add_glob(std::string(inner) + ".*", wrapped, value, where);
}

Result<void> NameSet::add_glob(std::string pattern, bool is_canonical, std::uint16_t value, const std::string& where) {
  glob_bytes_ += pattern.size();
  if (globs_.size() >= kMaxGlobs || glob_bytes_ > kMaxGlobBytes)
    return fail(ErrorCode::kBadConfig,
                fmt::format("more than {} patterns with wildcards inside; end them in * or name the modules", kMaxGlobs), where);
  globs_.push_back({std::move(pattern), is_canonical, value});
  return {};
}

Result<void> NameSet::add_regex(std::string_view pattern, std::uint16_t value, const std::string& where) {
  if (auto glob = regex_as_glob(pattern)) return add_glob(std::move(*glob), false, value, where);
  PLIMSOLL_ASSIGN(NameRegex regex, NameRegex::compile(pattern, where));
  regex_steps_ += regex.steps();
  if (regex_steps_ > kMaxRegexSteps)
    return fail(ErrorCode::kBadConfig, "too many or too long regular expressions over module names; use globs or plain names", where);
  regexes_.push_back({std::move(regex), value});
  return {};
}

std::optional<NameSet::Hit> NameSet::find(std::string_view name) const {
  if (count_ == 0) return std::nullopt;
  const std::string_view inner = canonical(name);
  const bool wrapped = inner.size() != name.size();

  // Starts and ends of the segments.
  std::array<std::size_t, kMaxSegments> starts{}, ends{};
  std::size_t segments = 0;
  for (std::size_t at = 0; segments < kMaxSegments;) {
    const std::size_t dot = inner.find('.', at);
    starts[segments] = at;
    ends[segments++] = dot == std::string_view::npos ? inner.size() : dot;
    if (dot == std::string_view::npos) break;
    at = dot + 1;
  }

  if (!anchored_.empty())
    for (std::size_t n = segments; n > 0; --n)
      if (const auto hit = anchored_.find(inner.substr(0, ends[n - 1])); hit != anchored_.end())
        return Hit{hit->second, ends[n - 1] == inner.size()};
  std::optional<Hit> best;
  std::size_t best_segments = 0;
  for (const auto& [length, map] : loose_) {
    if (length > segments || length <= best_segments) continue;
    for (std::size_t first = 0; first + length <= segments; ++first) {
      const std::size_t end = ends[first + length - 1];
      if (const auto hit = map.find(inner.substr(starts[first], end - starts[first])); hit != map.end()) {
        best = Hit{hit->second, first == 0 && end == inner.size()};
        best_segments = length;
        break;
      }
    }
  }
  if (best) return best;
  std::size_t best_length = 0;
  for (const auto& [length, map] : prefix_)
    if (length <= inner.size() && (!best || length > best_length))
      if (const auto hit = map.find(inner.substr(0, length)); hit != map.end()) {
        best = Hit{hit->second, false};
        best_length = length;
      }
  if (best) return best;
  for (const Glob& glob : globs_)
    if (glob_match(glob.pattern, inner) || (!glob.canonical && wrapped && glob_match(glob.pattern, name))) return Hit{glob.value, false};
  for (const Regex& regex : regexes_)
    if (regex.regex.match_start(name) || (wrapped && regex.regex.match_start(inner))) return Hit{regex.value, false};
  return std::nullopt;
}

} // namespace plimsoll
