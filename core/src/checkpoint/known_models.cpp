// See known_models.hpp.
#include "checkpoint/known_models.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <system_error>
#include <utility>

#include "base/digit.hpp"
#include "base/json.hpp"
#include "base/nearest.hpp"
#include "base/regular_file.hpp"
#include "base/words.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostModels = 100'000;
constexpr std::uint64_t kMostOtherNamesBytes = 1U << 20;

constexpr std::size_t kNoRow = std::string::npos;
// How the file of other names begins a row, and one of its quantisations: a line each, which a test holds, so that a row is found without
// reading the others.
constexpr std::string_view kRowBegins = "\n    {\"name\": \"", kEntryBegins = "\n    \"";

// A name, and where its row begins in the file of other names.
struct Known {
  std::string_view name;
  std::size_t row = kNoRow;
};

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
std::string with_slash(std::string entry, std::string_view separator) {
  if (const std::size_t at = entry.find(separator); at != std::string::npos) entry.replace(at, separator.size(), "/");
  return entry;
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

Result<OtherName> other_name(const Json& root, const Json& row, const std::string& where) {
  const Json *const name = find_pointer(row, "/name"), *const model = find_pointer(row, "/model");
  const Json* const assumed = find_pointer(row, "/assumed");
  if (name == nullptr || model == nullptr || !name->is_string() || !model->is_string() || (assumed != nullptr && !assumed->is_string()))
    return fail(ErrorCode::kBadRequest, "expected the texts 'name' and 'model', and 'assumed' where there is one", where);
  PLIMSOLL_ASSIGN(Json changes, changes_of(root, row, where));
  return OtherName{name->get<std::string>(), model->get<std::string>(), std::move(changes),
                   assumed == nullptr ? std::string() : assumed->get<std::string>()};
}

std::string file_of_other_names(const std::string& catalogue_directory) {
  return (std::filesystem::path(catalogue_directory).parent_path() / "model_names.json").string();
}

// The text of that file; empty where there is none.
Result<std::string> text_of_other_names(const std::string& file) {
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(file));
  if (kind == PathKind::kMissing) return std::string();
  return read_text_file(file, kMostOtherNamesBytes, ErrorCode::kBadRequest);
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

bool has_key(std::string_view name, std::string_view key) { return name.size() == key.size() && key_of(name) == key; }

// "llama", "3", "1", "8", "b": runs of letters and of digits, small.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> out;
  char before = ' ';
  for (const char c : lower_case(name)) {
    const bool digit = is_digit(c), letter = c >= 'a' && c <= 'z';
    const bool goes_on = (digit && is_digit(before)) || (letter && before >= 'a' && before <= 'z');
    if (goes_on) out.back() += c;
    else if (digit || letter) out.emplace_back(1, c);
    before = c;
  }
  return out;
}

// Whether the words stand in the name in that order, others between them or not.
bool has_words(std::string_view name, const std::vector<std::string>& words) {
  std::size_t found = 0;
  for (const std::string& word : words_of(name))
    if (found < words.size() && word == words[found]) ++found;
  return found == words.size();
}

// Every name that is known here: of two that are alike the first counts.
class NamesHere {
public:
  NamesHere(std::string cache_directory, std::string catalogue_directory)
      : cache_(std::move(cache_directory)), catalogue_(std::move(catalogue_directory)) {}

  Result<void> read_rows() {
    if (catalogue_.empty()) return {};
    file_ = file_of_other_names(catalogue_);
    PLIMSOLL_ASSIGN(rows_, text_of_other_names(file_));
    return {};
  }

  // Of the folders, then of the file.
  std::vector<Known> all() {
    folders_.clear();
    if (!cache_.empty())
      each_entry(cache_, [&](const std::string& entry) {
        if (entry.starts_with("models--")) folders_.push_back(with_slash(entry.substr(8), "--"));
      });
    if (!catalogue_.empty())
      each_entry(catalogue_, [&](const std::string& entry) {
        if (entry.ends_with(".json")) folders_.push_back(with_slash(entry.substr(0, entry.size() - 5), "__"));
      });
    std::vector<Known> out;
    for (const std::string& name : folders_) out.push_back({name, kNoRow});
    for (std::size_t at = rows_.find(kRowBegins); at != std::string::npos; at = rows_.find(kRowBegins, at + 1)) {
      const std::size_t begin = at + kRowBegins.size();
      out.push_back({std::string_view(rows_).substr(begin, rows_.find('"', begin) - begin), at});
    }
    return out;
  }

  // Where the row of exactly that name begins.
  std::size_t row_of(std::string_view name) const { return rows_.find(fmt::format("{}{}\"", kRowBegins, name)); }

  // The row that begins at `at`.
  Result<OtherName> row(std::size_t at) const {
    PLIMSOLL_ASSIGN(const Json row, line(at + kRowBegins.find('{')));
    Json root;
    if (const auto named = row.find("quantization"); named != row.end() && named->is_string()) {
      const std::string begins = fmt::format("{}{}\": ", kEntryBegins, named->get<std::string>());
      if (const std::size_t entry = rows_.find(begins); entry != std::string::npos) {
        PLIMSOLL_ASSIGN(root["quantizations"][named->get<std::string>()], line(entry + begins.size()));
      }
    }
    return other_name(root, row, fmt::format("{}: byte {}", file_, at));
  }
  // What the known name stands for: mostly itself.
  Result<std::string> model_of(const Known& known) const {
    if (known.row == kNoRow) return std::string(known.name);
    PLIMSOLL_ASSIGN(OtherName other, row(known.row));
    return other.is_variant() ? other.name : other.model;
  }

private:
  // What stands from there to the end of the line, but for the comma.
  Result<Json> line(std::size_t begin) const {
    std::string text = rows_.substr(begin, rows_.find('\n', begin) - begin);
    if (text.ends_with(',')) text.pop_back();
    return parse_json(std::move(text), fmt::format("{}: byte {}", file_, begin), ErrorCode::kBadRequest);
  }

  std::string cache_, catalogue_, rows_, file_;
  std::vector<std::string> folders_;
};

} // namespace

Result<std::vector<OtherName>> read_other_names(const std::string& catalogue_directory) {
  const std::string file = file_of_other_names(catalogue_directory);
  std::vector<OtherName> out;
  PLIMSOLL_ASSIGN(std::string text, text_of_other_names(file));
  if (text.empty()) return out;
  PLIMSOLL_ASSIGN(const Json root, parse_json(std::move(text), file, ErrorCode::kBadRequest));
  const Json* const list = find_pointer(root, "/names");
  if (list == nullptr || !list->is_array()) return fail(ErrorCode::kBadRequest, "expected a list of names", file + "#/names");
  for (const Json& row : *list) {
    PLIMSOLL_ASSIGN(OtherName other, other_name(root, row, fmt::format("{}#/names/{}", file, out.size())));
    out.push_back(std::move(other));
  }
  return out;
}

Result<KnownNames> find_known_model(std::string_view name, const std::string& cache_directory, const std::string& catalogue_directory) {
  NamesHere names(cache_directory, catalogue_directory);
  PLIMSOLL_TRY(names.read_rows());
  KnownNames out;
  const auto settled = [&](std::string model) -> Result<KnownNames> {
    out.name = std::move(model);
    if (const std::size_t at = names.row_of(out.name); at != kNoRow) {
      PLIMSOLL_ASSIGN(OtherName other, names.row(at));
      if (other.is_variant()) out.variant = std::move(other);
    }
    return std::move(out);
  };
  // Letter by letter: who asks has looked into the folders for it.
  if (const std::size_t at = names.row_of(name); at != kNoRow) {
    PLIMSOLL_ASSIGN(std::string model, names.model_of({name, at}));
    return settled(std::move(model));
  }

  const std::vector<Known> all = names.all();
  const std::string key = key_of(name);
  const bool has_organisation = key.find('/') != std::string::npos;
  const auto as_typed = [&](std::string_view known) { return has_organisation ? known : without_organisation(known); };

  std::set<std::string_view> seen;
  std::set<std::string> meant;
  for (const Known& known : all) {
    const bool same_name = has_key(known.name, key) || has_key(as_typed(known.name), key);
    if (!same_name || !seen.insert(known.name).second) continue;
    PLIMSOLL_ASSIGN(std::string model, names.model_of(known));
    meant.insert(std::move(model));
  }
  if (meant.size() == 1) return settled(*meant.begin());
  out.meant.assign(meant.begin(), meant.end());
  if (!meant.empty()) return out;

  // A copy under another organisation or as GGUF.
  constexpr std::size_t kMostNearest = 3;
  std::string_view same = without_organisation(key);
  if (same.ends_with("-gguf")) same.remove_suffix(5);
  std::set<std::string> same_model;
  for (const Known& known : all) {
    if (!has_key(without_organisation(known.name), same)) continue;
    PLIMSOLL_ASSIGN(std::string model, names.model_of(known));
    same_model.insert(std::move(model));
  }
  out.nearest.assign(same_model.begin(), same_model.end());
  if (out.nearest.empty()) {
    // Names that say all of it and more, the shortest first: "nemotron-70b"; else what is a few letters away.
    std::vector<std::string_view> candidates, fuller;
    const std::vector<std::string> words = words_of(name);
    for (const Known& known : all) {
      candidates.push_back(as_typed(known.name));
      if (!words.empty() && has_words(candidates.back(), words)) fuller.push_back(candidates.back());
    }
    std::sort(fuller.begin(), fuller.end(),
              [](std::string_view a, std::string_view b) { return std::pair(a.size(), a) < std::pair(b.size(), b); });
    std::vector<std::string> near(fuller.begin(), fuller.end());
    for (std::string& other : nearest(name, candidates, kMostNearest)) near.push_back(std::move(other));
    for (std::size_t i = 0; i < near.size() && out.nearest.size() < kMostNearest; ++i)
      for (const Known& known : all) {
        if (as_typed(known.name) != near[i]) continue;
        PLIMSOLL_ASSIGN(std::string model, names.model_of(known));
        if (std::find(out.nearest.begin(), out.nearest.end(), model) == out.nearest.end()) out.nearest.push_back(std::move(model));
      }
  }
  if (out.nearest.size() > kMostNearest) out.nearest.resize(kMostNearest);
  return out;
}

} // namespace plimsoll
