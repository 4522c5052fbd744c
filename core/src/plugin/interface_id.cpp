#include "plugin/interface_id.hpp"

#include <algorithm>

#include "base/digit.hpp"

namespace plimsoll {
namespace {

bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

// Parts joined by points: each begins with a letter and goes on with letters, digits, - and _.
bool is_name(std::string_view name) {
  bool fresh = true;
  for (const char c : name) {
    if (fresh ? !is_letter(c) : !is_letter(c) && !is_digit(c) && c != '-' && c != '_' && c != '.') return false;
    fresh = c == '.';
  }
  return !fresh;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 9 && text.front() != '0' && std::all_of(text.begin(), text.end(), is_digit);
}

} // namespace

bool is_interface_id(std::string_view id) {
  constexpr std::string_view kDraft = "draft.";
  if (id.size() > PLIMSOLL_MAX_NAME_BYTES) return false;
  const std::size_t slash = id.find('/');
  if (slash == std::string_view::npos || !is_name(id.substr(0, slash))) return false;
  std::string_view revision = id.substr(slash + 1);
  if (revision.starts_with(kDraft)) revision.remove_prefix(kDraft.size());
  return is_number(revision);
}

} // namespace plimsoll
