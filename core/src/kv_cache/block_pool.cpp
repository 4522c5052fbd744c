// The block pool behind plimsoll/kv_cache.hpp. Page 0 is the sentinel of a ring: its `next` is the page that is used next, its
// `previous` the one that is used last. So the null page cannot be handed out: the list ends where it stands. Order of pages as
// vLLM frees them: its block pool puts hashed blocks at the end and others at the front. Threads: [serial].
#include <algorithm>
#include <fmt/format.h>

#include "kv_cache/index_table.hpp"
#include "plimsoll/kv_cache.hpp"

namespace plimsoll {
namespace {

std::size_t home_of(const BlockKey& key) { return static_cast<std::size_t>(key.low); }

} // namespace

Result<BlockPool> BlockPool::create(std::uint64_t pages) {
  if (pages > kMaxPages)
    return fail(ErrorCode::kBadRequest,
                fmt::format("a pool of {} pages was asked for, {} are the most; make pages larger or the pool smaller", pages, kMaxPages));
  return BlockPool(static_cast<std::uint32_t>(pages));
}

BlockPool::BlockPool(std::uint32_t pages) : pages_(std::size_t{pages} + 1), buckets_(buckets_for(pages), 0), total_(pages), free_(pages) {
  for (PageId page = 0; page < pages; ++page) {
    pages_[page].next = page + 1;
    pages_[page + 1].previous = page;
  }
  pages_[0].previous = pages; // pages_[pages].next is 0 already: a ring
}

void BlockPool::link_between(PageId page, PageId previous, PageId next) {
  pages_[page].previous = previous;
  pages_[page].next = next;
  pages_[previous].next = page;
  pages_[next].previous = page;
}

void BlockPool::unlink(PageId page) {
  const Page& p = pages_[page];
  pages_[p.previous].next = p.next;
  pages_[p.next].previous = p.previous;
}

Result<void> BlockPool::allocate(std::span<PageId> out) {
  if (out.size() > free_)
    return fail(
        ErrorCode::kInsufficientBlocks,
        fmt::format("{} pages are needed and {} of {} are free; release a request, or plan for a larger cache", out.size(), free_, total_));
  PageId page = pages_[kNullPage].next;
  for (PageId& taken : out) {
    taken = page;
    Page& p = pages_[page];
    if (p.has_key) {
      forget(page);
      ++evictions_;
    }
    p.references = 1;
    p.listed = false;
    page = p.next;
  }
  pages_[kNullPage].next = page; // the whole run leaves at once
  pages_[page].previous = kNullPage;
  free_ -= static_cast<std::uint32_t>(out.size());
  return {};
}

Result<void> BlockPool::release(std::span<const PageId> eviction_order) {
  for (std::size_t i = 0; i < eviction_order.size(); ++i) {
    if (references(eviction_order[i]) > 0) {
      --pages_[eviction_order[i]].references;
      continue;
    }
    for (std::size_t done = 0; done < i; ++done) ++pages_[eviction_order[done]].references;
    return fail(ErrorCode::kBadRequest, fmt::format("page {} is released, which nobody holds", eviction_order[i]));
  }
  PageId front = kNullPage; // after which the next page without a key goes
  for (const PageId page : eviction_order) {
    Page& p = pages_[page];
    if (p.references > 0 || p.listed) continue; // listed: it is in the order twice
    p.listed = true;
    ++free_;
    if (p.has_key) {
      link_between(page, pages_[kNullPage].previous, kNullPage);
    } else {
      link_between(page, front, pages_[front].next);
      front = page;
    }
  }
  return {};
}

Result<void> BlockPool::touch(std::span<const PageId> pages) {
  for (const PageId page : pages)
    if (page == kNullPage || page > total_)
      return fail(ErrorCode::kBadRequest, fmt::format("page {} is no page of a pool of {}", page, total_));
  for (const PageId page : pages) {
    Page& p = pages_[page];
    if (p.references++ > 0) continue;
    unlink(page);
    p.listed = false;
    --free_;
  }
  return {};
}

PageId BlockPool::find(const BlockKey& key) const noexcept {
  return find_in_buckets(buckets_, home_of(key), [&](PageId page) { return pages_[page].key == key; });
}

Result<PageId> BlockPool::publish(PageId page, const BlockKey& key) {
  if (references(page) == 0 || pages_[page].has_key)
    return fail(ErrorCode::kBadRequest,
                fmt::format("page {} is published, which {}", page, references(page) == 0 ? "nobody holds" : "has a key already"));
  const PageId other = find(key);
  if (other != kNullPage) return other;
  pages_[page].key = key;
  pages_[page].has_key = true;
  insert_into_buckets(buckets_, home_of(key), page);
  ++cached_;
  return page;
}

void BlockPool::forget(PageId page) {
  erase_from_buckets(buckets_, page, [this](PageId other) { return home_of(pages_[other].key); });
  pages_[page].has_key = false;
  --cached_;
}

void BlockPool::forget_all() noexcept {
  std::fill(buckets_.begin(), buckets_.end(), 0U);
  for (Page& page : pages_) page.has_key = false;
  cached_ = 0;
}

std::optional<BlockKey> BlockPool::key_of(PageId page) const {
  if (page >= pages_.size() || !pages_[page].has_key) return std::nullopt;
  return pages_[page].key;
}

std::vector<PageId> BlockPool::free_list() const {
  std::vector<PageId> out;
  for (PageId page = pages_[kNullPage].next; page != kNullPage && out.size() <= total_; page = pages_[page].next) out.push_back(page);
  return out;
}

Result<void> BlockPool::audit() const {
  const auto broken = [](std::string what) { return fail(ErrorCode::kInternal, "block pool: " + what); };
  std::uint32_t walked = 0, last = kNullPage;
  for (PageId page = pages_[kNullPage].next; page != kNullPage; page = pages_[page].next) {
    if (page > total_ || ++walked > total_) return broken("the free list does not end");
    if (pages_[page].previous != last) return broken(fmt::format("page {} does not point back to {}", page, last));
    if (pages_[page].references > 0 || !pages_[page].listed) return broken(fmt::format("page {} is free and held", page));
    last = page;
  }
  if (pages_[kNullPage].previous != last) return broken("the free list's ends disagree");
  if (walked != free_) return broken(fmt::format("{} pages are in the free list, {} are counted", walked, free_));
  if (pages_[kNullPage].references > 0 || pages_[kNullPage].has_key) return broken("the null page is held or has a key");
  std::uint32_t keys = 0, idle = 0;
  for (PageId page = 1; page <= total_; ++page) {
    const Page& p = pages_[page];
    if (p.references == 0) ++idle;
    if (p.listed != (p.references == 0))
      return broken(fmt::format("page {} has {} references and is listed: {}", page, p.references, p.listed));
    if (!p.has_key) continue;
    ++keys;
    if (find(p.key) != page) return broken(fmt::format("page {} is not found by its key", page));
  }
  if (idle != free_) return broken(fmt::format("{} pages are held by nobody, {} are free", idle, free_));
  const auto empty = static_cast<std::size_t>(std::count(buckets_.begin(), buckets_.end(), 0U));
  if (keys != cached_ || buckets_.size() - empty != keys) return broken(fmt::format("{} pages have keys, {} are counted", keys, cached_));
  return {};
}

} // namespace plimsoll
