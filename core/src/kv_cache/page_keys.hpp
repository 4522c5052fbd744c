// Keys of a request's complete pages: XXH3-128 of (the key of the page before, the hash of the page's tokens), and of the media that
// reach into the page. The first one's parent is the request's root: salt and adapter. So a key stands for all tokens up to its
// page's end, and a change of one token changes the keys of its page and of all later ones, and none before. Worked example: 32,768
// tokens in pages of 16 are 2,048 keys. Not a cryptographic hash; the seed is the deployment's secret. Threads: [serial] per object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "plimsoll/kv_cache.hpp"

namespace plimsoll {

class PageKeys {
public:
  // Of no page yet.
  void begin(const TextContext& context, std::uint64_t page_tokens, std::uint64_t seed);
  bool begun() const { return page_tokens_ > 0; }
  void clear() {
    keys_.clear();
    page_tokens_ = 0;
  }
  // Room for so many keys without further memory.
  void reserve(std::size_t pages) { keys_.reserve(pages); }
  // The key of page `page` of the context, whose tokens up to the page's end are realised.
  const BlockKey& at(const TextContext& context, std::size_t page);

private:
  std::vector<BlockKey> keys_;
  std::uint64_t page_tokens_ = 0, seed_ = 0;
  BlockKey root_;
};

// The same key for another table of the same pool. Its own inverse.
constexpr BlockKey salted(const BlockKey& key, const BlockKey& salt) { return {key.low ^ salt.low, key.high ^ salt.high}; }
// A hash of everything whose hash is `before`, and then of these bytes.
BlockKey hash_after(const BlockKey& before, std::span<const std::byte> bytes);
BlockKey table_salt(std::uint64_t table, std::uint64_t seed);

} // namespace plimsoll
