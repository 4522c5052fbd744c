// See model_name.hpp.
#include "checkpoint/model_name.hpp"

#include <algorithm>
#include <array>

#include "base/digit.hpp"
#include "base/words.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostNameBytes = 2'048, kMostPartBytes = 200;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_' || c == '.';
}

// A part of a path: what a repository, a branch or a file of one may be called.
bool is_part(std::string_view part) {
  return !part.empty() && part.size() <= kMostPartBytes && part.front() != '.' && part.find("..") == std::string_view::npos &&
         std::all_of(part.begin(), part.end(), is_name_character);
}

bool is_path(std::string_view path) {
  while (true) {
    const std::size_t slash = path.find('/');
    if (!is_part(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (lower_case(text.substr(0, prefix.size())) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Cuts the hub's address off the front.
bool take_hub(std::string_view& text) {
  if (take_prefix(text, "hf://")) {
    take_prefix(text, "models/");
    return true;
  }
  std::string_view rest = text;
  if (!take_prefix(rest, "https://")) take_prefix(rest, "http://");
  take_prefix(rest, "www.");
  if (!take_prefix(rest, "huggingface.co/") && !take_prefix(rest, "hf.co/")) return false;
  text = rest;
  return true;
}

// The part up to `end`, which is cut off with it; all of it where there is none.
std::string_view take_until(std::string_view& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(text.size(), at + 1));
  return part;
}

// "tree/main/FOLDER", "blob/main/FILE", "resolve/main/FILE": what follows org/name in the address of a page.
bool take_page(std::string_view page, ModelName& name) {
  if (page.empty()) return true;
  const std::string_view kind = take_until(page, '/');
  constexpr std::array<std::string_view, 4> kKinds{"tree", "blob", "resolve", "raw"};
  if (std::find(kKinds.begin(), kKinds.end(), kind) == kKinds.end()) return page.empty(); // "discussions" and the like say nothing
  name.revision = take_until(page, '/');
  name.file = page;
  return is_part(name.revision) && (name.file.empty() || is_path(name.file));
}

} // namespace

std::string ModelName::text() const {
  return repository + (revision.empty() ? "" : "@" + revision) + (gguf_tag.empty() ? "" : ":" + gguf_tag);
}

std::optional<ModelName> parse_model_name(std::string_view text) {
  if (text.size() > kMostNameBytes) return std::nullopt;
  ModelName name;
  name.is_address = take_hub(text);
  if (name.is_address) text = text.substr(0, text.find_first_of("?#"));
  while (name.is_address && text.ends_with('/')) text.remove_suffix(1);
  if (text.ends_with('/')) return std::nullopt;

  std::string_view first = take_until(text, '/'), second = take_until(text, '/');
  const bool one_part = second.empty();
  if (!text.empty() && (one_part || !name.is_address)) return std::nullopt;
  std::string_view& last = one_part ? first : second;
  if (const std::size_t colon = last.find(':'); colon != std::string_view::npos) {
    name.gguf_tag = last.substr(colon + 1);
    last = last.substr(0, colon);
    if (!is_part(name.gguf_tag)) return std::nullopt;
  }
  if (const std::size_t at = last.find('@'); at != std::string_view::npos) {
    name.revision = last.substr(at + 1);
    last = last.substr(0, at);
    if (!is_part(name.revision)) return std::nullopt;
  }
  if (!is_part(first) || (!one_part && !is_part(second))) return std::nullopt;
  name.repository = std::string(first) + (one_part ? "" : "/" + std::string(second));
  if (std::string_view again = name.repository; take_hub(again)) return std::nullopt; // the hub is no organisation
  if (!take_page(text, name)) return std::nullopt;
  if (name.revision == "main") name.revision.clear();
  return name;
}

} // namespace plimsoll
