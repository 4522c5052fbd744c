#include "base/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/words.hpp"

namespace plimsoll {
namespace {

// How many letters make `b` of `a`, both small; more than `most` where it takes more.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t most, std::vector<std::size_t>& row) {
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > most) return most + 1;
  row.resize(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1), least = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t swapped = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      const std::size_t one_more = std::min(row[j], diagonal) + 1;
      row[j + 1] = std::min(one_more, swapped);
      least = std::min(least, row[j + 1]);
    }
    if (least > most) return most + 1; // it never shrinks
  }
  return row[b.size()];
}

} // namespace

std::vector<std::string> nearest(std::string_view name, const std::vector<std::string_view>& names, std::size_t count) {
  const std::string small = lower_case(name.substr(0, 128));
  std::vector<std::pair<std::size_t, std::string_view>> ranked; // the best `count` so far
  std::vector<std::size_t> row;
  for (const std::string_view known : names) {
    std::size_t most = std::max(small.size(), known.size()) / 2;
    if (count != 0 && ranked.size() == count) most = std::min(most, ranked.back().first);
    const std::size_t distance = edit_distance(small, lower_case(known.substr(0, 128)), most, row);
    if (distance > most) continue;
    const std::pair<std::size_t, std::string_view> entry(distance, known);
    ranked.insert(std::upper_bound(ranked.begin(), ranked.end(), entry), entry);
    if (ranked.size() > count) ranked.pop_back();
  }
  std::vector<std::string> out;
  for (const auto& [distance, known] : ranked) out.emplace_back(known);
  return out;
}

std::string either(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) out += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return out;
}

} // namespace plimsoll
