// See option_names.hpp.
#include "request/option_names.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

#include "base/nearest.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll {
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
  std::vector<std::string_view> names(also.begin(), also.end());
  for (const OptionInfo& option : plan_options()) names.push_back(option.name);
  const std::vector<std::string> close = nearest(option_key(name.substr(0, 60)), names, 1);
  if (close.empty()) return fmt::format("unknown option '{}'; `plimsoll plan --help` lists them", name.substr(0, 60));
  return fmt::format("unknown option '{}'; did you mean {}?", name.substr(0, 60), close.front());
}

} // namespace plimsoll
