#include "flags/flag_notes.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace plimsoll {

void FlagNotes::ignored(const std::string& flag, const std::string& because) {
  auto at = std::find_if(ignored_.begin(), ignored_.end(), [&](const auto& known) { return known.first == because; });
  if (at == ignored_.end()) at = ignored_.insert(at, {because, {}});
  if (std::find(at->second.begin(), at->second.end(), flag) == at->second.end()) at->second.push_back(flag);
}

void FlagNotes::unplanned(const std::string& flag, const std::string& because) {
  others_.push_back({WarningCode::kFlagNotPlanned, fmt::format("{} is not planned: {}; the plan may be short", flag, because)});
}

void FlagNotes::unknown(const std::string& flag, const std::string& what) {
  others_.push_back({WarningCode::kFlagUnknown, fmt::format("{} {}; memory that it takes is not planned", flag, what)});
}

std::vector<Warning> FlagNotes::warnings() const {
  std::vector<Warning> out = others_;
  for (const auto& [because, flags] : ignored_)
    out.push_back({WarningCode::kFlagIgnored, fmt::format("not part of the plan: {} ({})", fmt::join(flags, ", "), because)});
  return out;
}

} // namespace plimsoll
