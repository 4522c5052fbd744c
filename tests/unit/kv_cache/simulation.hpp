// Random operations on a KV manager, held against what a naive model says: which tokens a request has, how many pages it must own,
// what it may read. Beside the manager runs a twin that sees only the operations that succeeded: whatever fails, or only asks, must
// leave no trace, or the two part. Deterministic by seed. One thread.
#pragma once

#include <algorithm>
#include <deque>
#include <list>
#include <random>

#include "unit/kv_cache/fake_model.hpp"
#include "unit/kv_cache/geometries.hpp"

namespace plimsoll::testing {

class Simulation {
public:
  Simulation(const NamedGeometry& geometry, std::uint64_t seed)
      : options_(geometry.options), kv_(PagedKvManager::create(geometry.geometry, geometry.options).value()),
        twin_(PagedKvManager::create(geometry.geometry, geometry.options).value()), model_(kv_), random_(seed) {
    find_tables(geometry.geometry);
  }

  // Empty, or the number of the operation and what was wrong.
  std::string run(std::uint64_t operations) {
    while (operations_ < operations && wrong_.empty()) {
      const std::uint64_t dice = below(100);
      if (dice < 22) arrive();
      else if (dice < 84) step(static_cast<std::uint32_t>(below(kv_.n_replicas())));
      else if (dice < 91) leave();
      else if (dice < 94) pre_empt();
      else if (dice < 97) misuse();
      else if (dice < 98) reset();
      else rewind();
      ++operations_;
      if (operations_ % 64 == 0) check_whole();
    }
    while (!live_.empty() && wrong_.empty()) release(live_.begin());
    check_whole();
    check_nothing_is_held();
    return wrong_.empty() ? "" : fmt::format("operation {}: {}", operations_, wrong_);
  }
  KvMetrics metrics() const { return kv_.metrics(); }
  std::uint64_t refused() const { return refused_; }

private:
  struct Live {
    TextContext context;
    Truth truth{0};
    std::uint32_t replica = 0;
    bool started = false, rewound = false;
    std::uint64_t root = 0, owned_tokens = 0, evictions = 0, epoch = 0;
    std::deque<Token> pending = {}; // what its placeholders will be
  };
  struct Table {
    CacheKind kind;
    std::size_t group;
    std::uint64_t page_tokens, window_tokens, lanes;
  };
  using Place = std::list<Live>::iterator;

  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  bool chance(std::uint64_t percent) { return below(100) < percent; }
  void expect(bool holds, const std::string& otherwise) {
    if (!holds && wrong_.empty()) wrong_ = otherwise;
  }

  // Full and latent groups share their pages; the others have tables of their own.
  void find_tables(const KvGeometry& g) {
    bool shares_full = false;
    for (std::size_t i = 0; i < g.n_groups(); ++i) {
      const KvGroupGeometry& group = g.stages.front().groups[i];
      has_states_ = has_states_ || group.kind == CacheKind::kState;
      if (group.kind == CacheKind::kState || group.kind == CacheKind::kCross || (grows(group.kind) && shares_full)) continue;
      shares_full = shares_full || grows(group.kind);
      std::uint64_t lanes = 1;
      for (std::uint64_t layer = 0; layer < group.n_layers; ++layer)
        lanes = std::max<std::uint64_t>(lanes, kv_.place(0, i, layer).lane + 1);
      tables_.push_back({group.kind, i, group.page_tokens, group.window_tokens, lanes});
    }
  }
  static std::uint64_t pages(std::uint64_t tokens, const Table& table) { return (tokens + table.page_tokens - 1) / table.page_tokens; }
  std::uint64_t end_of(const Live& live) const { return live.context.current_position() + options_.slack_tokens; }

  // ---- Requests -------------------------------------------------------------------------------------------------------
  TextContext make_context() {
    TextContextOptions o;
    o.id = next_id_;
    next_id_ += 1 + below(3) * 64;
    o.prompt = counting(1 + below(45), static_cast<Token>(100 * below(3)));
    for (std::uint64_t i = below(8); i > 0; --i) o.prompt.push_back(static_cast<Token>(below(2)));
    o.max_length = o.prompt.size() + below(30);
    if (chance(15)) o.cache_salt = chance(50) ? "tenant" : "other";
    if (chance(15)) o.adapter = chance(50) ? "tenant" : "lora";
    if (chance(20) && o.prompt.size() > 12)
      for (std::uint64_t begin = below(6); begin < 9; begin += 3) o.media.push_back({begin, 1 + below(3), below(2), 5});
    o.skip_prefix_read = chance(5);
    return TextContext::create(std::move(o)).value();
  }
  void arrive() {
    if (live_.size() >= 9) return;
    const bool back = !waiting_.empty() && chance(50);
    TextContext context = back ? std::move(waiting_.front()) : make_context();
    if (back) waiting_.pop_front();
    const auto replica = static_cast<std::uint32_t>(below(kv_.n_replicas()));
    if (auto claimed = kv_.claim(context.id(), replica); !claimed) {
      ++refused_;
      return expect(claimed.error().code == ErrorCode::kInsufficientBlocks, claimed.error().message);
    }
    expect(twin_.claim(context.id(), replica).has_value(), "the twin refuses a claim");
    Live live{std::move(context)};
    live.replica = replica;
    live.root = std::hash<std::string>()(live.context.cache_salt() + "/" + live.context.adapter());
    live_.push_back(std::move(live));
  }
  void release(Place at) {
    expect(kv_.release(at->context.id()).has_value() && twin_.release(at->context.id()).has_value(), "a claimed request is not released");
    live_.erase(at);
  }
  void leave() {
    if (live_.empty()) return;
    const Place at = any();
    const bool again = at->started && at->pending.empty() && !at->rewound && chance(50);
    TextContext context = at->context;
    const std::uint64_t evictions = at->evictions, epoch = at->epoch, known = context.processed_length();
    const std::uint32_t replica = at->replica;
    release(at);
    if (again && context.rewind_processing(known))
      hit_again(context, replica, known, evictions == kv_.metrics().evictions && epoch == epoch_);
  }
  // Invariant 22. Nothing was evicted since it came: all its complete pages are there.
  void hit_again(TextContext& context, std::uint32_t replica, std::uint64_t known, bool all_there) {
    if (!kv_.claim(context.id(), replica)) return;
    expect(twin_.claim(context.id(), replica).has_value(), "the twin refuses a claim");
    const std::uint64_t unit = kv_.hit_alignment_tokens();
    TextContext mirrored = context;
    if (const auto got = kv_.alloc(context)) {
      expect(twin_.alloc(mirrored).has_value(), "the twin has no pages");
      const std::uint64_t most = std::min(known, context.size_tokens() - 1),
                          least = unit == 0 || context.skip_prefix_read() ? 0 : most - most % unit;
      expect(!all_there || got->hit_tokens >= least,
             fmt::format("claimed again, {} tokens are hit and {} are known", got->hit_tokens, least));
    }
    expect(kv_.release(context.id()).has_value() && twin_.release(context.id()).has_value(), "a claimed request is not released");
  }
  void pre_empt() {
    if (live_.empty()) return;
    const Place at = any();
    TextContext context = at->context;
    const bool whole = at->pending.empty();
    release(at);
    if (whole && context.rewind_processing(context.processed_length())) waiting_.push_back(std::move(context));
  }
  void rewind() {
    if (live_.empty() || has_states_) return;
    const Place at = any();
    if (!at->started) return;
    const std::uint64_t count = std::min(below(4), at->context.processed_length());
    expect(at->context.rewind_processing(count).has_value(), "a context is not rewound");
    at->rewound = at->rewound || count > 0;
    // There may be no room, or the window may be gone.
    if (!allocate(*at) && count > 0) expect(at->context.skip_processing(count).has_value(), "a context is not wound on");
  }
  Place any() { return std::next(live_.begin(), static_cast<std::ptrdiff_t>(below(live_.size()))); }
  void reset() {
    kv_.reset_prefix_cache();
    twin_.reset_prefix_cache();
    ++epoch_;
  }

  // ---- Steps: simulation_step.hpp ------------------------------------------------------------------------------------------
  void step(std::uint32_t replica);
  bool allocate(Live& live);
  void begin(Live& live, std::uint64_t hit_tokens);
  void add_truth(Live& live, Token token);
  std::vector<const TextContext*> allocated(std::uint32_t replica, std::vector<Live*>& batch);
  void check_inputs(const KvInputs& inputs, const std::vector<Live*>& batch);
  void check_table(const KvInputs& inputs, const std::vector<Live*>& batch, const Table& table);
  void go_on(Live& live);
  void misuse();
  void check_whole();
  void check_nothing_is_held();

  KvOptions options_;
  PagedKvManager kv_, twin_;
  FakeModel model_;
  std::mt19937_64 random_;
  std::vector<Table> tables_;
  std::list<Live> live_;
  std::deque<TextContext> waiting_; // pre-empted
  RequestId next_id_ = 1;
  std::uint64_t operations_ = 0, epoch_ = 0, refused_ = 0;
  bool has_states_ = false;
  std::string wrong_;
};

} // namespace plimsoll::testing
