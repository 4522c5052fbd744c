// The manager's audit: what requests hold against what pools count. For tests; allocates as it likes.
#include <fmt/format.h>
#include <map>

#include "base/checked.hpp"
#include "kv_cache/manager.hpp"

namespace plimsoll {
namespace {

tl::unexpected<Error> broken(std::string what) { return fail(ErrorCode::kInternal, "KV manager: " + std::move(what)); }

// References of every pool's pages, as the requests' rows have them.
using Held = std::vector<std::map<PageId, std::uint32_t>>;

std::string add_rows(const CacheLayout& layout, const Request& request, Held& held) {
  for (const TableSpec& table : layout.tables)
    for (std::size_t lane = 0; lane < table.lanes; ++lane) {
      const PageRow& row = request.rows[table.first_row + lane];
      if (row.pages.size() != request.rows[table.first_row].pages.size()) return "has lanes of unlike lengths";
      for (std::size_t i = 0; i < row.pages.size(); ++i) {
        if ((row.pages[i] == kNullPage) != (i < row.first_held))
          return fmt::format("has page {} at position {} of a row held from {}", row.pages[i], i, row.first_held);
        if (row.pages[i] != kNullPage) ++held[table.pool][row.pages[i]];
      }
    }
  return {};
}

} // namespace

Result<void> PagedKvManager::Impl::audit() const {
  for (std::uint32_t index = 0; index < replicas_.size(); ++index) {
    const Replica& replica = replicas_[index];
    Held held(layout_.n_pools);
    std::vector<std::vector<bool>> row_held;
    for (const std::uint64_t rows : layout_.state_rows[index]) row_held.emplace_back(rows, false);
    std::string wrong;
    requests_.for_each([&](const Request& request) {
      if (request.replica != index || !wrong.empty()) return;
      wrong = add_rows(layout_, request, held);
      for (const StateSpec& state : layout_.states)
        for (std::size_t i = 0; i < state.rows; ++i) {
          const std::uint32_t row = request.state_rows[state.first_row + i];
          if (state.pool != kNoPool) ++held[state.pool][row];
          else if (std::vector<bool>& taken = row_held[layout_.state_of_group[state.group]]; taken.at(row))
            wrong = fmt::format("shares state row {}", row);
          else taken[row] = true;
        }
      if (!wrong.empty()) wrong = fmt::format("request {} {}", request.id, wrong);
    });
    if (!wrong.empty()) return broken(wrong);
    for (std::size_t i = 0; i < replica.free_rows.size(); ++i) {
      for (const std::uint32_t row : replica.free_rows[i]) {
        if (row_held[i].at(row)) return broken(fmt::format("state row {} is free twice or held", row));
        row_held[i][row] = true;
      }
      for (std::uint64_t row = 0; row < layout_.state_rows[index][i]; ++row)
        if (!row_held[i].at(row)) return broken(fmt::format("state row {} is lost", row));
    }
    for (std::size_t i = 0; i < replica.pools.size(); ++i) {
      PLIMSOLL_TRY(replica.pools[i].audit());
      if (held[i].size() != replica.pools[i].used_pages())
        return broken(fmt::format("requests hold {} pages of pool {}, {} are used", held[i].size(), i, replica.pools[i].used_pages()));
      for (const auto& [page, times] : held[i])
        if (replica.pools[i].references(page) != times)
          return broken(
              fmt::format("page {} of pool {} has {} references and {} holders", page, i, replica.pools[i].references(page), times));
    }
  }
  return {};
}

} // namespace plimsoll
