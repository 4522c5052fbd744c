// How much of a request's prompt the cache has: the longest prefix that every table accepts. A full table has what its pages hold
// without a gap from the first token; a window needs only the pages that the next token sees. Each may shorten what the others
// accepted, until none does. Reads pools, moves nothing. Threads: [serial] per request and pools.
#pragma once

#include <span>

#include "kv_cache/cache_layout.hpp"
#include "kv_cache/request_table.hpp"

namespace plimsoll {

class PrefixSearch {
public:
  // `salts`: one for each row of the layout.
  PrefixSearch(const CacheLayout& layout, std::span<const BlockPool> pools, std::span<const BlockKey> salts)
      : layout_(layout), pools_(pools), salts_(salts) {}

  // The longest hit of at most `limit` tokens, a multiple of the alignment. Fills the request's rows, which are empty, with the pages.
  std::uint64_t find(const TextContext& context, Request& request, std::uint64_t limit) const;

private:
  PageId page_of(const TextContext& context, Request& request, const TableSpec& table, std::size_t lane, std::size_t page) const;
  bool has(const TextContext& context, Request& request, const TableSpec& table, std::size_t page) const;
  std::uint64_t longest_of_full(const TextContext& context, Request& request, const TableSpec& table, std::uint64_t limit) const;
  std::uint64_t longest_of_window(const TextContext& context, Request& request, const TableSpec& table, std::uint64_t limit) const;
  std::uint64_t aligned(std::uint64_t tokens) const { return tokens - tokens % layout_.hit_alignment_tokens; }

  const CacheLayout& layout_;
  std::span<const BlockPool> pools_;
  std::span<const BlockKey> salts_;
};

} // namespace plimsoll
