// The manager behind plimsoll/kv_cache.hpp: claims.cpp registers and releases, allocation.cpp finds and takes pages, steps.cpp
// publishes and frees them and writes inputs. Every function that may fail checks first and changes afterwards. Threads: [serial].
#pragma once

#include <memory>
#include <vector>

#include "kv_cache/cache_layout.hpp"
#include "kv_cache/page_tables.hpp"
#include "kv_cache/request_table.hpp"

namespace plimsoll {

class PagedKvManager::Impl {
public:
  static Result<std::unique_ptr<Impl>> create(KvGeometry geometry, const KvOptions& options);

  Result<void> claim(RequestId id, std::uint32_t replica);
  Result<void> release(RequestId id);
  void reset_prefix_cache();

  Result<KvAllocation> alloc(TextContext& context);
  Result<void> reserve(const TextContext& context, std::uint64_t further_tokens);
  Result<std::uint64_t> fitting_tokens(const TextContext& context);

  Result<KvInputs> runtime_inputs(std::span<const TextContext* const> batch, std::uint32_t replica);
  Result<void> step(std::span<const TextContext* const> batch);

  KvMetrics metrics() const;
  Result<void> audit() const;
  std::uint64_t total_pages(std::size_t group, std::uint32_t replica) const;
  std::uint64_t free_pages(std::size_t group, std::uint32_t replica) const;

  const KvGeometry& geometry() const { return geometry_; }
  const CacheLayout& layout() const { return layout_; }
  const Request* find(RequestId id) const { return requests_.find(id); }

private:
  struct Replica {
    std::vector<BlockPool> pools;
    std::vector<std::vector<std::uint32_t>> free_rows; // per state; the last is used next
    PageTables tables;
  };

  Impl(KvGeometry geometry, const KvOptions& options, CacheLayout layout, std::uint64_t seed);
  Result<void> make_replicas();

  // claims.cpp
  Result<void> check_claim(RequestId id, std::uint32_t replica);
  void take_fixed_pages(Request& request, Replica& replica);
  void take_state_rows(Request& request, Replica& replica);
  void give_back_pages(BlockPool& pool, PageRow& row, std::size_t begin, std::size_t end);

  // allocation.cpp
  tl::unexpected<Error> not_claimed(const TextContext& context) const;
  // Whether the request holds what the context calls processed.
  Result<void> check_position(const Request& request, const TextContext& context) const;
  // Pages that every pool must have free so that the request can hold `end_tokens`, hits that nobody holds included: into demand_.
  void count_demand(const Request& request, std::uint64_t end_tokens);
  // Whether the pools have the demand; the error where they do not.
  bool enough(const Request& request) const;
  tl::unexpected<Error> too_few(const Request& request) const;
  std::uint64_t look_up(const TextContext& context, Request& request);
  void drop_hits(Request& request) const;
  void start(const TextContext& context, Request& request);
  std::uint64_t grow(Request& request, std::uint64_t end_tokens);

  // steps.cpp
  void publish(const TextContext& context, Request& request, const TableSpec& table);
  void free_unseen(const TextContext& context, Request& request, const TableSpec& table);
  std::uint64_t end_of(const TextContext& context) const { return context.current_position() + options_.slack_tokens; }

  KvGeometry geometry_;
  KvOptions options_;
  CacheLayout layout_;
  std::uint64_t seed_;
  std::vector<BlockKey> salts_; // by row: no table finds another one's pages
  std::vector<Replica> replicas_;
  RequestTable requests_;
  std::uint64_t hit_tokens_ = 0, queried_tokens_ = 0;
  std::vector<std::uint64_t> demand_;      // by pool
  std::vector<PageId> order_;              // pages that go back
  std::vector<PageTables::Entry> entries_; // of a batch
  std::vector<Request*> stepping_;
};

} // namespace plimsoll
