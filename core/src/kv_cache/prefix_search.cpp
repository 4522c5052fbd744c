#include "kv_cache/prefix_search.hpp"

namespace plimsoll {

PageId PrefixSearch::page_of(const TextContext& context, Request& request, const TableSpec& table, std::size_t lane,
                             std::size_t page) const {
  return pools_[table.pool].find(salted(request.keys[table.keys].at(context, page), salts_[table.first_row + lane]));
}

bool PrefixSearch::has(const TextContext& context, Request& request, const TableSpec& table, std::size_t page) const {
  for (std::size_t lane = 0; lane < table.lanes; ++lane)
    if (page_of(context, request, table, lane, page) == kNullPage) return false;
  return true;
}

std::uint64_t PrefixSearch::longest_of_full(const TextContext& context, Request& request, const TableSpec& table,
                                            std::uint64_t limit) const {
  std::size_t page = 0;
  while ((page + 1) * table.page_tokens <= limit && has(context, request, table, page)) ++page;
  return aligned(page * table.page_tokens);
}

// A missing page rules out every prefix that reaches beyond its begin, up to the one that needed it: what the next token sees begins
// the earlier, the shorter the prefix.
std::uint64_t PrefixSearch::longest_of_window(const TextContext& context, Request& request, const TableSpec& table,
                                              std::uint64_t limit) const {
  while (limit > 0) {
    const std::size_t first = table.first_seen(limit) / table.page_tokens;
    std::size_t page = limit / table.page_tokens;
    while (page > first && has(context, request, table, page - 1)) --page;
    if (page == first) break;
    limit = aligned((page - 1) * table.page_tokens);
  }
  return limit;
}

std::uint64_t PrefixSearch::find(const TextContext& context, Request& request, std::uint64_t limit) const {
  std::uint64_t hit = aligned(limit);
  for (const TableSpec& table : layout_.tables)
    if (table.kind == CacheKind::kFull) hit = longest_of_full(context, request, table, hit);
  for (std::uint64_t before = hit + 1; before != hit;) {
    before = hit;
    for (const TableSpec& table : layout_.tables)
      if (is_windowed(table.kind)) hit = longest_of_window(context, request, table, hit);
  }
  if (hit == 0) return 0;
  for (const TableSpec& table : layout_.tables)
    for (std::size_t lane = 0; lane < table.lanes; ++lane) {
      PageRow& row = request.rows[table.first_row + lane];
      row.first_held = static_cast<std::uint32_t>(table.first_seen(hit) / table.page_tokens);
      row.published = static_cast<std::uint32_t>(hit / table.page_tokens);
      row.pages.assign(row.first_held, kNullPage);
      while (row.pages.size() < row.published) row.pages.push_back(page_of(context, request, table, lane, row.pages.size()));
    }
  return hit;
}

} // namespace plimsoll
