// plimsoll/kv_cache.hpp - the paged KV manager: which request's tokens stand in which page. It keeps numbers only; whoever
// allocates the memory (a host, the runtime's arena) takes its bytes from the same KvGeometry, which a plan hands out.
// Errors are values: ErrorCode::kInsufficientBlocks where a pool is short, kBadRequest for misuse; either changes nothing.
// Threads: [serial] per object. Two managers share nothing. After a warm-up no call that succeeds allocates heap memory.
//
//   auto kv = PagedKvManager::create(plan.kv_geometry, {.replicas = plan.request.dp});
//   kv->claim(context.id());                       // once, when the request is admitted
//   kv->alloc(context);                            // every step: pages for its active tokens; a prefix hit shortens them
//   kv->runtime_inputs(batch);                     // page tables and lengths; then the forward pass and sampling
//   context.update(token);                         // or advance_chunk()
//   kv->step(batch);                               // complete pages can be hit from now on, pages behind windows go back
//   kv->release(context.id());                     // once
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/kv_geometry.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/text_context.hpp"

namespace plimsoll {

// ---- Block pool -----------------------------------------------------------------------------------------------------------

using PageId = std::uint32_t;
inline constexpr PageId kNullPage = 0;               // stands for "no page" in every pool, and is never handed out
inline constexpr std::uint64_t kMaxPages = 1U << 28; // of one pool: 12 GiB of bookkeeping

// What a published page holds: the hash of all tokens up to its end and of what else they mean (salt, adapter, media).
struct BlockKey {
  std::uint64_t low = 0, high = 0;
  friend bool operator==(const BlockKey&, const BlockKey&) = default;
};

// Pages 1 ... pages of one id space: who holds how many references, which are free and in which order they are used again,
// which can be found by a key. Flat arrays, 40 to 48 bytes a page. The free list's sentinel is page 0, the null page.
// A free page keeps its key, and can be found, until it is allocated anew. Freed pages with a key go to the list's end, so the
// least recently used one goes first; those without go to its front, where they are used before any cached page is lost.
class PLIMSOLL_API BlockPool {
public:
  static Result<BlockPool> create(std::uint64_t pages);

  // Fills `out` with pages of one reference each and without a key, or changes nothing. kInsufficientBlocks: more than are free.
  Result<void> allocate(std::span<PageId> out);
  // Takes one reference of each page; the first page is evicted first. kBadRequest: a page that nobody holds; nothing changed.
  Result<void> release(std::span<const PageId> eviction_order);
  // Adds a reference to each page, free ones (found by key) included. kBadRequest: the null page or one beyond the pool.
  Result<void> touch(std::span<const PageId> pages);
  // The page with that key, kNullPage where there is none. Moves nothing.
  PageId find(const BlockKey& key) const noexcept;
  // Makes a held page without a key findable, and returns the page that has the key from now on: where another one had it
  // before, that one, and `page` stays without. So a caller chooses: ignore the answer and keep both (tables stay as they are),
  // or touch the answer, release `page` and use the answer in its place.
  Result<PageId> publish(PageId page, const BlockKey& key);
  // No page can be found any more, free or held; nothing else changes.
  void forget_all() noexcept;

  std::uint32_t total_pages() const { return total_; } // without the null page
  std::uint32_t free_pages() const { return free_; }
  std::uint32_t used_pages() const { return total_ - free_; }
  std::uint32_t cached_pages() const { return cached_; } // that have a key, free or held
  std::uint64_t evictions() const { return evictions_; } // free pages that lost their key to an allocation
  std::uint32_t references(PageId page) const { return page < pages_.size() ? pages_[page].references : 0; }
  bool is_free(PageId page) const { return page != kNullPage && page < pages_.size() && pages_[page].references == 0; }
  std::optional<BlockKey> key_of(PageId page) const;
  // The free pages, the next to be used first. For tests and reports; allocates.
  std::vector<PageId> free_list() const;
  // Walks everything: lists, counters, keys. kInternal: says what does not agree.
  Result<void> audit() const;

private:
  struct Page {
    PageId previous = 0, next = 0; // of the free list
    std::uint32_t references = 0;
    bool has_key = false, listed = true; // listed: among the free ones
    BlockKey key;
  };
  explicit BlockPool(std::uint32_t pages);
  void link_between(PageId page, PageId previous, PageId next);
  void unlink(PageId page);
  void forget(PageId page);
  PageId slot_of(const BlockKey& key) const noexcept;

  std::vector<Page> pages_;            // [0]: the null page, the list's sentinel
  std::vector<std::uint32_t> buckets_; // page ids by key, linear probing; 0: empty
  std::uint32_t total_ = 0, free_ = 0, cached_ = 0;
  std::uint64_t evictions_ = 0;
};

// ---- Manager --------------------------------------------------------------------------------------------------------------

// How page tables number pages, and how wide they are.
enum class TableLayout : std::uint8_t {
  kMax,  // pages are 0 ... N - 1, the null page is N; columns = ceil(longest / page) rounded up to 8, + 16, so that wide loads stay inside
  kExact // the null page is 0, pages are 1 ... N; columns = ceil(longest / page)
};
// What stands in unused columns where the geometry has no null page (null_pages 0, as engines that count it among their own): not the
// number of any page. Pages are then 0 ... N - 1 in both layouts, and who reads a table must not look beyond a request's length or
// before its window.
inline constexpr std::uint32_t kNoPage = UINT32_MAX;

struct KvOptions {
  std::uint32_t replicas = 1;     // data-parallel copies; replica r has the ranks [r * n, (r + 1) * n), and pools of its own
  bool prefix_caching = true;     // off by itself where a group keeps states or encoder tokens
  std::uint64_t slack_tokens = 0; // positions past its active tokens that a request may write: drafted tokens
  TableLayout layout = TableLayout::kMax;
  // Of the keys of published pages; drawn from the system where absent. XXH3 is no cryptographic hash: a seed that nobody outside
  // knows is what keeps tenants from crafting collisions.
  std::optional<std::uint64_t> key_seed = std::nullopt;
};

struct KvAllocation {
  std::uint64_t hit_tokens = 0; // that the cache had: the context's processed tokens grew by them
  std::uint64_t new_pages = 0;  // newly taken, of all groups
};

// One group's part of a batch's inputs. A batch has one row per request, in the order of the contexts.
struct KvGroupInputs {
  // [lanes, batch, columns] page numbers; full and latent groups of one page size have the same table. Empty for states. Unused
  // columns, and pages behind a window, hold `fill`.
  std::span<const std::uint32_t> table;
  std::uint32_t lanes = 0, columns = 0; // lanes > 1 only where groups share blocks that are smaller than their pages, see place()
  std::uint32_t fill = 0;
  // States: [batch, rows_per_request] row numbers (blocks, where groups share blocks: [batch, rows_per_sequence, lanes]).
  std::span<const std::uint32_t> state_rows;
  std::uint32_t rows_per_request = 0;
};

// What the forward pass of one replica's batch needs beside the pages themselves. The spans belong to the manager and are valid until
// its next call of runtime_inputs for that replica.
struct KvInputs {
  std::uint32_t batch = 0;
  std::span<const KvGroupInputs> groups;        // in the geometry's order
  std::span<const std::uint32_t> cache_lengths; // [batch] tokens that are in the cache before the step
  std::span<const std::uint32_t> max_lengths;   // [1, 2] the most active tokens of a request, the largest of cache_lengths
};

struct KvInputsOptions {
  std::uint32_t replica = 0; // where the requests were claimed
};

struct KvMetrics {
  std::uint64_t total_pages = 0, used_pages = 0, free_pages = 0; // of all pools of all replicas, null pages excepted
  std::uint64_t cached_pages = 0;                                // can be hit, used or free
  std::uint64_t hit_tokens = 0, queried_tokens = 0;              // of all first allocations that looked for a prefix
  std::uint64_t evictions = 0;                                   // cached pages that gave way
  std::uint64_t requests = 0;                                    // claimed now
};

// Where a layer's part of a page lies.
struct KvPlace {
  std::uint32_t lane = 0;         // whose table names the page
  std::uint64_t offset_bytes = 0; // from the page's begin
  std::uint64_t bytes = 0;
};

// Groups of a geometry in pools: full and latent groups of one page size have one id space, a window, chunk or encoder group has a
// pool of its own, a state group has rows; where the geometry's groups share blocks, all draw from one pool of them.
// Page p of a group begins p * page_bytes into its pool on every rank (p * block_bytes into the shared one), so numbers are the same
// on all ranks of a replica although bytes differ. Page tables only ever grow at their end: a page that turns out to hold what
// another one holds already is kept beside it, so that tables that a running step reads never change under it.
class PLIMSOLL_API PagedKvManager {
public:
  // kBadRequest: a geometry that is empty (its plan does not fit, or is pooled) or contradicts itself, or whose ranks cannot be
  // dealt to the replicas.
  static Result<PagedKvManager> create(KvGeometry geometry, const KvOptions& options = {});
  PagedKvManager(PagedKvManager&&) noexcept;
  PagedKvManager& operator=(PagedKvManager&&) noexcept;
  ~PagedKvManager();

  // Registers a request with a replica, for good, and takes what every request has whatever its length: state rows and the pages of
  // encoder tokens. Pages for tokens come with alloc. Claim when a request is admitted, not when it arrives: rows are few.
  Result<void> claim(RequestId id, std::uint32_t replica = 0);
  bool contains(RequestId id) const;
  std::optional<std::uint32_t> replica_of(RequestId id) const;

  // Pages for the context's active tokens (and the slack), in all groups or in none. A request that holds no page yet is looked up
  // first: what the cache has of its tokens, all but the last one, is shared and skipped. On failure the context, the pools and the
  // order of eviction are as before. A claimed request is one context's until release: its tokens before `processed` may not change.
  Result<KvAllocation> alloc(TextContext& context);
  // The most active tokens, beyond the prefix that would be hit, for which alloc succeeds now: a chunk limit for schedulers. 0: none.
  // A window's pool holds little more than the windows, however long a prompt.
  Result<std::uint64_t> fitting_tokens(const TextContext& context) const;
  // Pages for so many positions behind the active tokens, too: tokens that a draft proposes before they are the request's. All of them or
  // none (kInsufficientBlocks); alloc came first. They stay with the request, whatever becomes of the draft.
  Result<void> reserve(const TextContext& context, std::uint64_t further_tokens);
  // Tables and lengths of a batch of one replica, whose requests have their pages. Asking again without a change gives the same bytes.
  Result<KvInputs> runtime_inputs(std::span<const TextContext* const> batch, const KvInputsOptions& options = {});
  // After the forward pass, with the contexts updated: publishes pages that processed, realised tokens fill, and gives pages back that
  // no later token can see. All contexts or none.
  Result<void> step(std::span<const TextContext* const> batch);
  // Gives back all that a request holds, the pages of its end to be evicted first.
  Result<void> release(RequestId id);

  // Nothing that is cached now will be hit again, nor what running requests still add to it; their pages stay theirs.
  void reset_prefix_cache() noexcept;
  bool prefix_caching() const;
  // A hit is a multiple of it.
  std::uint64_t hit_alignment_tokens() const;

  const KvGeometry& geometry() const;
  std::uint32_t n_replicas() const;
  std::uint32_t ranks_per_replica() const;
  // Of a group's pool in a replica, as the plan counts: with null pages; rows for states; the shared blocks where groups share them.
  std::uint64_t total_pages(std::size_t group, std::uint32_t replica = 0) const;
  std::uint64_t free_pages(std::size_t group, std::uint32_t replica = 0) const;
  // All KV memory of a rank, as planned.
  std::uint64_t bytes(std::uint32_t rank) const;
  // The part of layer `layer` of those that the rank's stage holds of a group, in a page or state row.
  KvPlace place(std::uint32_t rank, std::size_t group, std::uint64_t layer) const;

  KvMetrics metrics() const;
  // Walks every pool and request: references, lists, keys. kInternal: says what does not agree. For tests; allocates.
  Result<void> audit() const;

private:
  class Impl;
  explicit PagedKvManager(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

// A claim that is released when it goes out of scope. The manager outlives it.
class PLIMSOLL_API KvClaim {
public:
  static Result<KvClaim> take(PagedKvManager& manager, RequestId id, std::uint32_t replica = 0);
  KvClaim(KvClaim&& other) noexcept;
  KvClaim& operator=(KvClaim&& other) noexcept;
  ~KvClaim();

  RequestId id() const { return id_; }
  // Gives it back now; the destructor does nothing then.
  Result<void> release();

private:
  KvClaim(PagedKvManager& manager, RequestId id) : manager_(&manager), id_(id) {}
  PagedKvManager* manager_ = nullptr;
  RequestId id_ = 0;
};

} // namespace plimsoll
