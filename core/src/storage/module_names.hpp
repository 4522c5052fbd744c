// What planners' manifests know about the names of modules, over all exporters: which linear layers these leave as they are, and what the
// modules of a draft are called. Plain data. Threads: plain values.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
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

// Whether a module's name ends with one of many, whole segments only. Asked for every layer of every class, so names that cannot be meant
// are not looked at: they lie apart by their last letter.
class NameEnds {
public:
  NameEnds() = default;
  explicit NameEnds(const std::vector<std::string>& names) {
    for (const std::string& name : names)
      if (!name.empty()) by_letter_[bucket(name)].push_back(name);
  }
  bool match(std::string_view module_name) const {
    if (module_name.empty()) return false;
    for (const std::string& end : by_letter_[bucket(module_name)])
      if (module_name.ends_with(end) && (module_name.size() == end.size() || module_name[module_name.size() - end.size() - 1] == '.'))
        return true;
    return false;
  }

private:
  static constexpr std::size_t kBuckets = 32;
  static std::size_t bucket(std::string_view name) { return static_cast<unsigned char>(name.back()) % kBuckets; }
  std::array<std::vector<std::string>, kBuckets> by_letter_;
};

inline bool starts_with_one_of(std::string_view module_name, const std::vector<std::string>& starts) {
  return std::any_of(starts.begin(), starts.end(), [module_name](const std::string& start) { return module_name.starts_with(start); });
}

} // namespace plimsoll
