#include "checkpoint/left_out.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/human.hpp"
#include "checkpoint/quoted_name.hpp"
#include "checkpoint/safetensors_index.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostEntries = 100'000;

std::vector<std::string> files_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end && names.size() < kMostEntries; it.increment(error))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

template <class Wanted>
const std::string* first_of(const std::vector<std::string>& names, Wanted&& wanted) {
  const auto found = std::find_if(names.begin(), names.end(), wanted);
  return found == names.end() ? nullptr : &*found;
}

} // namespace

std::optional<std::string> left_out(const ModelFiles& files) {
  if (files.format != CheckpointFormat::kNone || !files.rank_parts.empty() || !files.config_path || files.origin == ModelOrigin::kCatalogue)
    return std::nullopt;
  const std::filesystem::path config(*files.config_path);
  if (config.filename() != "config.json") return std::nullopt;
  const std::filesystem::path folder = config.has_parent_path() ? config.parent_path() : ".";
  const std::vector<std::string> names = files_in(folder);
  if (const std::string* index = first_of(names, [](const std::string& name) { return name.ends_with(".safetensors.index.json"); })) {
    const auto summary = read_safetensors_index((folder / *index).string());
    const std::string bytes = summary && summary->total_bytes ? fmt::format(" ({} in all)", human_bytes(*summary->total_bytes)) : "";
    return fmt::format("the folder has {} and none of the shards that it names{}", quoted_name(*index), bytes);
  }
  const auto is_bin = [](const std::string& name) {
    return name.ends_with(".bin") && (name.starts_with("pytorch_model") || name.starts_with("model"));
  };
  if (const std::string* bin = first_of(names, is_bin))
    return fmt::format("weights lie in .bin files ({} first), which are not read", quoted_name(*bin));
  return std::nullopt;
}

} // namespace plimsoll
