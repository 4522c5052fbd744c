// See log_wording.hpp.
#include "compare/log_wording.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>

#include "base/digit.hpp"
#include "base/regular_file.hpp"
#include "base/yaml.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostFileBytes = 1U << 20;
constexpr std::size_t kMostAttempts = 16; // places of one line that are tried; a line that needs more is none of an engine

bool blank(char c) { return c == ' ' || c == '\t'; }

bool in_name(char c) { return c == '_' || c == '-' || is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

struct Unit {
  std::string_view name;
  double scale;
};
constexpr std::array<Unit, 4> kUnits{{{"1", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}}};

std::size_t skip_blanks(std::string_view line, std::size_t at) {
  while (at < line.size() && blank(line[at])) ++at;
  return at;
}

// Where `literal` ends if it stands at `at`, blanks being of any number.
std::optional<std::size_t> literal_end(std::string_view line, std::size_t at, std::string_view literal) {
  for (const char c : literal) {
    if (c == ' ') {
      at = skip_blanks(line, at);
      continue;
    }
    if (at == line.size() || line[at] != c) return std::nullopt;
    ++at;
  }
  return at;
}

std::size_t number_end(std::string_view line, std::size_t at) {
  std::size_t end = at;
  if (end < line.size() && (line[end] == '-' || line[end] == '+')) ++end;
  const std::size_t digits = end;
  while (end < line.size() &&
         (is_digit(line[end]) || (line[end] == ',' && end > digits && end + 1 < line.size() && is_digit(line[end + 1]))))
    ++end;
  if (end == digits) return at;
  if (end + 1 < line.size() && line[end] == '.' && is_digit(line[end + 1])) {
    ++end;
    while (end < line.size() && is_digit(line[end])) ++end;
  }
  return end;
}

std::size_t word_end(std::string_view line, std::size_t at, char after) {
  if (after == '\'' || after == '"') return std::min(line.find(after, at), line.size());
  constexpr std::string_view kStops = " \t,;()[]{}'\"";
  return std::min(line.find_first_of(kStops, at), line.size());
}

std::string_view longest_word(std::string_view text) {
  std::string_view longest;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (word.size() > longest.size()) longest = word;
    text.remove_prefix(std::min(word.size() + 1, text.size()));
  }
  return longest;
}

template <class T>
bool read(const Json& root, const char* key, T& out) {
  if (!root.contains(key)) return true;
  try {
    out = root[key].get<T>();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

Result<Json> read_document(const std::string& file, const char* schema) {
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(file, kMostFileBytes, ErrorCode::kInternal));
  PLIMSOLL_ASSIGN(Json root, parse_yaml(text, file, ErrorCode::kInternal));
  if (!root.is_object() || root.value("schema", "") != schema)
    return fail(ErrorCode::kInternal, fmt::format("schema is missing or malformed, {} was expected", schema), file);
  return root;
}

struct Saying {
  std::string_view word;
  Says says;
  StartRefusal refusal;
};
constexpr std::array<Saying, 10> kSayings{{{"", Says::kNothing, StartRefusal::kNone},
                                           {"arguments", Says::kArguments, StartRefusal::kNone},
                                           {"started", Says::kStarted, StartRefusal::kNone},
                                           {"retried", Says::kRetried, StartRefusal::kNone},
                                           {"free_memory", Says::kRefused, StartRefusal::kFreeMemory},
                                           {"state_blocks", Says::kRefused, StartRefusal::kStateBlocks},
                                           {"one_request", Says::kRefused, StartRefusal::kOneRequest},
                                           {"no_kv_memory", Says::kRefused, StartRefusal::kNoKvMemory},
                                           {"fraction", Says::kRefused, StartRefusal::kFraction},
                                           {"out_of_memory", Says::kRefused, StartRefusal::kOutOfMemory}}};

Result<LineWording> read_line(const Json& entry, const std::string& where) {
  constexpr std::array<std::string_view, 5> kTakes{"first", "last", "least", "most", "sum"};
  std::string text, says, take = "first";
  LineWording line;
  if (!entry.is_object() || !read(entry, "text", text) || !read(entry, "inside", line.inside) || !read(entry, "part", line.part) ||
      !read(entry, "take", take) || !read(entry, "says", says) || !read(entry, "shared", line.shared))
    return fail(ErrorCode::kInternal, "lines is missing or malformed", where);
  const auto* saying = std::find_if(kSayings.begin(), kSayings.end(), [&](const Saying& known) { return known.word == says; });
  if (saying == kSayings.end()) return fail(ErrorCode::kInternal, "says is missing or malformed", where);
  line.says = saying->says;
  line.refusal = saying->refusal;
  const auto* found = std::find(kTakes.begin(), kTakes.end(), take);
  if (found == kTakes.end()) return fail(ErrorCode::kInternal, "take is missing or malformed", where);
  line.take = static_cast<Take>(found - kTakes.begin());
  PLIMSOLL_ASSIGN(line.pattern, LinePattern::parse(text, where));
  return line;
}

std::string with(std::string text, std::string_view what, std::string_view value) {
  if (const std::size_t at = text.find(what); at != std::string::npos) text.replace(at, what.size(), value);
  return text;
}

// Arguments that an engine prints as a list: one entry of `arguments`, a line for each name, once with its value in quotes and once
// without.
Result<void> read_arguments(const Json& entry, const std::string& where, std::vector<LineWording>& out) {
  const auto bad = [&] { return fail(ErrorCode::kInternal, "arguments is missing or malformed", where); };
  std::string form, inside, part;
  std::map<std::string, std::string> names;
  if (!entry.is_object() || !read(entry, "form", form) || !read(entry, "inside", inside) || !read(entry, "part", part) ||
      !read(entry, "names", names) || form.find("KEY") == std::string::npos || form.find("VALUE") == std::string::npos)
    return bad();
  for (const auto& [key, name] : names)
    for (const char* quote : {"'", "\"", ""}) {
      LineWording line;
      line.inside = inside;
      line.part = part;
      const std::string value = quote + ("{" + name + "}") + quote;
      PLIMSOLL_ASSIGN(line.pattern, LinePattern::parse(with(with(form, "KEY", key), "VALUE", value), where));
      line.pattern.begin_at_name();
      out.push_back(std::move(line));
    }
  return {};
}

Result<Wording> read_wording(const std::string& file) {
  PLIMSOLL_ASSIGN(const Json root, read_document(file, "plimsoll.log/1"));
  const auto bad = [&](std::string_view key) { return fail(ErrorCode::kInternal, fmt::format("{} is missing or malformed", key), file); };
  Wording out;
  if (!read(root, "engine", out.engine) || out.engine.empty()) return bad("engine");
  if (!read(root, "releases", out.releases)) return bad("releases");
  if (out.releases.empty()) out.releases.emplace_back();
  if (!read(root, "also_named", out.also_named)) return bad("also_named");
  if (!read(root, "release_prefix", out.release_prefix)) return bad("release_prefix");
  if (!read(root, "spare_pages", out.spare_pages)) return bad("spare_pages");
  if (!read(root, "spare_slots", out.spare_slots)) return bad("spare_slots");
  if (!read(root, "weights_as_stored", out.weights_as_stored)) return bad("weights_as_stored");
  if (!read(root, "values", out.values)) return bad("values");
  if (!root.contains("lines") || !root["lines"].is_array()) return bad("lines");
  for (const Json& entry : root.value("arguments", Json::array())) PLIMSOLL_TRY(read_arguments(entry, file, out.lines));
  for (const Json& entry : root["lines"]) {
    PLIMSOLL_ASSIGN(LineWording line, read_line(entry, file));
    out.lines.push_back(std::move(line));
  }
  for (const LineWording& line : out.lines) {
    if (!line.part.empty() && std::find(out.parts.begin(), out.parts.end(), line.part) == out.parts.end()) out.parts.push_back(line.part);
    out.has_fraction = out.has_fraction || line.pattern.has_field("device_memory_utilization");
  }
  return out;
}

} // namespace

Result<LinePattern> LinePattern::parse(std::string_view text, const std::string& where) {
  LinePattern out;
  while (!text.empty()) {
    Part part;
    if (text[0] != '{') {
      const std::size_t end = std::min(text.find('{'), text.size());
      part.literal = text.substr(0, end);
      text.remove_prefix(end);
      out.parts_.push_back(std::move(part));
      continue;
    }
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos) return fail(ErrorCode::kInternal, "a field without its closing brace", where);
    const std::string_view inner = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    const std::size_t colon = inner.find(':');
    part.anything = inner == "*";
    part.field.name = inner.substr(0, colon);
    if (colon != std::string_view::npos) {
      const auto* unit = std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.name == inner.substr(colon + 1); });
      if (unit == kUnits.end()) return fail(ErrorCode::kInternal, fmt::format("'{}' is no unit", inner.substr(colon + 1)), where);
      part.field.scale = unit->scale;
    }
    if (!out.parts_.empty() && out.parts_.back().literal.empty())
      return fail(ErrorCode::kInternal, "two fields without text between them", where);
    out.parts_.push_back(std::move(part));
  }
  if (out.parts_.empty() || out.parts_[0].literal.empty() || blank(out.parts_[0].literal[0]))
    return fail(ErrorCode::kInternal, "a pattern begins with text", where);
  return out;
}

bool LinePattern::match_at(std::string_view line, std::size_t at, std::vector<Capture>& out) const {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (!part.literal.empty()) {
      const auto end = literal_end(line, at, part.literal);
      if (!end) return false;
      at = *end;
      continue;
    }
    const std::string_view next = i + 1 < parts_.size() ? std::string_view(parts_[i + 1].literal) : std::string_view();
    if (part.anything) {
      const std::size_t first = std::min(next.find_first_not_of(' '), next.size());
      const std::size_t word = std::min(next.find(' ', first), next.size());
      at = line.find(next.substr(first, word - first), at);
      if (at == std::string_view::npos) return false;
      continue;
    }
    const std::size_t end = part.field.scale > 0 ? number_end(line, at) : word_end(line, at, next.empty() ? '\0' : next[0]);
    if (end == at) return false;
    out.push_back({&part.field, line.substr(at, end - at)});
    at = end;
  }
  return true;
}

std::optional<LinePattern::Match> LinePattern::match(std::string_view line) const {
  const std::string_view literal = parts_[0].literal;
  const std::string_view anchor = literal.substr(0, literal.find(' '));
  Match out;
  std::size_t at = line.find(anchor);
  for (std::size_t attempt = 0; at != std::string_view::npos && attempt < kMostAttempts; ++attempt) {
    out.captures.clear();
    out.begin = at;
    const bool inside_name = at_name_ && at > 0 && in_name(line[at - 1]);
    if (!inside_name && match_at(line, at, out.captures)) return out;
    at = line.find(anchor, at + 1);
  }
  return std::nullopt;
}

bool LinePattern::has_field(std::string_view name) const {
  return std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) { return part.field.name == name; });
}

std::string_view LinePattern::key() const {
  std::string_view longest;
  for (const Part& part : parts_) {
    const std::string_view word = longest_word(part.literal);
    if (word.size() > longest.size()) longest = word;
  }
  return longest;
}

std::string_view LineWording::key() const {
  std::string_view longest = pattern.key();
  for (const std::string_view other : {longest_word(inside), longest_word(part)})
    if (other.size() > longest.size()) longest = other;
  return longest;
}

Result<std::vector<Wording>> read_wordings(const std::string& catalogue_path) {
  const std::filesystem::path folder = std::filesystem::path(catalogue_path) / "logs";
  std::error_code failed;
  std::vector<std::string> files;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".yaml") files.push_back(it->path().string());
  if (failed) return fail(ErrorCode::kInternal, "the catalogue has no such folder", folder.string());
  std::sort(files.begin(), files.end());
  std::vector<Wording> out;
  for (const std::string& file : files) {
    PLIMSOLL_ASSIGN(Wording wording, read_wording(file));
    out.push_back(std::move(wording));
  }
  return out;
}

Result<std::map<std::string, std::string>> read_model_keys(const std::string& catalogue_path) {
  const std::string file = (std::filesystem::path(catalogue_path) / "records" / "model_keys.yaml").string();
  PLIMSOLL_ASSIGN(const Json root, read_document(file, "plimsoll.model_keys/1"));
  std::map<std::string, std::string> out;
  if (!read(root, "models", out) || out.empty()) return fail(ErrorCode::kInternal, "models is missing or malformed", file);
  return out;
}

} // namespace plimsoll
