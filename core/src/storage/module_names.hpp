// What planners' manifests know about the names of modules, over all exporters: which linear layers these leave as they are, and what the
// modules of a draft are called. Plain data. Threads: plain values.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

struct ModuleNames {
  std::vector<std::string> never_quantized; // the last segment ("gate"), or how the name ends ("patch_embed.proj")
  std::vector<std::string> draft_modules;   // how names begin: "mtp."
  std::vector<std::string> draft_joins;     // never quantised but where drafts are converted too: "eh_proj"

  void add(const ModuleNames& other) {
    const auto append = [](std::vector<std::string>& to, const std::vector<std::string>& from) {
      for (const std::string& name : from)
        if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
    };
    append(never_quantized, other.never_quantized);
    append(draft_modules, other.draft_modules);
    append(draft_joins, other.draft_joins);
  }
};

// Does the module's name end with one of these, whole segments only?
inline bool ends_with_one_of(std::string_view module_name, const std::vector<std::string>& ends) {
  return std::any_of(ends.begin(), ends.end(), [module_name](const std::string& end) {
    return module_name.ends_with(end) && (module_name.size() == end.size() || module_name[module_name.size() - end.size() - 1] == '.');
  });
}

inline bool starts_with_one_of(std::string_view module_name, const std::vector<std::string>& starts) {
  return std::any_of(starts.begin(), starts.end(), [module_name](const std::string& start) { return module_name.starts_with(start); });
}

} // namespace plimsoll
