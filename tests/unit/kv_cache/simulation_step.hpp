// The steps of a simulation: pages, tables, a forward pass of stamps, and what is asked wrongly. One thread.
#pragma once

#include "unit/kv_cache/simulation.hpp"

namespace plimsoll::testing {

// A step of some of a replica's requests, as a scheduler makes it.
inline void Simulation::step(std::uint32_t replica) {
  std::vector<Live*> batch;
  const std::vector<const TextContext*> contexts = allocated(replica, batch);
  const auto inputs = kv_.runtime_inputs(contexts, {replica});
  if (!inputs) return expect(false, "no inputs: " + inputs.error().message);
  check_inputs(*inputs, batch);
  for (std::size_t i = 0; i < batch.size(); ++i)
    expect(model_.check(*inputs, i, batch[i]->context, batch[i]->truth, false).empty(),
           "before the pass, " + model_.check(*inputs, i, batch[i]->context, batch[i]->truth, false));
  for (std::size_t i = 0; i < batch.size(); ++i) model_.write(*inputs, i, batch[i]->context, batch[i]->truth);
  for (std::size_t i = 0; i < batch.size(); ++i)
    expect(model_.check(*inputs, i, batch[i]->context, batch[i]->truth, true).empty(),
           "after the pass, " + model_.check(*inputs, i, batch[i]->context, batch[i]->truth, true));
  for (Live* live : batch) go_on(*live);
  expect(kv_.step(contexts).has_value() && twin_.step(contexts).has_value(), "a step fails");
  for (Live* live : batch) {
    const bool finished = live->context.size_tokens() >= live->context.max_length() && live->context.reaches_end();
    // A state has moved on; pages may be written once more.
    if (finished && (has_states_ || chance(60)))
      release(std::find_if(live_.begin(), live_.end(), [&](const Live& other) { return &other == live; }));
  }
}

inline std::vector<const TextContext*> Simulation::allocated(std::uint32_t replica, std::vector<Live*>& batch) {
  std::vector<const TextContext*> contexts;
  for (Live& live : live_) {
    if (live.replica != replica || chance(25)) continue;
    live.context.set_chunk_limit(chance(50) ? 0 : 1 + below(12));
    bool must_fit = false;
    if (chance(30)) {
      const auto fitting = kv_.fitting_tokens(live.context);
      expect(fitting.has_value(), "it is not said how many tokens fit");
      must_fit = fitting.value_or(0) > 0;
      if (must_fit) live.context.set_chunk_limit(*fitting);
    }
    const bool fits = allocate(live);
    expect(fits || !must_fit, "what is said to fit does not");
    if (!fits) continue;
    batch.push_back(&live);
    contexts.push_back(&live.context);
  }
  return contexts;
}

// Invariants 11, 12, 15 and 17 of one allocation; the twin is asked only where it succeeds.
inline bool Simulation::allocate(Live& live) {
  TextContext mirrored = live.context;
  const KvMetrics before = kv_.metrics();
  const auto got = kv_.alloc(live.context);
  const KvMetrics after = kv_.metrics();
  if (!got) {
    ++refused_;
    expect(got.error().code == ErrorCode::kInsufficientBlocks || live.rewound, got.error().message);
    expect(live.context.processed_length() == mirrored.processed_length() && live.context.active_length() == mirrored.active_length(),
           "a failed allocation moved the context");
    expect(after.used_pages == before.used_pages && after.cached_pages == before.cached_pages && after.evictions == before.evictions &&
               after.queried_tokens == before.queried_tokens,
           "a failed allocation changed a pool");
    return false;
  }
  const std::uint64_t hit = got->hit_tokens;
  expect(hit == 0 || (!live.started && !live.context.skip_prefix_read() && hit % kv_.hit_alignment_tokens() == 0), "a hit that cannot be");
  expect(live.context.active_length() >= 1 && live.context.processed_length() == mirrored.processed_length() + hit,
         "a hit leaves nothing to compute");
  const auto theirs = twin_.alloc(mirrored);
  expect(theirs && theirs->hit_tokens == hit && theirs->new_pages == got->new_pages, "the twin allocates otherwise");
  if (!live.started) begin(live, hit);
  std::uint64_t wanted = 0;
  for (const Table& table : tables_)
    wanted += table.lanes * (std::max(pages(end_of(live), table), pages(live.owned_tokens, table)) - pages(live.owned_tokens, table));
  expect(got->new_pages == wanted, fmt::format("{} pages are taken and {} are needed", got->new_pages, wanted));
  live.owned_tokens = std::max(live.owned_tokens, end_of(live));
  return true;
}

inline void Simulation::begin(Live& live, std::uint64_t hit_tokens) {
  live.started = true;
  live.owned_tokens = hit_tokens;
  live.epoch = epoch_;
  live.evictions = kv_.metrics().evictions;
  live.truth = Truth(live.root + 977 * epoch_);
  for (const Token token : live.context.tokens()) add_truth(live, token);
  const TextContext* one = &live.context;
  if (const auto inputs = kv_.runtime_inputs({&one, 1}, {live.replica})) model_.write_fixed(*inputs, 0, live.context);
  else if (live.context.processed_length() + live.context.active_length() <= hit_tokens) expect(false, inputs.error().message);
}

inline void Simulation::add_truth(Live& live, Token token) {
  std::uint64_t medium = 0;
  for (const MediaSpan& span : live.context.media())
    if (live.truth.size() >= span.begin_tokens && live.truth.size() < span.begin_tokens + span.length_tokens)
      medium = 1 + span.hash_low + 8 * span.begin_tokens;
  live.truth.add(token, medium);
}

// After the pass: the next chunk, the next token, or a placeholder for it.
inline void Simulation::go_on(Live& live) {
  TextContext& context = live.context;
  if (!live.pending.empty() && chance(60)) {
    expect(context.realise(live.pending.front()).has_value(), "a placeholder is not replaced");
    live.pending.pop_front();
  }
  if (!context.reaches_end()) return expect(context.advance_chunk().has_value(), "a chunk does not end");
  if (context.size_tokens() >= context.max_length()) return;
  const auto token = static_cast<Token>(below(2));
  if (!live.pending.empty() || chance(20)) {
    expect(context.update_pending().has_value(), "a placeholder is not appended");
    live.pending.push_back(token);
  } else {
    expect(context.update(token).has_value(), "a token is not appended");
  }
  add_truth(live, token);
}

// Invariants 4, 18, 25, and that the twin's inputs are the same.
inline void Simulation::check_inputs(const KvInputs& inputs, const std::vector<Live*>& batch) {
  const auto copy_of = [](const KvInputs& in) {
    std::vector<std::uint32_t> all{in.batch};
    const auto add = [&](std::span<const std::uint32_t> part) { all.insert(all.end(), part.begin(), part.end()); };
    add(in.cache_lengths);
    add(in.max_lengths);
    for (const KvGroupInputs& group : in.groups) {
      add(group.table);
      add(group.state_rows);
      add(std::vector{group.lanes, group.columns, group.fill, group.rows_per_request});
    }
    return all;
  };
  std::vector<const TextContext*> contexts;
  for (Live* live : batch) contexts.push_back(&live->context);
  const KvInputsOptions where{batch.empty() ? 0 : batch.front()->replica};
  const std::vector<std::uint32_t> first = copy_of(inputs);
  if (!batch.empty()) {
    const auto again = kv_.runtime_inputs(contexts, where);
    if (!again) return expect(false, again.error().message);
    expect(copy_of(*again) == first, "inputs differ when asked for again");
    expect(copy_of(twin_.runtime_inputs(contexts, where).value()) == first, "the twin's inputs differ");
  }
  for (std::size_t i = 0; i < batch.size(); ++i)
    expect(inputs.cache_lengths[i] == contexts[i]->processed_length(), "a cache length is not the processed one");
  for (const Table& table : tables_) check_table(inputs, batch, table);
}

inline void Simulation::check_table(const KvInputs& inputs, const std::vector<Live*>& batch, const Table& table) {
  const KvGroupInputs& in = inputs.groups[table.group];
  std::uint64_t longest = 0;
  for (Live* live : batch) longest = std::max(longest, end_of(*live));
  const std::uint64_t columns = pages(longest, table);
  expect(in.columns == (options_.layout == TableLayout::kMax ? (columns + 7) / 8 * 8 + 16 : columns),
         fmt::format("{} columns for {} pages", in.columns, columns));
  for (std::size_t lane = 0; lane < table.lanes; ++lane)
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const TextContext& context = batch[i]->context;
      const auto row = in.table.subspan((lane * batch.size() + i) * in.columns, in.columns);
      const std::uint64_t used = pages(end_of(*batch[i]), table);
      std::uint64_t held = 0;
      for (std::size_t page = 0; page < row.size(); ++page) {
        if (row[page] != in.fill) ++held;
        expect(page < used || row[page] == in.fill, "an unused column holds a page");
        expect(row[page] == in.fill || row[page] < kv_.total_pages(table.group, batch[i]->replica), "a page beyond the pool");
      }
      const std::uint64_t active = context.active_length() + options_.slack_tokens;
      // A request that was rewound still holds what it held further on.
      if (table.kind == CacheKind::kWindow && !batch[i]->rewound)
        expect(held <= pages(table.window_tokens - 1, table) + 1 + pages(active, table),
               fmt::format("a window of {} tokens holds {} pages", table.window_tokens, held));
      if (grows(table.kind)) expect(held == used, "a page of a full table is null");
    }
}

// Invariant 23: errors that change nothing; the twin hears of none.
inline void Simulation::misuse() {
  const auto refused = [&](const auto& result, const char* what) {
    expect(!result && result.error().code == ErrorCode::kBadRequest, what);
  };
  TextContext stranger = context_of(next_id_ + 1'000, counting(9));
  refused(kv_.alloc(stranger), "a request is served that was not claimed");
  refused(kv_.fitting_tokens(stranger), "a request is measured that was not claimed");
  refused(kv_.release(stranger.id()), "a request is released that was not claimed");
  refused(kv_.claim(stranger.id(), kv_.n_replicas()), "a replica is used that is not there");
  if (live_.empty()) return;
  const Place at = any();
  refused(kv_.claim(at->context.id(), static_cast<std::uint32_t>(below(kv_.n_replicas()))), "a request is claimed twice");
  const TextContext* both[] = {&at->context, &stranger};
  refused(kv_.step(both), "a step of a request that was not claimed");
  refused(kv_.runtime_inputs(both, {at->replica}), "inputs of a request that was not claimed");
  if (kv_.n_replicas() > 1) refused(kv_.runtime_inputs(std::span(both).first(1), {1 - at->replica}), "inputs of another replica's request");
  if (!at->started && !tables_.empty()) refused(kv_.runtime_inputs(std::span(both).first(1), {at->replica}), "inputs before alloc");
}

// Invariants 1-3, 5, 6, 9 and 34.
inline void Simulation::check_whole() {
  const auto audited = kv_.audit();
  expect(audited.has_value(), audited ? "" : audited.error().message);
  const KvMetrics metrics = kv_.metrics();
  expect(metrics.used_pages + metrics.free_pages == metrics.total_pages, "pages are lost");
  expect(metrics.requests == live_.size(), "requests are lost");
  expect(metrics.hit_tokens <= metrics.queried_tokens, "more tokens are hit than asked for");
}

// Invariant 33.
inline void Simulation::check_nothing_is_held() {
  const KvMetrics metrics = kv_.metrics();
  expect(metrics.used_pages == 0 && metrics.requests == 0, "pages are held by nobody");
  const KvGeometry& g = kv_.geometry();
  for (std::uint32_t replica = 0; replica < kv_.n_replicas(); ++replica)
    for (std::size_t i = 0; i < g.n_groups(); ++i)
      for (std::uint32_t rank = replica * kv_.ranks_per_replica(); rank < (replica + 1) * kv_.ranks_per_replica(); ++rank)
        if (g.group(rank, i).n_layers > 0)
          expect(kv_.free_pages(i, replica) + g.pool(rank, i).null_pages == g.pool(rank, i).pages + g.pool(rank, i).state_rows,
                 "a pool is not whole");
}

} // namespace plimsoll::testing
