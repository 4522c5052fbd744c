// See option_names.hpp.
#include "request/option_names.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

#include "plimsoll/options.hpp"

namespace plimsoll {
namespace {

// Insertions, deletions and replacements that turn one word into the other.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t at = 0; at < row.size(); ++at) row[at] = at;
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i] == to[j] ? 0U : 1U);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

} // namespace

std::string option_key(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

bool known_option(std::string_view name, std::span<const std::string_view> also) {
  const std::string key = option_key(name);
  for (const OptionInfo& option : plan_options())
    if (option.name == key) return true;
  return std::find(also.begin(), also.end(), key) != also.end();
}

std::string unknown_option(std::string_view name, std::span<const std::string_view> also) {
  const std::string key = option_key(name.substr(0, 60));
  std::string_view best;
  std::size_t least = 4;
  const auto consider = [&](std::string_view candidate) {
    const std::size_t distance = edit_distance(key, candidate);
    if (distance < least && distance < candidate.size() / 2 + 1) {
      least = distance;
      best = candidate;
    }
  };
  for (const OptionInfo& option : plan_options()) consider(option.name);
  for (const std::string_view candidate : also) consider(candidate);
  if (best.empty()) return fmt::format("unknown option '{}'; `plimsoll plan --help` lists them", name.substr(0, 60));
  return fmt::format("unknown option '{}'; did you mean {}?", name.substr(0, 60), best);
}

} // namespace plimsoll
