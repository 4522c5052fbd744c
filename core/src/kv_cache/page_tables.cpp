#include "kv_cache/page_tables.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxCells = 1ULL << 32; // of one table: 16 GiB

} // namespace

PageTables::PageTables(const CacheLayout& layout, std::uint32_t replica, const KvOptions& options)
    : layout_(options.layout), tables_(layout.tables.size()), state_cells_(layout.states.size()), groups_(layout.table_of_group.size()) {
  for (std::size_t i = 0; i < tables_.size(); ++i) tables_[i].numbers = numbers_of(layout.pools[replica][layout.tables[i].pool]);
  for (const StateSpec& state : layout.states)
    if (state.pool != kNoPool) block_numbers_ = numbers_of(layout.pools[replica][state.pool]);
}

PageTables::Numbers PageTables::numbers_of(const PoolSpec& pool) const {
  if (pool.null_pages == 0) return {kNoPage, 0};
  if (layout_ == TableLayout::kExact) return {0, 1};
  return {static_cast<std::uint32_t>(pool.usable()), 0};
}

std::size_t PageTables::columns_for(std::uint64_t pages) const {
  return static_cast<std::size_t>(layout_ == TableLayout::kMax ? ceil_div(pages, 8) * 8 + 16 : pages);
}

Result<KvInputs> PageTables::write(const CacheLayout& layout, std::span<const Entry> batch) {
  std::uint64_t longest = 0, most_active = 0, most_cached = 0;
  for (const Entry& entry : batch) {
    longest = std::max(longest, entry.end_tokens);
    most_active = std::max(most_active, entry.active_tokens);
    most_cached = std::max(most_cached, entry.processed_tokens);
  }
  if (longest > UINT32_MAX)
    return fail(ErrorCode::kBadRequest, fmt::format("a request of {} tokens is longer than inputs can say; split it", longest));
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const TableSpec& spec = layout.tables[i];
    const std::size_t columns = columns_for(spec.pages_for(spec.grows() ? longest : spec.fixed_tokens));
    if ((Checked(columns) * batch.size() * spec.lanes).saturated() > kMaxCells)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("a page table of {} requests with {} columns is too large; make the batch smaller", batch.size(), columns));
    if (columns != tables_[i].columns || (spec.lanes > 1 && batch.size() != tables_[i].batch)) tables_[i].shown.clear();
    tables_[i].columns = columns;
    tables_[i].batch = batch.size();
    write_table(spec, tables_[i], batch);
  }
  for (std::size_t i = 0; i < layout.states.size(); ++i) write_states(layout.states[i], i, batch);
  cache_lengths_.resize(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) cache_lengths_[i] = static_cast<std::uint32_t>(batch[i].processed_tokens);
  max_lengths_ = {static_cast<std::uint32_t>(most_active), static_cast<std::uint32_t>(most_cached)};
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    KvGroupInputs& out = groups_[group];
    if (const std::size_t i = layout.table_of_group[group]; i != kNoPool) {
      const Table& table = tables_[i];
      const std::size_t lanes = layout.tables[i].lanes;
      out.table = std::span(table.cells).first(lanes * table.batch * table.columns);
      out.lanes = static_cast<std::uint32_t>(lanes);
      out.columns = static_cast<std::uint32_t>(table.columns);
      out.fill = table.numbers.fill;
    } else {
      const std::size_t state = layout.state_of_group[group];
      out.state_rows = state_cells_[state];
      out.rows_per_request = static_cast<std::uint32_t>(layout.states[state].rows);
    }
  }
  return KvInputs{static_cast<std::uint32_t>(batch.size()), groups_, cache_lengths_, max_lengths_};
}

void PageTables::write_table(const TableSpec& spec, Table& table, std::span<const Entry> batch) {
  const std::size_t cells = spec.lanes * batch.size() * table.columns;
  if (table.cells.size() < cells) table.cells.resize(cells);
  if (table.shown.size() < batch.size()) table.shown.resize(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) write_row(spec, table, batch[i], i);
}

void PageTables::write_row(const TableSpec& spec, Table& table, const Entry& entry, std::size_t index) {
  const PageRow& first = entry.request->rows[spec.first_row];
  const std::uint64_t wanted = spec.pages_for(spec.grows() ? entry.end_tokens : spec.fixed_tokens);
  const auto used = static_cast<std::uint32_t>(std::min<std::uint64_t>(first.pages.size(), wanted));
  Shown& shown = table.shown[index];
  const bool same = shown.serial == entry.request->serial && shown.written <= used;
  if (same && shown.written == used && shown.first_held == first.first_held) return;
  for (std::size_t lane = 0; lane < spec.lanes; ++lane) {
    const PageRow& row = entry.request->rows[spec.first_row + lane];
    std::uint32_t* cells = table.cells.data() + (lane * table.batch + index) * table.columns;
    if (same) std::fill(cells + shown.first_held, cells + std::max(shown.first_held, std::min(row.first_held, used)), table.numbers.fill);
    else std::fill(cells + used, cells + table.columns, table.numbers.fill);
    for (std::uint32_t page = same ? shown.written : 0; page < used; ++page) cells[page] = table.numbers.of(row.pages[page]);
  }
  shown = {entry.request->serial, used, first.first_held};
}

void PageTables::write_states(const StateSpec& spec, std::size_t state, std::span<const Entry> batch) {
  std::vector<std::uint32_t>& cells = state_cells_[state];
  cells.resize(batch.size() * spec.rows);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const std::vector<std::uint32_t>& rows = batch[i].request->state_rows;
    for (std::size_t row = 0; row < spec.rows; ++row) {
      const std::uint32_t held = rows[spec.first_row + row];
      cells[i * spec.rows + row] = spec.pool == kNoPool ? held : block_numbers_.of(held);
    }
  }
}

} // namespace plimsoll
