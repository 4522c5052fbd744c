// See option_names.hpp.
#include "request/option_names.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

#include "base/nearest.hpp"

namespace plimsoll {
std::string option_key(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

const OptionInfo* find_option(std::string_view name, std::span<const OptionInfo> also) {
  const std::string key = option_key(name);
  for (const std::span<const OptionInfo> options : {plan_options(), also})
    for (const OptionInfo& option : options)
      if (option.name == key) return &option;
  return nullptr;
}

bool takes_list(const OptionInfo& option) {
  return option.repeats || option.kind == OptionKind::kTexts || option.kind == OptionKind::kNumbers;
}

std::string unknown_option(std::string_view name, std::span<const OptionInfo> also) {
  std::vector<std::string_view> names;
  for (const std::span<const OptionInfo> options : {also, plan_options()})
    for (const OptionInfo& option : options) names.push_back(option.name);
  const std::vector<std::string> close = nearest(option_key(name.substr(0, 60)), names, 1);
  if (close.empty()) return fmt::format("unknown option '{}'; `plimsoll plan --help` lists them", name.substr(0, 60));
  return fmt::format("unknown option '{}'; did you mean {}?", name.substr(0, 60), close.front());
}

std::string nearest_name(std::string_view name, std::span<const std::string> known) {
  const std::vector<std::string> close = nearest(name.substr(0, 60), {known.begin(), known.end()}, 1);
  return close.empty() ? std::string() : close.front();
}

} // namespace plimsoll
