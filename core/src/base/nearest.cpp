#include "base/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace plimsoll {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t swapped = diagonal + (lower(a[i]) == lower(b[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, swapped});
    }
  }
  return row[b.size()];
}

} // namespace

std::vector<std::string> nearest(std::string_view name, const std::vector<std::string_view>& names, std::size_t count) {
  name = name.substr(0, 128);
  std::vector<std::pair<std::size_t, std::string_view>> ranked;
  for (const std::string_view known : names) {
    const std::size_t distance = edit_distance(name, known.substr(0, 128));
    if (distance * 2 <= std::max(name.size(), known.size())) ranked.emplace_back(distance, known);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(count, ranked.size()); ++i) out.emplace_back(ranked[i].second);
  return out;
}

std::string either(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) out += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return out;
}

} // namespace plimsoll
