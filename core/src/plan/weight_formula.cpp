#include "plan/weight_formula.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>

#include "placement/weight_shard.hpp"

namespace plimsoll {
namespace {

// "256 experts / 8 ranks" where the parts are equal, else what is there.
std::string divided(std::uint64_t whole, std::string_view unit, std::uint64_t here, std::uint64_t parts) {
  return parts > 1 && here * parts == whole ? fmt::format("{}{} / {} ranks", whole, unit, parts) : fmt::format("{}{}", here, unit);
}

std::string shape_text(const WeightClass& c, const WeightDims& dims, std::uint32_t degree) {
  std::string out;
  for (std::uint32_t i = 0; i < c.n_dims; ++i)
    out += (i == 0 ? "" : " x ") + divided(c.dims[i], "", dims[i], i == c.shard_dim && !c.parts.empty() ? degree : 1);
  return "[" + out + "]";
}

} // namespace

std::string WeightFormula::term_text(const WeightTerm& term, bool whole) const {
  const WeightShare share = weight_share(c, layout);
  std::string out;
  if (term.layers != 1) out += fmt::format("{} layers x ", term.layers);
  if (c.experts != 0) out += divided(share.experts, " experts", term.experts, whole ? 1 : share.expert_groups) + " x ";
  out += fmt::format("{} {} of {} B", shape_text(c, term.dims, whole ? 1 : share.degree), term.storage, term.tensor_bytes);
  if (term.bytes != term.tensor_bytes * term.experts * term.layers) out += fmt::format(" as declared, {} B as stored", term.bytes);
  return out;
}

std::string WeightFormula::text(const std::vector<WeightTerm>& terms, bool whole) const {
  std::string out;
  for (const WeightTerm& term : terms) out += (out.empty() ? "" : " + ") + term_text(term, whole);
  if (out.empty() || whole) return out;
  const WeightShare share = weight_share(c, layout);
  if (c.placement == PLIMSOLL_PLACE_ONE) out += ", on one rank of each tp group";
  else if (share.members > 1 && share.degree == 1 && share.expert_groups == 1) out += ", on every rank";
  if (c.memory == MemoryKind::kHost) out += ", in host memory";
  return out;
}

Result<void> WeightFormula::put_on(Item& item) const {
  if (!layout.row_shares.empty()) { // bounds, not products
    item.formula = "cut by rows, by each device's share, and up to 128 rows more";
    return {};
  }
  std::vector<std::string> all(layout.ranks());
  for (std::uint32_t rank = 0; rank < layout.ranks(); ++rank) {
    if (item.bytes[rank] == 0) continue;
    PLIMSOLL_ASSIGN(const std::vector<WeightTerm> terms, weight_terms(c, layout, types, stored, rank));
    all[rank] = text(terms, false);
    if (item.formula.empty()) item.formula = all[rank];
  }
  if (std::any_of(all.begin(), all.end(), [&](const std::string& one) { return !one.empty() && one != item.formula; }))
    item.rank_formulas = std::move(all);
  return {};
}

Result<std::string> WeightFormula::of_host() const {
  if (!layout.uses_host()) return std::string();
  PLIMSOLL_ASSIGN(const std::vector<WeightTerm> terms, weight_terms(c, layout, types, stored, std::nullopt));
  return text(terms, true);
}

} // namespace plimsoll
