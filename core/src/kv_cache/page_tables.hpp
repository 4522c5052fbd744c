// The buffers that runtime_inputs hands out for one replica. A row that shows the same request as in the last call is only added to:
// pages of a request grow at their end and turn into null at their begin, nothing else changes. Threads: [serial].
#pragma once

#include <array>
#include <span>
#include <vector>

#include "kv_cache/cache_layout.hpp"
#include "kv_cache/request_table.hpp"

namespace plimsoll {

class PageTables {
public:
  PageTables(const CacheLayout& layout, std::uint32_t replica, const KvOptions& options);

  // One request of the batch: its claim, its context, positions that it occupies in this step with the slack.
  struct Entry {
    const Request* request = nullptr;
    std::uint64_t processed_tokens = 0, active_tokens = 0, end_tokens = 0;
  };
  // kBadRequest: lengths or numbers beyond 32 bits.
  Result<KvInputs> write(const CacheLayout& layout, std::span<const Entry> batch);

private:
  // What a row of a table shows.
  struct Shown {
    std::uint64_t serial = 0; // 0: nothing
    std::uint32_t written = 0, first_held = 0;
  };
  // How a pool's pages are numbered.
  struct Numbers {
    std::uint32_t fill = 0, first = 0; // of the null page, of page 1
    std::uint32_t of(PageId page) const { return page == kNullPage ? fill : page - 1 + first; }
  };
  struct Table {
    std::vector<std::uint32_t> cells; // [lanes, batch, columns]
    std::vector<Shown> shown;         // by row of the batch; for all lanes
    std::size_t columns = 0, batch = 0;
    Numbers numbers;
  };
  std::size_t columns_for(std::uint64_t pages) const;
  void write_table(const TableSpec& spec, Table& table, std::span<const Entry> batch);
  void write_row(const TableSpec& spec, Table& table, const Entry& entry, std::size_t index);
  void write_states(const StateSpec& spec, std::size_t state, std::span<const Entry> batch);

  Numbers numbers_of(const PoolSpec& pool) const;

  TableLayout layout_;
  std::vector<Table> tables_;
  std::vector<std::vector<std::uint32_t>> state_cells_;
  Numbers block_numbers_; // of states in shared blocks
  std::vector<std::uint32_t> cache_lengths_;
  std::array<std::uint32_t, 2> max_lengths_{};
  std::vector<KvGroupInputs> groups_;
};

} // namespace plimsoll
