#include "plugin/manifest_reader.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plimsoll/abi.h"
#include "storage/json_node.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kIdLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-";

const Json kNothing = nullptr;
const Json kNoItems = Json::array();

bool made_of(std::string_view text, std::string_view letters) {
  return !text.empty() && text.find_first_not_of(letters) == std::string_view::npos;
}

// A part of a version: digits without zeros in front.
bool is_version_number(std::string_view part) { return made_of(part, kDigits) && (part.size() == 1 || part[0] != '0'); }

std::vector<std::string_view> parts_of(std::string_view list) {
  std::vector<std::string_view> parts;
  for (std::size_t end = 0; end != std::string_view::npos; list.remove_prefix(end == std::string_view::npos ? 0 : end + 1)) {
    end = list.find('.');
    parts.push_back(list.substr(0, end));
  }
  return parts;
}

bool are_identifiers(std::string_view list, bool numbers_are_plain) {
  for (const std::string_view part : parts_of(list)) {
    if (!made_of(part, "0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")) return false;
    if (numbers_are_plain && made_of(part, kDigits) && !is_version_number(part)) return false;
  }
  return true;
}

} // namespace

const Json* ManifestReader::member(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}
Json* ManifestReader::member(Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string ManifestReader::name(const Json& value, const std::string& pointer) {
  if (is_name(value)) return value.get<std::string>();
  wrong(pointer, value.is_number() ? "a text was expected; put it in quotes" : "a non-empty text was expected");
  return {};
}

std::string ManifestReader::text(const Json& object, const std::string& pointer, const char* key) {
  const Json* value = member(object, key);
  return name(value == nullptr ? kNothing : *value, pointer + "/" + key);
}

std::string ManifestReader::identifier(const Json& object, const std::string& pointer, const char* key) {
  std::string id = text(object, pointer, key);
  const bool starts_right = !id.empty() && std::string_view("_.-").find(id.front()) == std::string_view::npos;
  if (!starts_right || id.size() > PLIMSOLL_MAX_NAME_BYTES || !made_of(id, kIdLetters))
    wrong(pointer + "/" + key,
          fmt::format("up to {} letters, digits, - . and _ were expected, a letter or digit first", PLIMSOLL_MAX_NAME_BYTES));
  return id;
}

std::uint32_t ManifestReader::number(const Json& object, const std::string& pointer, const char* key) {
  const Json* value = member(object, key);
  const auto number = value == nullptr ? std::nullopt : as_u64(*value);
  if (number && *number <= 65535) return static_cast<std::uint32_t>(*number);
  wrong(pointer + "/" + key, "a number from 0 to 65535 was expected");
  return 0;
}

std::uint64_t ManifestReader::number(const Json& object, const std::string& pointer, const char* key, std::uint64_t most,
                                     std::uint64_t fallback) {
  const Json* value = member(object, key);
  if (value == nullptr) return fallback;
  const auto number = as_u64(*value);
  if (number && *number <= most) return *number;
  wrong(pointer + "/" + key, fmt::format("a number from 0 to {} was expected", most));
  return fallback;
}

std::string ManifestReader::file_name(const Json& value, const std::string& pointer) {
  const auto plain = [](const std::string& name) {
    return !name.empty() && name.find('/') == std::string::npos && name != ".." && name != ".";
  };
  std::string file = name(value, pointer);
  if (!plain(file)) wrong(pointer, "a file name in the plugin's own folder was expected");
  return file;
}

const Json& ManifestReader::list(const Json& object, const std::string& pointer, const char* key) {
  const Json* value = member(object, key);
  if (value != nullptr && value->is_array()) return *value;
  if (value != nullptr) wrong(pointer + "/" + key, "a list was expected");
  return kNoItems;
}

void ManifestReader::take_names(Json& list, const std::string& pointer, const std::string& key, std::vector<std::string>& out) {
  const auto here = [&] { return pointer + "/" + key; };
  if (!list.is_array()) return wrong(here(), "a list was expected");
  if (list.size() > kMaxManifestNames) return wrong(here(), fmt::format("{} names; at most {} are read", list.size(), kMaxManifestNames));
  out.reserve(out.size() + list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!is_name(list[i])) name(list[i], fmt::format("{}/{}", here(), i));
    else out.push_back(std::move(list[i].get_ref<std::string&>()));
  }
}

void ManifestReader::only_known(const Json& object, const std::string& pointer, const std::string_view* known, std::size_t n) {
  for (const auto& [key, value] : object.get_ref<const Json::object_t&>())
    if (std::find(known, known + n, key) == known + n) wrong(fmt::format("{}/{}", pointer, key), unknown_key(key, {known, known + n}));
}

std::uint32_t ManifestReader::one_named(const Json* value, const std::string& pointer, const NamedValue* names, std::size_t n) {
  if (value != nullptr && value->is_string())
    for (const NamedValue* named = names; named != names + n; ++named)
      if (named->name == value->get_ref<const std::string&>()) return named->value;
  std::string known;
  for (const NamedValue* named = names; named != names + n; ++named) known += (known.empty() ? "" : ", ") + std::string(named->name);
  wrong(pointer, fmt::format("one of {} was expected", known));
  return 0;
}

void ManifestReader::wrong(const std::string& pointer, const std::string& message) {
  wrong(Error{ErrorCode::kPluginFailed, message, fmt::format("{}: {}", path_, pointer)});
}
void ManifestReader::wrong(const Error& error) {
  if (!error_) error_ = error;
}

bool is_semantic_version(std::string_view text) {
  if (text.size() > 128) return false;
  const std::size_t plus = text.find('+');
  if (plus != std::string_view::npos && !are_identifiers(text.substr(plus + 1), false)) return false;
  text = text.substr(0, plus);
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos && !are_identifiers(text.substr(dash + 1), true)) return false;
  const std::vector<std::string_view> core = parts_of(text.substr(0, dash));
  return core.size() == 3 && std::all_of(core.begin(), core.end(), is_version_number);
}

bool is_printable_name(std::string_view text) {
  if (text.empty() || text.size() > PLIMSOLL_MAX_NAME_BYTES) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (byte < 0x20 || byte == 0x7f || c1) return false;
  }
  return true;
}

bool is_newer_version(std::string_view version, std::string_view than) {
  const auto without_build = [](std::string_view text) { return text.substr(0, text.find('+')); };
  const auto core = [](std::string_view text) { return text.substr(0, text.find('-')); };
  // Numbers by their size, words by their bytes, a number before a word, a shorter list before one that goes on.
  const auto before = [](std::string_view a, std::string_view b) {
    const bool a_number = made_of(a, kDigits), b_number = made_of(b, kDigits);
    if (a_number != b_number) return a_number;
    return a_number && a.size() != b.size() ? a.size() < b.size() : a < b;
  };
  const auto list_before = [&](std::string_view a, std::string_view b) {
    const std::vector<std::string_view> left = parts_of(a), right = parts_of(b);
    return std::lexicographical_compare(left.begin(), left.end(), right.begin(), right.end(), before);
  };
  version = without_build(version);
  than = without_build(than);
  if (core(version) != core(than)) return list_before(core(than), core(version));
  const bool is_release = core(version) == version, other_is_release = core(than) == than;
  if (is_release || other_is_release) return is_release && !other_is_release;
  return list_before(than.substr(core(than).size() + 1), version.substr(core(version).size() + 1));
}

} // namespace plimsoll
