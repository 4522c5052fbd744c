// Files of prices (YAML), `H100: 2.49` a line: see plimsoll/fit.hpp. Called by whoever reads --prices. Reads one bounded file and knows no
// card; a message names file:line. Threads: pure functions.
#include <charconv>
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/printable.hpp"
#include "base/regular_file.hpp"
#include "plimsoll/fit.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostPriceBytes = 1U << 20;
constexpr std::size_t kMostPrices = 4'096;

tl::unexpected<Error> bad_price(const std::string& path, const YAML::Node& node, std::string message) {
  const int line = node.Mark().line;
  return fail(ErrorCode::kBadRequest, std::move(message), line < 0 ? path : fmt::format("{}:{}", path, line + 1));
}

Result<std::map<std::string, double>> prices_in(const std::string& path, const YAML::Node& root) {
  if (!root.IsMap()) return bad_price(path, root, "prices are a map of cards, such as 'H100: 2.49'");
  if (root.size() > kMostPrices) return bad_price(path, root, fmt::format("{} prices; at most {} are read", root.size(), kMostPrices));
  std::map<std::string, double> out;
  for (const auto& entry : root) {
    if (!entry.first.IsScalar() || entry.first.Scalar().empty())
      return bad_price(path, entry.first, "a key that is no word; give the name of a card");
    const std::string name = printable_text(entry.first.Scalar(), 60);
    if (!entry.second.IsScalar())
      return bad_price(path, entry.first, fmt::format("{} has no price; give a number, for an hour of one card", name));
    const std::string& text = entry.second.Scalar();
    double price = 0;
    const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), price, std::chars_format::fixed);
    if (text.empty() || stop != text.data() + text.size() || status != std::errc() || !(price >= 0 && price <= kMaxPrice))
      return bad_price(path, entry.second,
                       fmt::format("'{}' is no price of {}; a number from 0 to {:.0f} was expected, such as 2.49", printable_text(text, 60),
                                   name, kMaxPrice));
    if (!out.emplace(entry.first.Scalar(), price).second)
      return bad_price(path, entry.first, fmt::format("{} is given twice; keep one", name));
  }
  return out;
}

} // namespace

Result<std::map<std::string, double>> read_prices(const std::string& path) {
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(path, kMostPriceBytes, ErrorCode::kBadRequest));
  try {
    return prices_in(path, YAML::Load(text));
  } catch (const YAML::Exception& problem) {
    const std::string where = problem.mark.is_null() ? path : fmt::format("{}:{}", path, problem.mark.line + 1);
    return fail(ErrorCode::kBadRequest, fmt::format("this is not YAML: {}", problem.msg), where);
  }
}

} // namespace plimsoll
