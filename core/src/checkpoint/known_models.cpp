// See known_models.hpp.
#include "checkpoint/known_models.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <set>
#include <system_error>

#include "base/json.hpp"
#include "base/nearest.hpp"
#include "base/regular_file.hpp"
#include "base/words.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostModels = 100'000;
constexpr std::uint64_t kMostOtherNamesBytes = 1U << 20;

// Every name with the one that it stands for, which is mostly itself.
using NamesToModels = std::map<std::string, std::string>;

// Calls take(name) for the entries of a folder, which need not be there.
template <class Take>
void each_entry(const std::string& directory, Take&& take) {
  std::error_code error;
  std::size_t taken = 0;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end && taken < kMostModels; it.increment(error)) {
    take(it->path().filename().string());
    ++taken;
  }
}

// The first `separator` of a folder's or file's name stands for the slash.
void add_name(NamesToModels& names, std::string entry, std::string_view separator) {
  if (const std::size_t at = entry.find(separator); at != std::string::npos) entry.replace(at, separator.size(), "/");
  names.emplace(entry, entry);
}

// The keys that a row changes: those of the quantisation that it names, then its own.
Result<Json> changes_of(const Json& root, const Json& row, const std::string& where) {
  Json changes;
  if (const auto named = row.find("quantization"); named != row.end()) {
    const Json* const settings =
        named->is_string() ? find_pointer(root, "/quantizations/" + named->get<std::string>() + "/config") : nullptr;
    if (settings == nullptr) return fail(ErrorCode::kBadRequest, "expected the name of one of /quantizations", where + "/quantization");
    changes = *settings;
  }
  if (const auto own = row.find("config"); own != row.end()) {
    if (!own->is_object()) return fail(ErrorCode::kBadRequest, "expected an object", where + "/config");
    changes.merge_patch(*own);
  }
  return changes;
}

std::string_view without_organisation(std::string_view name) {
  const std::size_t slash = name.find('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

std::string key_of(std::string_view name) {
  std::string key = lower_case(name);
  std::replace_if(
      key.begin(), key.end(), [](char c) { return c == '_' || c == ' '; }, '-');
  return key;
}

} // namespace

Result<std::vector<OtherName>> read_other_names(const std::string& catalogue_directory) {
  const std::string file = (std::filesystem::path(catalogue_directory).parent_path() / "model_names.json").string();
  std::vector<OtherName> out;
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(file));
  if (kind == PathKind::kMissing) return out;
  PLIMSOLL_ASSIGN(std::string text, read_text_file(file, kMostOtherNamesBytes, ErrorCode::kBadRequest));
  PLIMSOLL_ASSIGN(const Json root, parse_json(std::move(text), file, ErrorCode::kBadRequest));
  const Json* const list = find_pointer(root, "/names");
  if (list == nullptr || !list->is_array()) return fail(ErrorCode::kBadRequest, "expected a list of names", file + "#/names");
  for (const Json& row : *list) {
    const std::string where = fmt::format("{}#/names/{}", file, out.size());
    const Json *const name = find_pointer(row, "/name"), *const model = find_pointer(row, "/model");
    const Json* const assumed = find_pointer(row, "/assumed");
    if (name == nullptr || model == nullptr || !name->is_string() || !model->is_string() || (assumed != nullptr && !assumed->is_string()))
      return fail(ErrorCode::kBadRequest, "expected the texts 'name' and 'model', and 'assumed' where there is one", where);
    PLIMSOLL_ASSIGN(Json changes, changes_of(root, row, where));
    out.push_back({name->get<std::string>(), model->get<std::string>(), std::move(changes),
                   assumed == nullptr ? std::string() : assumed->get<std::string>()});
  }
  return out;
}

Result<KnownNames> find_known_model(std::string_view name, const std::string& cache_directory, const std::string& catalogue_directory) {
  NamesToModels names;
  std::vector<OtherName> others;
  if (!cache_directory.empty())
    each_entry(cache_directory, [&](const std::string& entry) {
      if (entry.starts_with("models--")) add_name(names, entry.substr(8), "--");
    });
  if (!catalogue_directory.empty()) {
    each_entry(catalogue_directory, [&](const std::string& entry) {
      if (entry.ends_with(".json")) add_name(names, entry.substr(0, entry.size() - 5), "__");
    });
    PLIMSOLL_ASSIGN(others, read_other_names(catalogue_directory));
    for (const OtherName& other : others) names.emplace(other.name, other.is_variant() ? other.name : other.model);
  }

  KnownNames out;
  const std::string key = key_of(name);
  const bool has_organisation = key.find('/') != std::string::npos;
  std::string_view same = without_organisation(key);
  if (same.ends_with("-gguf")) same.remove_suffix(5);
  std::set<std::string> meant, same_model;
  for (const auto& [known, model] : names) {
    if (key_of(known) == key || (!has_organisation && key_of(without_organisation(known)) == key)) meant.insert(model);
    if (key_of(without_organisation(known)) == same) same_model.insert(model);
  }
  if (meant.size() == 1) out.name = *meant.begin();
  else out.meant.assign(meant.begin(), meant.end());
  for (OtherName& other : others)
    if (other.is_variant() && other.name == out.name) out.variant = std::move(other);
  if (!meant.empty()) return out;

  // A copy under another organisation or as GGUF, else what is a few letters away.
  constexpr std::size_t kMostNearest = 3;
  out.nearest.assign(same_model.begin(), same_model.end());
  if (out.nearest.size() > kMostNearest) out.nearest.resize(kMostNearest);
  if (!out.nearest.empty()) return out;
  std::vector<std::string_view> candidates;
  for (const auto& [known, model] : names) candidates.push_back(has_organisation ? std::string_view(known) : without_organisation(known));
  for (const std::string& near : nearest(name, candidates, 3))
    for (const auto& [known, model] : names)
      if ((has_organisation ? std::string_view(known) : without_organisation(known)) == near &&
          std::find(out.nearest.begin(), out.nearest.end(), model) == out.nearest.end())
        out.nearest.push_back(model);
  if (out.nearest.size() > kMostNearest) out.nearest.resize(kMostNearest);
  return out;
}

} // namespace plimsoll
