// After a forward pass: pages that it filled are published, pages that nobody will see again go back. And the inputs of the next one.
#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "kv_cache/manager.hpp"

namespace plimsoll {

Result<void> PagedKvManager::Impl::step(std::span<const TextContext* const> batch) {
  stepping_.clear();
  for (const TextContext* context : batch) {
    Request* const request = requests_.find(context->id());
    if (request == nullptr) return not_claimed(*context);
    PLIMSOLL_TRY(check_position(*request, *context));
    stepping_.push_back(request);
  }
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Request& request = *stepping_[i];
    for (const TableSpec& table : layout_.tables) {
      if (!table.grows()) continue;
      if (layout_.hit_alignment_tokens > 0 && request.publishes) publish(*batch[i], request, table);
      if (is_windowed(table.kind)) free_unseen(*batch[i], request, table);
    }
  }
  return {};
}

void PagedKvManager::Impl::publish(const TextContext& context, Request& request, const TableSpec& table) {
  const std::uint64_t known = std::min(context.processed_length(), context.realised_length());
  const auto complete = static_cast<std::uint32_t>(table.pages_filled(known));
  BlockPool& pool = replicas_[request.replica].pools[table.pool];
  for (std::size_t lane = 0; lane < table.lanes; ++lane) {
    PageRow& row = request.rows[table.first_row + lane];
    for (; row.published < complete; ++row.published) {
      const BlockKey& key = request.keys[table.keys].at(context, row.published);
      // Where another page has the key already both are kept, see PagedKvManager.
      static_cast<void>(pool.publish(row.pages[row.published], salted(key, salts_[table.first_row + lane])));
    }
  }
}

void PagedKvManager::Impl::free_unseen(const TextContext& context, Request& request, const TableSpec& table) {
  const std::uint64_t seen_from = table.pages_filled(table.first_seen(context.processed_length()));
  for (std::size_t lane = 0; lane < table.lanes; ++lane) {
    PageRow& row = request.rows[table.first_row + lane];
    const auto end = static_cast<std::uint32_t>(std::min<std::uint64_t>(seen_from, row.pages.size()));
    if (end <= row.first_held) continue;
    give_back_pages(replicas_[request.replica].pools[table.pool], row, row.first_held, end);
    std::fill(row.pages.begin() + row.first_held, row.pages.begin() + end, kNullPage);
    row.first_held = end;
  }
}

Result<KvInputs> PagedKvManager::Impl::runtime_inputs(std::span<const TextContext* const> batch, std::uint32_t replica) {
  if (replica >= replicas_.size())
    return fail(ErrorCode::kBadRequest, fmt::format("inputs of replica {} are asked for, there are {}", replica, replicas_.size()));
  entries_.clear();
  for (const TextContext* context : batch) {
    const Request* const request = requests_.find(context->id());
    if (request == nullptr) return not_claimed(*context);
    if (request->replica != replica)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("request {} is in a batch of replica {} and was claimed for {}; a batch is of one replica", request->id,
                              replica, request->replica));
    PLIMSOLL_TRY(check_position(*request, *context));
    for (const TableSpec& table : layout_.tables)
      if (table.grows() && request->rows[table.first_row].pages.size() * table.page_tokens < context->current_position())
        return fail(ErrorCode::kBadRequest, fmt::format("request {} has no pages for its tokens up to {}; call alloc first", request->id,
                                                        context->current_position()));
    entries_.push_back({request, context->processed_length(), context->active_length(), end_of(*context)});
  }
  return replicas_[replica].tables.write(layout_, entries_);
}

} // namespace plimsoll
