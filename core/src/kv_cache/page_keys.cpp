#include "kv_cache/page_keys.hpp"

#include <algorithm>
#include <array>
#include <string>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace plimsoll {
namespace {

BlockKey hash_of(const void* bytes, std::size_t size, std::uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, size, seed);
  return {hash.low64, hash.high64};
}

template <class... Words>
BlockKey hash_of_words(std::uint64_t seed, Words... words) {
  const std::array<std::uint64_t, sizeof...(Words)> all{words...};
  return hash_of(all.data(), sizeof all, seed);
}

BlockKey with_media(BlockKey key, std::span<const MediaSpan> media, std::uint64_t begin, std::uint64_t end, std::uint64_t seed) {
  const auto reaches_in = [](const MediaSpan& span, std::uint64_t at) { return span.begin_tokens + span.length_tokens <= at; };
  for (auto span = std::lower_bound(media.begin(), media.end(), begin, reaches_in); span != media.end() && span->begin_tokens < end; ++span)
    key = hash_of_words(seed, key.low, key.high, span->hash_low, span->hash_high, span->begin_tokens, span->length_tokens);
  return key;
}

} // namespace

void PageKeys::begin(const TextContext& context, std::uint64_t page_tokens, std::uint64_t seed) {
  keys_.clear();
  page_tokens_ = page_tokens;
  seed_ = seed;
  const std::string &salt = context.cache_salt(), &adapter = context.adapter();
  const BlockKey s = hash_of(salt.data(), salt.size(), seed), a = hash_of(adapter.data(), adapter.size(), seed);
  root_ = hash_of_words(seed, s.low, s.high, a.low, a.high, page_tokens);
}

const BlockKey& PageKeys::at(const TextContext& context, std::size_t page) {
  while (keys_.size() <= page) {
    const BlockKey parent = keys_.empty() ? root_ : keys_.back();
    const std::uint64_t begin = keys_.size() * page_tokens_;
    const BlockKey tokens = hash_of(context.tokens().data() + begin, page_tokens_ * sizeof(Token), seed_);
    BlockKey key = hash_of_words(seed_, parent.low, parent.high, tokens.low, tokens.high);
    if (!context.media().empty()) key = with_media(key, context.media(), begin, begin + page_tokens_, seed_);
    keys_.push_back(key);
  }
  return keys_[page];
}

BlockKey hash_after(const BlockKey& before, std::span<const std::byte> bytes) {
  const BlockKey own = hash_of(bytes.data(), bytes.size(), 0);
  return hash_of_words(0, before.low, before.high, own.low, own.high);
}

BlockKey table_salt(std::uint64_t table, std::uint64_t seed) { return hash_of_words(seed, table, std::uint64_t{0x7461626c65}); }

} // namespace plimsoll
