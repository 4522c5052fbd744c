// A model that computes nothing but who it is: for every token it writes a stamp (token, position, a hash of all that the token
// depends on) into memory of a geometry's bytes, where the page tables say, and reads back every stamp that attention would see. A
// page that is shared wrongly, freed too early, overwritten or hit after a reset shows as a stamp that is not the expected one.
// One thread.
#pragma once

#include <cstring>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "plimsoll/kv_cache.hpp"

namespace plimsoll::testing {

struct Stamp {
  Token token = 0;
  std::uint32_t position = 0;
  std::uint64_t history = 0; // of all tokens up to this one, salt, adapter, media and the cache's age
  friend bool operator==(const Stamp&, const Stamp&) = default;
};
static_assert(sizeof(Stamp) == 16);

// What a request's tokens really are, placeholders included.
class Truth {
public:
  explicit Truth(std::uint64_t root) : last_(root) {}
  void add(Token token, std::uint64_t medium) {
    last_ = (last_ ^ (static_cast<std::uint64_t>(static_cast<std::uint32_t>(token)) + medium * 0x1000193)) * 0x9E3779B97F4A7C15ULL;
    last_ ^= last_ >> 29;
    stamps_.push_back({token, static_cast<std::uint32_t>(stamps_.size()), last_});
  }
  const Stamp& at(std::uint64_t position) const { return stamps_[position]; }
  std::size_t size() const { return stamps_.size(); }

private:
  std::vector<Stamp> stamps_;
  std::uint64_t last_;
};

class FakeModel {
public:
  explicit FakeModel(const PagedKvManager& kv) : kv_(kv), memory_(kv.geometry().n_ranks()) {
    const KvGeometry& g = kv.geometry();
    for (std::uint32_t rank = 0; rank < g.n_ranks(); ++rank)
      for (std::size_t i = 0; i < g.n_groups(); ++i) memory_[rank].emplace_back(g.pool(rank, i).bytes);
  }

  // The keys and values of a request's active tokens, and its state.
  void write(const KvInputs& inputs, std::size_t row, const TextContext& context, const Truth& truth) {
    for_each_group(inputs, row, context, [&](const Place& at, std::uint64_t position) { put(at, truth.at(position)); });
    for_each_state(inputs, row, context, [&](const Place& at) { put(at, state_of(context, context.current_position())); });
  }
  // Encoder tokens of a request that has just been claimed.
  void write_fixed(const KvInputs& inputs, std::size_t row, const TextContext& context) {
    for_each_fixed(inputs, row, [&](const Place& at, std::uint64_t position) { put(at, fixed_of(context, position)); });
  }

  // Everything that the request's next query sees. `computed`: its active tokens are written already.
  std::string check(const KvInputs& inputs, std::size_t row, const TextContext& context, const Truth& truth, bool computed) {
    std::string wrong;
    const auto hold = [&](const Place& at, const Stamp& expected) {
      Stamp found;
      if (wrong.empty() && !get(at, found))
        wrong = fmt::format("request {}: its table names no page for token {}", context.id(), expected.position);
      if (wrong.empty() && found != expected)
        wrong = fmt::format("request {}, group {}: token {} at {} reads as token {} at {}{}", context.id(), at.group, expected.token,
                            expected.position, found.token, found.position, found.history != expected.history ? " of another history" : "");
    };
    seen_only_ = true;
    computed_ = computed;
    for_each_group(inputs, row, context, [&](const Place& at, std::uint64_t position) { hold(at, truth.at(position)); });
    seen_only_ = false;
    for_each_fixed(inputs, row, [&](const Place& at, std::uint64_t position) { hold(at, fixed_of(context, position)); });
    if (const std::uint64_t done = computed ? context.current_position() : context.processed_length(); done > 0)
      for_each_state(inputs, row, context, [&](const Place& at) { hold(at, state_of(context, done)); });
    return wrong;
  }

private:
  struct Place {
    std::uint32_t rank = 0;
    std::size_t group = 0;
    std::uint32_t number = 0;       // of the page or row
    std::uint64_t offset_bytes = 0; // in it
    std::uint32_t fill = kNoPage;
  };

  static Stamp state_of(const TextContext& context, std::uint64_t processed) {
    return {-7, static_cast<std::uint32_t>(processed), context.id()};
  }
  static Stamp fixed_of(const TextContext& context, std::uint64_t position) {
    return {-9, static_cast<std::uint32_t>(position), context.id()};
  }

  std::uint64_t stride(const Place& at) const {
    const KvGeometry& g = kv_.geometry();
    const KvGroupGeometry& group = g.group(at.rank, at.group);
    return g.shared_blocks ? g.block_bytes(at.rank) : group.kind == CacheKind::kState ? group.state_row_bytes : group.page_bytes;
  }
  std::vector<std::uint8_t>& memory_of(const Place& at) { return memory_[at.rank][kv_.geometry().shared_blocks ? 0 : at.group]; }
  std::uint64_t begin(const Place& at) const { return at.number * stride(at) + at.offset_bytes; }
  bool holds(const Place& at) { return at.number != at.fill && begin(at) + sizeof(Stamp) <= memory_of(at).size(); }
  void put(const Place& at, const Stamp& stamp) {
    if (holds(at)) std::memcpy(memory_of(at).data() + begin(at), &stamp, sizeof stamp); // else check() misses it
  }
  bool get(const Place& at, Stamp& stamp) {
    if (!holds(at)) return false;
    std::memcpy(&stamp, memory_of(at).data() + begin(at), sizeof stamp);
    return true;
  }

  // visit(place): of one token in every layer on every rank.
  template <class Visit>
  void for_each_layer(const KvInputs& inputs, std::size_t row, std::size_t group, std::uint64_t position, Visit&& visit) {
    const std::uint64_t page_tokens = page_tokens_of(group);
    for (std::uint32_t rank = 0; rank < kv_.geometry().n_ranks(); ++rank) {
      if (rank / kv_.ranks_per_replica() != replica_) continue;
      for (std::uint64_t layer = 0; layer < kv_.geometry().group(rank, group).n_layers; ++layer) {
        const KvPlace place = kv_.place(rank, group, layer);
        const KvGroupInputs& in = inputs.groups[group];
        const std::uint32_t number = in.table[(place.lane * inputs.batch + row) * in.columns + position / page_tokens];
        visit(Place{rank, group, number, place.offset_bytes + position % page_tokens * (place.bytes / page_tokens), in.fill});
      }
    }
  }
  std::uint64_t page_tokens_of(std::size_t group) const {
    for (const KvStageGeometry& stage : kv_.geometry().stages)
      if (stage.groups[group].n_layers > 0) return stage.groups[group].page_tokens;
    return 1;
  }

  // Active tokens, or those that are seen.
  template <class Visit>
  void for_each_group(const KvInputs& inputs, std::size_t row, const TextContext& context, Visit&& visit) {
    replica_ = kv_.replica_of(context.id()).value_or(0);
    for (std::size_t i = 0; i < kv_.geometry().n_groups(); ++i) {
      const KvGroupGeometry& group = kv_.geometry().stages.front().groups[i];
      if (group.kind == CacheKind::kState || group.kind == CacheKind::kCross) continue;
      std::uint64_t begin = context.processed_length(), end = context.current_position();
      if (seen_only_) {
        if (!computed_) end = begin;
        if (group.kind == CacheKind::kWindow) begin = begin < group.window_tokens ? 0 : begin - group.window_tokens + 1;
        else begin = group.kind == CacheKind::kChunk ? begin / group.window_tokens * group.window_tokens : 0;
      }
      for (std::uint64_t position = begin; position < end; ++position)
        for_each_layer(inputs, row, i, position, [&](const Place& at) { visit(at, position); });
    }
  }
  template <class Visit>
  void for_each_fixed(const KvInputs& inputs, std::size_t row, Visit&& visit) {
    for (std::size_t i = 0; i < kv_.geometry().n_groups(); ++i) {
      const KvGroupGeometry& group = kv_.geometry().stages.front().groups[i];
      if (group.kind != CacheKind::kCross) continue;
      for (std::uint64_t position = 0; position < group.fixed_tokens; ++position)
        for_each_layer(inputs, row, i, position, [&](const Place& at) { visit(at, position); });
    }
  }
  template <class Visit>
  void for_each_state(const KvInputs& inputs, std::size_t row, const TextContext&, Visit&& visit) {
    const KvGeometry& g = kv_.geometry();
    for (std::size_t i = 0; i < g.n_groups(); ++i) {
      if (g.group(0, i).kind != CacheKind::kState) continue;
      const KvGroupInputs& in = inputs.groups[i];
      const std::size_t lanes = in.rows_per_request / g.group(0, i).rows_per_sequence;
      for (std::size_t own = 0; own < g.group(0, i).rows_per_sequence; ++own)
        for (std::uint64_t layer = 0; layer < g.group(0, i).n_layers; ++layer) {
          const KvPlace place = kv_.place(0, i, layer);
          const std::uint32_t number = in.state_rows[row * in.rows_per_request + own * lanes + place.lane];
          visit(Place{0, i, number, place.offset_bytes, kNoPage});
        }
    }
  }

  const PagedKvManager& kv_;
  std::vector<std::vector<std::vector<std::uint8_t>>> memory_; // by rank and group
  std::uint32_t replica_ = 0;
  bool seen_only_ = false, computed_ = false;
};

} // namespace plimsoll::testing
