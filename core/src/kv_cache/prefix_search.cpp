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
  const std::uint64_t most = table.pages_filled(limit);
  std::uint64_t pages = 0;
  for (bool found = true; found && pages < most; pages += found ? 1 : 0)
    for (std::size_t lane = 0; lane < table.lanes && found; ++lane) {
      const PageId page = page_of(context, request, table, lane, pages);
      found = page != kNullPage;
      if (found) request.rows[table.first_row + lane].pages.push_back(page);
    }
  return aligned(pages * table.page_tokens);
}

// A missing page rules out every prefix that reaches beyond its begin, up to the one that needed it: what the next token sees begins
// the earlier, the shorter the prefix.
std::uint64_t PrefixSearch::longest_of_window(const TextContext& context, Request& request, const TableSpec& table,
                                              std::uint64_t limit) const {
  while (limit > 0) {
    const std::size_t first = table.pages_filled(table.first_seen(limit));
    std::size_t page = table.pages_filled(limit);
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
  for (const TableSpec& table : layout_.tables)
    for (std::size_t lane = 0; lane < table.lanes; ++lane) {
      PageRow& row = request.rows[table.first_row + lane];
      row.first_held = static_cast<std::uint32_t>(table.pages_filled(table.first_seen(hit)));
      row.published = static_cast<std::uint32_t>(table.pages_filled(hit));
      if (table.kind == CacheKind::kFull) {
        row.pages.resize(row.published);
        continue;
      }
      row.pages.assign(row.first_held, kNullPage);
      while (row.pages.size() < row.published) row.pages.push_back(page_of(context, request, table, lane, row.pages.size()));
    }
  return hit;
}

} // namespace plimsoll
