#include "plimsoll/verify_run.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>

#include "backend/backend.hpp"
#include "backend/process_memory.hpp"
#include "base/json.hpp"
#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/processes.hpp"
#include "runtime/exercise.hpp"
#include "runtime/kv_pool_label.hpp"
#include "runtime/memory_comparison.hpp"
#include "runtime/pool_check.hpp"
#include "runtime/rank_threads.hpp"
#include "runtime/watched_memory.hpp"
#include "schedule/blas_memory.hpp"
#include "schedule/nccl_memory.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostUnexplainedBytes = 32ULL << 20;
constexpr RequestId kLeakedId = 1ULL << 40;

// What one replica showed.
struct ReplicaFindings {
  Exercised exercised;
  std::optional<PoolFindings> pools;
  bool null_pages_are_zero = true; // after the model's own steps
  std::uint64_t requests_left = 0;
};

// What one execution showed.
struct Execution {
  std::vector<RankMeasurement> ranks;
  std::vector<ReplicaFindings> replicas;
  std::uint64_t signal_buffers = 0, due_signal_buffers = 0;
  bool signal_buffers_are_clear = true;
  std::uint64_t arena_bytes = 0, source_bytes = 0;    // live after the exercise: what arenas say, what was taken of the machine
  std::uint64_t grown_bytes = 0;                      // of the process by then, or by how much the devices' drivers had less
  std::uint64_t granule_bytes = 0, visible_bytes = 0; // what devices may round up by, all together; what lies on the host all the same
  std::uint64_t collective_bytes = 0;                 // what NCCL may have taken by itself
  std::uint64_t working_bytes = 0, touched_working_bytes = 0;
  std::uint64_t source_left_bytes = 0;
};

// ---- what processes tell one another of an execution: each saw its own rank

Json usage_json(const Usage& of) {
  return {static_cast<std::size_t>(of.category), of.label, of.planned_bytes, of.live_bytes, of.peak_bytes, of.driver_bytes};
}
Usage usage_of(const Json& json) {
  Usage of;
  of.category = static_cast<Category>(std::min(json.at(0).get<std::size_t>(), kCategories - 1));
  of.label = json.at(1).get<std::string>();
  of.planned_bytes = json.at(2).get<std::uint64_t>();
  of.live_bytes = json.at(3).get<std::uint64_t>();
  of.peak_bytes = json.at(4).get<std::uint64_t>();
  of.driver_bytes = json.at(5).get<std::uint64_t>();
  return of;
}

// The numbers of what was exercised.
std::vector<std::uint64_t*> numbers_of(Exercised& e) {
  return {&e.passes,          &e.most_tokens,    &e.most_sequences,     &e.most_output_rows, &e.due_tokens,        &e.due_sequences,
          &e.due_output_rows, &e.longest_tokens, &e.due_longest_tokens, &e.full_requests,    &e.due_full_requests, &e.decode_passes,
          &e.decode_takes,    &e.hit_tokens,     &e.due_hit_tokens,     &e.adapters,         &e.due_adapters,      &e.images,
          &e.due_images,      &e.image_rows};
}

Json findings_json(ReplicaFindings of) {
  Json numbers = Json::array(), pools, groups = Json::array();
  for (const std::uint64_t* const number : numbers_of(of.exercised)) numbers.push_back(*number);
  if (of.pools) {
    for (const PoolFinding& group : of.pools->groups) groups.push_back({group.label, group.units, group.handed_out});
    pools = {groups,
             of.pools->broken,
             of.pools->broken_label,
             of.pools->null_pages_are_zero,
             of.pools->null_pages,
             of.pools->refusals,
             of.pools->refusal_problem};
  }
  return {numbers, of.exercised.cut_short, pools, of.null_pages_are_zero, of.requests_left};
}
ReplicaFindings findings_of(const Json& json) {
  ReplicaFindings out;
  const std::vector<std::uint64_t*> numbers = numbers_of(out.exercised);
  for (std::size_t i = 0; i < numbers.size(); ++i) *numbers[i] = json.at(0).at(i).get<std::uint64_t>();
  out.exercised.cut_short = json.at(1).get<std::string>();
  out.null_pages_are_zero = json.at(3).get<bool>();
  out.requests_left = json.at(4).get<std::uint64_t>();
  const Json& pools = json.at(2);
  if (pools.is_null()) return out;
  PoolFindings& found = out.pools.emplace();
  for (const Json& group : pools.at(0))
    found.groups.push_back({group.at(0).get<std::string>(), group.at(1).get<std::uint64_t>(), group.at(2).get<std::uint64_t>()});
  found.broken = pools.at(1).get<std::string>();
  found.broken_label = pools.at(2).get<std::string>();
  found.null_pages_are_zero = pools.at(3).get<bool>();
  found.null_pages = pools.at(4).get<std::uint64_t>();
  found.refusals = pools.at(5).get<std::uint64_t>();
  found.refusal_problem = pools.at(6).get<std::string>();
  return out;
}

std::array<std::uint64_t*, 10> sums_of(Execution& of) {
  return {&of.signal_buffers, &of.arena_bytes,      &of.source_bytes,  &of.grown_bytes,           &of.granule_bytes,
          &of.visible_bytes,  &of.collective_bytes, &of.working_bytes, &of.touched_working_bytes, &of.source_left_bytes};
}

std::string execution_text(Execution& of) {
  Json lines = Json::array(), categories = Json::array(), sums = Json::array();
  for (const Usage& line : of.ranks.front().lines) lines.push_back(usage_json(line));
  for (const Usage& sum : of.ranks.front().categories) categories.push_back(usage_json(sum));
  for (const std::uint64_t* const sum : sums_of(of)) sums.push_back(*sum);
  const Json out = {{"lines", lines},
                    {"categories", categories},
                    {"replica", findings_json(of.replicas.front())},
                    {"signal_buffers_are_clear", of.signal_buffers_are_clear},
                    {"sums", sums}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What another rank of a replica found is found of it.
void join_findings(const ReplicaFindings& more, ReplicaFindings& out) {
  out.null_pages_are_zero = out.null_pages_are_zero && more.null_pages_are_zero;
  out.exercised.decode_takes += more.exercised.decode_takes;
  if (!out.pools || !more.pools) return;
  out.pools->null_pages_are_zero = out.pools->null_pages_are_zero && more.pools->null_pages_are_zero;
  if (!out.pools->broken.empty()) return;
  out.pools->broken = more.pools->broken;
  out.pools->broken_label = more.pools->broken_label;
}

// All of them, in the order of their ranks, in place of one.
void join_executions(const std::vector<std::string>& all, std::size_t n_replicas, Execution& out) {
  const std::array<std::uint64_t*, 10> sums = sums_of(out);
  for (std::uint64_t* const sum : sums) *sum = 0;
  out.ranks.clear();
  out.replicas.clear();
  for (const std::string& text : all) {
    const Json json = Json::parse(text); // that this program wrote
    RankMeasurement& rank = out.ranks.emplace_back();
    for (const Json& line : json.at("lines")) rank.lines.push_back(usage_of(line));
    for (std::size_t i = 0; i < kCategories; ++i) rank.categories[i] = usage_of(json.at("categories").at(i));
    for (std::size_t i = 0; i < sums.size(); ++i) *sums[i] += json.at("sums").at(i).get<std::uint64_t>();
    out.signal_buffers_are_clear = out.signal_buffers_are_clear && json.at("signal_buffers_are_clear").get<bool>();
    ReplicaFindings found = findings_of(json.at("replica"));
    const std::size_t replica = (out.ranks.size() - 1) / (all.size() / n_replicas);
    if (replica < out.replicas.size()) join_findings(found, out.replicas[replica]);
    else out.replicas.push_back(std::move(found));
  }
}

// The plan with one page (or row) more in its first pool on every rank: what a host that counts wrongly would allocate.
void make_oversize(Plan& plan) {
  KvGeometry& geometry = plan.kv_geometry;
  for (std::uint32_t rank = 0; rank < geometry.n_ranks() && geometry.n_groups() > 0; ++rank) {
    KvGroupPool& pool = geometry.pools[rank * geometry.n_groups()];
    const KvGroupGeometry& group = geometry.group(rank, 0);
    if (!geometry.shared_blocks && group.kind == CacheKind::kState) {
      ++pool.state_rows;
      pool.bytes += group.state_row_bytes;
    } else {
      ++pool.pages;
      pool.bytes += geometry.shared_blocks ? geometry.block_bytes(rank) : group.page_bytes;
    }
  }
}

// The largest buffer of the activations once more.
Result<Buffer> take_again(Arena& arena) {
  const std::vector<Usage> lines = arena.usage();
  const auto smaller = [](const Usage& a, const Usage& b) {
    const bool a_first = a.category == Category::kActivation, b_first = b.category == Category::kActivation;
    return a_first != b_first ? b_first : a.live_bytes < b.live_bytes;
  };
  const auto largest = std::max_element(lines.begin(), lines.end(), smaller);
  if (largest == lines.end()) return Buffer();
  const std::array<std::uint64_t, 1> shape{largest->live_bytes};
  return arena.allocate(largest->category, largest->label, ElementType::kUint8, shape);
}

// Whether every number in it is a zero, of either sign: nothing that could be taken for a message.
bool is_clear(const Tensor& buffer, MemorySource& memory) {
  std::vector<std::byte> bytes;
  for (std::uint64_t begin = 0; begin < buffer.bytes(); begin += bytes.size()) {
    bytes.resize(std::min<std::uint64_t>(1U << 20, buffer.bytes() - begin));
    memory.copy_out(bytes.data(), buffer.data() + begin, bytes.size());
    for (std::uint64_t at = 0; at < bytes.size(); ++at)
      if (bytes[at] != std::byte{0} && (at % 4 != 3 || bytes[at] != std::byte{0x80})) return false;
  }
  return true;
}

std::uint64_t planned_signal_buffers(const Plan& plan) {
  std::uint64_t sum = 0;
  for (const Item& item : plan.items)
    if (item.category == Category::kSignalBuffer && item.counted)
      sum += static_cast<std::uint64_t>(std::count_if(item.bytes.begin(), item.bytes.end(), [](auto b) { return b > 0; }));
  return sum;
}

// Those of one rank of the model's arenas after the other's, each in that rank's memory.
Result<void> look_at_signal_buffers(PipelineModel& model, Execution& out) {
  PLIMSOLL_ASSIGN(const std::span<const Tensor> buffers, model.signal_buffers());
  out.signal_buffers += buffers.size();
  std::vector<MemorySource*> memory;
  for (Arena& arena : model.arenas())
    for (const Item& item : model.plan().items)
      if (item.category == Category::kSignalBuffer && arena.rank() < item.bytes.size() && item.bytes[arena.rank()] > 0)
        memory.push_back(&arena.source());
  for (std::size_t i = 0; i < buffers.size(); ++i)
    out.signal_buffers_are_clear = out.signal_buffers_are_clear && i < memory.size() && is_clear(buffers[i], *memory[i]);
  return {};
}

// A request that ends and does not give its claim back.
Result<void> leak_a_claim(PagedKvManager& manager, std::uint64_t seed) {
  TextContextOptions options;
  options.id = kLeakedId;
  options.prompt = drawn_tokens(seed, kLeakedId, 1, 1);
  options.max_length = 1;
  PLIMSOLL_ASSIGN(TextContext context, TextContext::create(std::move(options)));
  PLIMSOLL_TRY(manager.claim(kLeakedId));
  PLIMSOLL_TRY(manager.alloc(context));
  return {};
}

// Pages that are held although no request is left, as bytes of the plan's lines.
using LeftBytes = std::vector<std::map<std::string, std::uint64_t>>; // [rank]
LeftBytes bytes_left(PagedKvManager& manager) {
  const KvGeometry& geometry = manager.geometry();
  LeftBytes left(geometry.n_ranks());
  for (std::uint32_t rank = 0; rank < geometry.n_ranks(); ++rank)
    for (std::size_t group = 0; group < geometry.n_groups(); ++group) {
      const KvGroupGeometry& layout = geometry.group(rank, group);
      const bool rows = !geometry.shared_blocks && layout.kind == CacheKind::kState;
      const std::uint64_t null_pages = rows ? 0 : geometry.pool(rank, geometry.shared_blocks ? 0 : group).null_pages;
      const std::uint64_t used = manager.total_pages(group) - std::min(manager.total_pages(group), manager.free_pages(group) + null_pages);
      if (used == 0 || (geometry.shared_blocks && group > 0)) continue;
      const std::uint64_t unit = geometry.shared_blocks ? geometry.block_bytes(rank) : rows ? layout.state_row_bytes : layout.page_bytes;
      left[rank][kv_pool_label(geometry, rank, group)] += used * unit;
    }
  return left;
}

// A total that was given stands in one line of the plan, what was loaded in a line each: one line of both.
void merge_weights(RankMeasurement& measured) {
  Usage all;
  all.category = Category::kWeights;
  for (const Usage& line : measured.lines) {
    if (line.category != Category::kWeights) continue;
    if (line.planned_bytes > 0) all.label = line.label;
    all.planned_bytes += line.planned_bytes;
    all.live_bytes += line.live_bytes;
    all.peak_bytes += line.peak_bytes;
  }
  std::erase_if(measured.lines, [](const Usage& line) { return line.category == Category::kWeights; });
  measured.lines.insert(measured.lines.begin(), std::move(all));
}

// One replica under way, in memory that is watched. What it took is given back before the rest goes.
struct WatchedReplica {
  Plan plan;
  std::vector<Arena> arenas;
  std::vector<std::shared_ptr<WatchedMemory>> sources; // of each arena
  LeftBytes left;
  std::unique_ptr<PipelineModel> model;
  std::optional<KvCache> cache;
  Buffer again;
  ReplicaFindings found;

  std::uint64_t takes() const {
    std::uint64_t sum = 0;
    for (const auto& source : sources) sum += source->takes();
    return sum;
  }
  void give_back() {
    again = Buffer();
    cache.reset();
    model.reset();
  }
};

class Verification {
public:
  Verification(const Plan& plan, const ModelMaker& make, const VerifyRunOptions& options)
      : plan_(plan), make_(make), options_(options), n_replicas_(std::max<std::uint32_t>(plan.request.dp, 1)),
        own_plan_(plan.engine.name.empty() || plan.engine.name == "reference") {}

  Result<VerifyRunReport> run() {
    VerifyRunReport report;
    report.model = plan_.model.path;
    report.engine = plan_.engine;
    report.seed = options_.seed;
    report.injected = options_.inject;
    if (!plan_.error) PLIMSOLL_TRY(open_backends());
    if (!backends_.empty()) report.memory = backends_.front()->name();
    if (std::optional<Error> refused = refusal()) {
      report.verdict = RunVerdict::kDoesNotFit;
      report.error = std::move(refused);
      return report;
    }
    PLIMSOLL_ASSIGN(const Execution first, execute());
    PLIMSOLL_ASSIGN(const Execution second, execute());
    for (std::uint32_t rank = 0; rank < first.ranks.size(); ++rank) {
      RankVerdict& verdict =
          report.ranks.emplace_back(RankVerdict{rank, plan_.devices[rank].name, compare_memory(first.ranks[rank], own_plan_)});
      for (const Item& item : plan_.items)
        if (item.counted && rank < item.bytes.size() && item.bytes[rank] > 0) {
          Basis& basis = verdict.categories[static_cast<std::size_t>(item.category)].basis;
          basis = std::max(basis, item.basis);
        }
    }
    add_checks(first, second, report);
    report.verdict = overall(report);
    return report;
  }

private:
  Result<void> open_backends() {
    for (std::uint32_t rank = 0; options_.backend && rank < plan_.devices.size(); ++rank) {
      if (options_.processes && options_.processes->rank() != rank) continue;
      PLIMSOLL_ASSIGN(std::shared_ptr<Backend> backend, options_.backend(rank));
      backends_.push_back(std::move(backend));
    }
    if (backends_.empty()) return {};
    available_ = free_bytes();
    if (!options_.processes) return {};
    PLIMSOLL_ASSIGN(const std::vector<std::string> of_all, options_.processes->gather(std::to_string(*available_)));
    available_ = 0;
    for (const std::string& of_rank : of_all) *available_ += std::stoull(of_rank); // that this program wrote
    return {};
  }
  // What the drivers of the devices here say is free.
  std::uint64_t free_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& backend : backends_) sum += backend->free_bytes().value_or(0);
    return sum;
  }
  // What this machine has for the plan now; nullopt where nobody says.
  std::optional<std::uint64_t> available_bytes() const { return backends_.empty() ? options_.available_bytes : available_; }

  std::uint64_t planned_bytes() const {
    std::uint64_t sum = 0;
    for (const DevicePlan& d : plan_.devices)
      sum += d.weights_bytes + d.activation_bytes + d.signal_buffer_bytes + d.workspace_bytes + d.vision_cache_bytes + d.overhead_bytes +
             d.kv_cache_bytes;
    return sum;
  }

  std::optional<Error> refusal() const {
    if (plan_.error) return plan_.error;
    if (available_bytes() && planned_bytes() > *available_bytes())
      return Error{ErrorCode::kOutOfMemory,
                   fmt::format("the plan takes {} B and this machine has {} B now; free some, or plan for less", planned_bytes(),
                               *available_bytes()),
                   "--devices"};
    return std::nullopt;
  }

  // From an empty machine to one that is empty again. All replicas that are here, at the same time.
  Result<Execution> execute() {
    PLIMSOLL_TRY(replica_plan(plan_, 0)); // there are as many as the plan says
    Execution out;
    std::vector<WatchedReplica> replicas;
    replicas.reserve(n_replicas_); // caches stay where models know them
    const std::shared_ptr<ReplicaGroup> group = options_.processes ? nullptr : ReplicaGroup::of(plan_);
    PLIMSOLL_ASSIGN(const std::uint64_t before, anonymous_bytes());
    const std::uint64_t free_before = free_bytes();
    for (std::uint32_t replica = 0; replica < n_replicas_; ++replica) {
      const std::size_t ranks = plan_.devices.size() / n_replicas_;
      if (options_.processes && options_.processes->rank() / ranks != replica) continue;
      PLIMSOLL_TRY(load(replica, group, replicas.emplace_back(), out));
    }
    out.due_signal_buffers = planned_signal_buffers(plan_);
    PLIMSOLL_TRY(exercise_all(replicas, group.get()));
    PLIMSOLL_TRY(measure(replicas, before, free_before, out));
    for (WatchedReplica& replica : replicas) PLIMSOLL_TRY(look_at_pools(replica));
    for (WatchedReplica& replica : replicas) replica.give_back();
    for (WatchedReplica& replica : replicas) add_ranks(replica, out);
    if (options_.processes) {
      PLIMSOLL_ASSIGN(const std::vector<std::string> all, options_.processes->gather(execution_text(out)));
      join_executions(all, n_replicas_, out);
    }
    return out;
  }

  LoadProgress told(const char* what) const {
    if (!options_.progress) return {};
    return [this, what](std::uint64_t done, std::uint64_t total) { options_.progress(what, done, total); };
  }

  Result<void> load(std::uint32_t number, const std::shared_ptr<ReplicaGroup>& group, WatchedReplica& out, Execution& execution) {
    PLIMSOLL_ASSIGN(out.plan, replica_plan(plan_, number));
    const auto ranks = static_cast<std::uint32_t>(out.plan.devices.size());
    PipelineModelOptions made;
    made.plan = out.plan;
    if (options_.inject == Fault::kOversize) make_oversize(made.plan);
    made.processes = options_.processes;
    made.replica = number;
    made.group = group;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      if (made.processes && made.processes->rank() != number * ranks + rank) continue;
      std::shared_ptr<MemorySource> memory = made.processes ? made.processes->memory() : host_memory();
      if (!backends_.empty()) {
        made.backends.push_back(backends_[options_.processes ? 0 : number * ranks + rank]); // of processes each its own
        memory = made.backends.back();
      }
      out.sources.push_back(std::make_shared<WatchedMemory>(std::move(memory)));
      PLIMSOLL_ASSIGN(Arena arena, Arena::create(out.plan, rank, out.sources.back(), ArenaMode::kObserve));
      out.arenas.push_back(arena);
      made.arenas.push_back(std::move(arena)); // one ledger, two doors
    }
    out.left.resize(ranks);
    PLIMSOLL_ASSIGN(out.model, make_(std::move(made), told("loading")));
    if (auto* const cached = dynamic_cast<KvCacheModel*>(out.model.get())) {
      KvCacheOptions options;
      options.manager.key_seed = options_.seed;
      PLIMSOLL_ASSIGN(out.cache, cached->load_kv_manager(out.model->plan(), out.model->arenas(), options));
    }
    if (options_.inject == Fault::kDouble && out.arenas.front().rank() == 0) {
      PLIMSOLL_ASSIGN(out.again, take_again(out.arenas.front()));
    }
    PLIMSOLL_TRY(look_at_signal_buffers(*out.model, execution));
    for (const auto& source : out.sources) source->mark_working_memory();
    return {};
  }

  // Each its own worst case; where they share experts the same one in the same passes, and who has done all is idle until all have.
  Result<void> exercise_all(std::vector<WatchedReplica>& replicas, ReplicaGroup* group) const {
    std::vector<Result<void>> done(replicas.size());
    RankThreads threads(static_cast<std::uint32_t>(replicas.size()));
    threads.run([&](std::uint32_t i) {
      done[i] = exercise_one(replicas[i], i == 0);
      if (!done[i] && group != nullptr) group->abort(done[i].error());
    });
    for (Result<void>& one : done) PLIMSOLL_TRY(std::move(one));
    return {};
  }
  Result<void> exercise_one(WatchedReplica& replica, bool tells) const {
    ExerciseOptions options;
    options.seed = options_.seed;
    if (tells) options.progress = told("computing");
    options.takes = [&] { return replica.takes(); };
    PLIMSOLL_ASSIGN(replica.found.exercised, exercise(*replica.model, replica.cache ? &*replica.cache : nullptr, options));
    for (std::uint64_t others = 1; replica.model->shares_experts() && others > 0;) {
      PLIMSOLL_ASSIGN(others, replica.model->execute_idle());
    }
    return {};
  }

  // What was taken in all, before anything is given back.
  Result<void> measure(std::span<const WatchedReplica> replicas, std::uint64_t before, std::uint64_t free_before, Execution& out) const {
    for (const WatchedReplica& replica : replicas)
      for (std::size_t rank = 0; rank < replica.arenas.size(); ++rank) {
        for (const Usage& line : replica.arenas[rank].usage()) {
          // What libraries take is counted and not taken here; what a device's BLAS works in is taken.
          const bool of_nccl = line.label == kCollectivesLabel;
          if (of_nccl) out.collective_bytes += line.live_bytes;
          if (line.category != Category::kOverhead || (!backends_.empty() && !of_nccl)) out.arena_bytes += line.live_bytes;
        }
        out.source_bytes += replica.sources[rank]->live_bytes();
        out.working_bytes += replica.sources[rank]->working_bytes();
        out.touched_working_bytes += replica.sources[rank]->touched_working_bytes();
      }
    PLIMSOLL_ASSIGN(const std::uint64_t after, anonymous_bytes());
    out.grown_bytes = after > before ? after - before : 0;
    if (backends_.empty()) return {};
    const std::uint64_t free_after = free_bytes();
    out.grown_bytes = free_before > free_after ? free_before - free_after : 0;
    for (const WatchedReplica& replica : replicas)
      for (const auto& source : replica.sources) {
        out.granule_bytes += source->blocks() * kGranuleBytes;
        out.visible_bytes += source->visible_bytes();
      }
    return {};
  }

  Result<void> look_at_pools(WatchedReplica& replica) const {
    if (!replica.cache) return {};
    const PoolMemory memory = [&](std::uint32_t rank) -> MemorySource& {
      const auto at = std::find_if(replica.arenas.begin(), replica.arenas.end(), [&](const Arena& arena) { return arena.rank() == rank; });
      return *replica.sources[static_cast<std::size_t>(at - replica.arenas.begin())];
    };
    ReplicaFindings& found = replica.found;
    found.null_pages_are_zero = null_pages_are_zero(*replica.cache, memory);
    PLIMSOLL_ASSIGN(found.pools, check_pools(*replica.cache, memory, replica.model->plan().limits.max_length, options_.seed));
    if (options_.inject == Fault::kLeak) PLIMSOLL_TRY(leak_a_claim(replica.cache->manager(), options_.seed));
    found.requests_left = replica.cache->manager().metrics().requests;
    replica.left = bytes_left(replica.cache->manager());
    return {};
  }

  // What its arenas say once all has been given back.
  void add_ranks(WatchedReplica& replica, Execution& out) const {
    for (std::size_t i = 0; i < replica.arenas.size(); ++i) {
      const Arena& arena = replica.arenas[i];
      RankMeasurement& measured = out.ranks.emplace_back(RankMeasurement{arena.usage(), arena.usage_by_category()});
      const std::map<std::string, std::uint64_t>& left_on_rank = replica.left[arena.rank()];
      for (Usage& line : measured.lines)
        if (line.category == Category::kKvCache)
          if (const auto pages = left_on_rank.find(line.label); pages != left_on_rank.end()) line.live_bytes += pages->second;
      if (plan_.model.weights_source == WeightsSource::kGiven) merge_weights(measured);
      out.source_left_bytes += replica.sources[i]->live_bytes();
    }
    out.replicas.push_back(std::move(replica.found));
  }

  // ---- the twelve

  static VerifyCheck& add(VerifyRunReport& report, const char* name, bool pass, std::string message) {
    VerifyCheck& check = report.checks.emplace_back();
    check.number = static_cast<std::uint32_t>(report.checks.size());
    check.name = name;
    check.result = pass ? CheckResult::kPass : CheckResult::kFail;
    check.message = std::move(message);
    return check;
  }
  static void blame(VerifyCheck& check, Category category, std::string label = {}) {
    if (check.result != CheckResult::kFail) return;
    check.category = category;
    check.label = std::move(label);
  }
  static void skip(VerifyRunReport& report, const char* name, std::string why) {
    add(report, name, true, std::move(why)).result = CheckResult::kSkip;
  }

  void add_checks(const Execution& first, const Execution& second, VerifyRunReport& report) const {
    check_devices(report);
    check_categories(report);
    check_ledger(first, report);
    of_replicas(first, report, [](const ReplicaFindings& of, VerifyRunReport& out) { check_pool(of, out); });
    of_replicas(first, report, [](const ReplicaFindings& of, VerifyRunReport& out) { check_null_page(of, out); });
    check_signal(first, report);
    of_replicas(first, report, [this](const ReplicaFindings& of, VerifyRunReport& out) { check_vision(of, out); });
    of_replicas(first, report, [&](const ReplicaFindings& of, VerifyRunReport& out) { check_exercised(first, of, out); });
    of_replicas(first, report, [](const ReplicaFindings& of, VerifyRunReport& out) { check_one_more(of, out); });
    check_repeats(first, second, report);
    check_returned(first, report);
    of_replicas(first, report, [](const ReplicaFindings& of, VerifyRunReport& out) { check_steady(of, out); });
  }

  // What the first says that fails; where none does, what the first says.
  template <class Check>
  static void of_replicas(const Execution& of, VerifyRunReport& report, const Check& check) {
    std::optional<VerifyCheck> said;
    for (std::size_t replica = 0; replica < of.replicas.size(); ++replica) {
      VerifyRunReport one;
      check(of.replicas[replica], one);
      VerifyCheck& found = one.checks.front();
      const bool fails = found.result == CheckResult::kFail;
      if (fails && of.replicas.size() > 1) found.message = fmt::format("replica {}: {}", replica, found.message);
      if (!said || (fails && said->result != CheckResult::kFail)) said = std::move(found);
    }
    if (!said) return;
    said->number = static_cast<std::uint32_t>(report.checks.size() + 1);
    report.checks.push_back(std::move(*said));
  }

  void check_devices(VerifyRunReport& report) const {
    if (!available_bytes()) return skip(report, "devices", "nobody says what this machine has");
    add(report, "devices", true, "this machine has what the plan takes").figures = {{"planned_bytes", planned_bytes()},
                                                                                    {"available_bytes", *available_bytes()}};
  }

  static void check_categories(VerifyRunReport& report) {
    VerifyCheck check;
    for (const RankVerdict& rank : report.ranks)
      for (const CategoryVerdict& c : rank.categories) {
        if (c.verdict == MemoryVerdict::kWithin || (check.category && c.verdict != MemoryVerdict::kOver)) continue;
        if (check.category && check.result == CheckResult::kFail) continue; // the first that is over is named
        check.category = c.category;
        check.message = fmt::format("rank {}, {}: {}", rank.rank, category_name(c.category), c.reason);
        check.result = c.verdict == MemoryVerdict::kOver ? CheckResult::kFail : CheckResult::kPass;
        for (const LineVerdict& line : c.lines)
          if (line.verdict == c.verdict && check.label.empty()) check.label = line.label;
      }
    const bool pass = !check.category;
    VerifyCheck& out = add(report, "categories", pass, pass ? "every category took what is planned for it" : check.message);
    out.category = check.category;
    out.label = check.label;
  }

  // What the drivers gave: all that arenas count, and at most what granules and NCCL add to it.
  void check_driver(const Execution& of, VerifyRunReport& report) const {
    const bool sums = of.arena_bytes == of.source_bytes, taken = of.grown_bytes + of.granule_bytes + of.visible_bytes >= of.source_bytes;
    const std::uint64_t known = of.source_bytes + of.granule_bytes + of.collective_bytes;
    const std::uint64_t unexplained = of.grown_bytes > known ? of.grown_bytes - known : 0;
    const bool explained = unexplained <= kMostUnexplainedBytes;
    VerifyCheck& check =
        add(report, "ledger", sums && taken && explained,
            !sums        ? fmt::format("the arenas count {} B and {} B were taken of the devices", of.arena_bytes, of.source_bytes)
            : !taken     ? fmt::format("{} B were taken, and by their drivers the devices gave only {} B", of.source_bytes, of.grown_bytes)
            : !explained ? fmt::format("by their drivers the devices gave {} B of which nothing is known", unexplained)
                         : "what the arenas count is what was taken, and by their drivers the devices gave no more");
    check.figures = {{"arena_bytes", of.arena_bytes},     {"source_bytes", of.source_bytes}, {"driver_bytes", of.grown_bytes},
                     {"granule_bytes", of.granule_bytes}, {"host_bytes", of.visible_bytes},  {"collective_bytes", of.collective_bytes},
                     {"unexplained_bytes", unexplained}};
    blame(check, Category::kOverhead);
  }

  void check_ledger(const Execution& of, VerifyRunReport& report) const {
    if (!backends_.empty()) return check_driver(of, report);
    std::uint64_t overhead = 0;
    for (const RankMeasurement& rank : of.ranks) overhead += rank.categories[static_cast<std::size_t>(Category::kOverhead)].peak_bytes;
    const std::uint64_t known = of.source_bytes + overhead, unexplained = of.grown_bytes > known ? of.grown_bytes - known : 0;
    const bool sums = of.arena_bytes == of.source_bytes, explained = unexplained <= kMostUnexplainedBytes || !kGrowsByWhatItTakes;
    VerifyCheck& check =
        add(report, "ledger", sums && explained,
            !sums        ? fmt::format("the arenas count {} B and {} B were taken of the machine", of.arena_bytes, of.source_bytes)
            : !explained ? fmt::format("the process grew by {} B of which nothing is known", unexplained)
                         : "what the arenas count is what was taken, and the process grew by no more");
    check.figures = {{"arena_bytes", of.arena_bytes},
                     {"source_bytes", of.source_bytes},
                     {"overhead_bytes", overhead},
                     {"process_growth_bytes", of.grown_bytes},
                     {"unexplained_bytes", unexplained}};
    blame(check, Category::kOverhead);
  }

  static void check_pool(const ReplicaFindings& of, VerifyRunReport& report) {
    if (!of.pools) return skip(report, "pool", "the model keeps no KV cache");
    std::uint64_t units = 0, handed_out = 0;
    std::string problem = of.pools->broken, label = of.pools->broken_label;
    for (const PoolFinding& group : of.pools->groups) {
      units += group.units;
      handed_out += group.handed_out;
      if (!problem.empty() || group.handed_out == group.units) continue;
      problem = fmt::format("{} of {} pages of '{}' can never be handed out", group.units - group.handed_out, group.units, group.label);
      label = group.label;
    }
    VerifyCheck& check =
        add(report, "pool", problem.empty(), problem.empty() ? "every page was handed out, written and read back" : problem);
    check.figures = {{"pages", units}, {"pages_handed_out", handed_out}};
    blame(check, Category::kKvCache, label);
  }

  static void check_null_page(const ReplicaFindings& of, VerifyRunReport& report) {
    if (!of.pools || of.pools->null_pages == 0) return skip(report, "null_page", "the KV cache has none");
    const bool zero = of.null_pages_are_zero && of.pools->null_pages_are_zero;
    VerifyCheck& check = add(report, "null_page", zero, zero ? "still zeros" : "somebody wrote to a page that is nobody's");
    check.figures = {{"null_pages", of.pools->null_pages}};
    blame(check, Category::kKvCache);
  }

  static void check_signal(const Execution& of, VerifyRunReport& report) {
    if (of.due_signal_buffers == 0 && of.signal_buffers == 0)
      return skip(report, "signal_buffers", "the plan has none: there is nobody to exchange with");
    const bool count = of.signal_buffers == of.due_signal_buffers;
    VerifyCheck& check = add(report, "signal_buffers", count && of.signal_buffers_are_clear,
                             !count ? fmt::format("{} where {} are planned", of.signal_buffers, of.due_signal_buffers)
                             : of.signal_buffers_are_clear ? "as many as planned, and clear before their first use"
                                                           : "one of them has something in it before its first use");
    check.figures = {{"signal_buffers", of.signal_buffers}, {"planned_signal_buffers", of.due_signal_buffers}};
    blame(check, Category::kSignalBuffer);
  }

  void check_vision(const ReplicaFindings& of, VerifyRunReport& report) const {
    std::uint64_t planned = 0;
    for (const DevicePlan& d : plan_.devices) planned += d.vision_cache_bytes;
    if (planned == 0) return skip(report, "vision_cache", "the plan has no room for images; texts alone are run");
    const Exercised& e = of.exercised;
    if (e.due_images == 0) return skip(report, "vision_cache", "no request is long enough for the largest image, or nothing encodes it");
    const bool all = e.images >= e.due_images && e.image_rows == plan_.entries.front().rows;
    VerifyCheck& check = add(report, "vision_cache", all,
                             all ? "images of the largest size were encoded, each in an entry, one more than there are"
                                 : fmt::format("{} of {} images of {} rows were encoded", e.images, e.due_images, e.image_rows));
    check.figures = {
        {"images", e.images}, {"image_rows", e.image_rows}, {"entries", plan_.vision_entries}, {"vision_cache_bytes", planned}};
    blame(check, Category::kVisionCache);
  }

  static void check_exercised(const Execution& all, const ReplicaFindings& of, VerifyRunReport& report) {
    const Exercised& e = of.exercised;
    VerifyCheck& check = add(report, "worst_case", e.is_complete(),
                             e.is_complete()       ? "the longest request, the full batch, full passes and shared prefixes were computed"
                             : e.cut_short.empty() ? "not all of what the plan promises was reached"
                                                   : "the pages did not do: " + e.cut_short);
    check.figures = {{"passes", e.passes},
                     {"most_tokens", e.most_tokens},
                     {"due_tokens", e.due_tokens},
                     {"most_sequences", e.most_sequences},
                     {"due_sequences", e.due_sequences},
                     {"most_output_rows", e.most_output_rows},
                     {"due_output_rows", e.due_output_rows},
                     {"longest_tokens", e.longest_tokens},
                     {"due_longest_tokens", e.due_longest_tokens},
                     {"full_requests", e.full_requests},
                     {"due_full_requests", e.due_full_requests},
                     {"hit_tokens", e.hit_tokens},
                     {"due_hit_tokens", e.due_hit_tokens},
                     {"adapters", e.adapters},
                     {"due_adapters", e.due_adapters},
                     {"working_bytes", all.working_bytes},
                     {"touched_working_bytes", all.touched_working_bytes}};
    blame(check, Category::kKvCache);
  }

  static void check_one_more(const ReplicaFindings& of, VerifyRunReport& report) {
    if (!of.pools || of.pools->refusals == 0) return skip(report, "one_page_more", "no pool ran out of pages");
    const std::string& problem = of.pools->refusal_problem;
    VerifyCheck& check = add(report, "one_page_more", problem.empty(), problem.empty() ? "refused, and nothing else changed" : problem);
    check.figures = {{"refusals", of.pools->refusals}};
    blame(check, Category::kKvCache);
  }

  static void check_repeats(const Execution& first, const Execution& second, VerifyRunReport& report) {
    std::uint64_t lines = 0;
    for (std::size_t rank = 0; rank < first.ranks.size(); ++rank) {
      // What a library takes it takes once.
      std::vector<Usage> a = first.ranks[rank].lines, b = second.ranks[rank].lines;
      for (std::vector<Usage>* const of : {&a, &b}) std::erase_if(*of, [](const Usage& u) { return u.category == Category::kOverhead; });
      lines += a.size();
      const auto same = [](const Usage& x, const Usage& y) {
        return x.category == y.category && x.label == y.label && x.peak_bytes == y.peak_bytes;
      };
      const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end(), same);
      if (at == a.end() && other == b.end()) continue;
      const Usage& line = at != a.end() ? *at : *other;
      VerifyCheck& check = add(report, "repeats", false, fmt::format("rank {}: '{}' peaked elsewhere the second time", rank, line.label));
      blame(check, line.category, line.label);
      return;
    }
    add(report, "repeats", true, "a second run had the same peaks").figures = {{"lines", lines}};
  }

  static void check_returned(const Execution& of, VerifyRunReport& report) {
    std::uint64_t left = 0;
    const CategoryVerdict* where = nullptr;
    for (const RankVerdict& rank : report.ranks)
      for (const CategoryVerdict& c : rank.categories) {
        left += c.left_bytes;
        if (c.left_bytes > 0 && where == nullptr) where = &c;
      }
    std::uint64_t requests = 0;
    for (const ReplicaFindings& replica : of.replicas) requests += replica.requests_left;
    const bool pass = left == 0 && of.source_left_bytes == 0 && requests == 0;
    std::string label;
    if (where != nullptr)
      for (const LineVerdict& line : where->lines)
        if (line.left_bytes > 0 && label.empty()) label = line.label;
    VerifyCheck& check =
        add(report, "returned", pass,
            pass ? "everything was given back"
                 : fmt::format("{} B of '{}' were never given back; {} requests still have a claim", left, label, requests));
    check.figures = {{"left_bytes", left}, {"source_left_bytes", of.source_left_bytes}, {"requests_left", requests}};
    blame(check, where != nullptr ? where->category : Category::kKvCache, label);
  }

  static void check_steady(const ReplicaFindings& of, VerifyRunReport& report) {
    const Exercised& e = of.exercised;
    if (e.decode_passes == 0) return skip(report, "steady", "no token was computed by itself");
    VerifyCheck& check = add(report, "steady", e.decode_takes == 0,
                             e.decode_takes == 0 ? "nothing was allocated while tokens came one by one"
                                                 : fmt::format("{} allocations in {} passes", e.decode_takes, e.decode_passes));
    check.figures = {{"decode_passes", e.decode_passes}, {"allocations", e.decode_takes}};
    blame(check, Category::kActivation);
  }

  static RunVerdict overall(const VerifyRunReport& report) {
    bool wasted = false;
    for (const RankVerdict& rank : report.ranks)
      for (const CategoryVerdict& c : rank.categories) {
        if (c.verdict == MemoryVerdict::kOver) return RunVerdict::kOverPlan;
        wasted = wasted || c.verdict == MemoryVerdict::kWasted;
      }
    for (const VerifyCheck& check : report.checks)
      if (check.result == CheckResult::kFail && !(wasted && check.name == "categories")) return RunVerdict::kCheckFailed;
    return wasted ? RunVerdict::kWasted : RunVerdict::kWithinPlan;
  }

  const Plan& plan_;
  const ModelMaker& make_;
  const VerifyRunOptions& options_;
  std::uint32_t n_replicas_;
  bool own_plan_;
  std::vector<std::shared_ptr<Backend>> backends_; // of each rank; empty: the processors
  std::optional<std::uint64_t> available_;         // by the devices' drivers
};

} // namespace

std::string_view fault_name(Fault fault) noexcept {
  switch (fault) {
  case Fault::kNone: return "none";
  case Fault::kOversize: return "oversize";
  case Fault::kLeak: return "leak";
  case Fault::kDouble: return "double";
  }
  return "none";
}

std::optional<Fault> find_fault(std::string_view name) noexcept {
  for (const Fault fault : {Fault::kNone, Fault::kOversize, Fault::kLeak, Fault::kDouble})
    if (fault_name(fault) == name) return fault;
  return std::nullopt;
}

std::string_view memory_verdict_name(MemoryVerdict verdict) noexcept {
  switch (verdict) {
  case MemoryVerdict::kWithin: return "within";
  case MemoryVerdict::kOver: return "over";
  case MemoryVerdict::kWasted: return "wasted";
  case MemoryVerdict::kNotPlanned: return "not_planned";
  }
  return "within";
}

std::string_view check_result_name(CheckResult result) noexcept {
  switch (result) {
  case CheckResult::kPass: return "pass";
  case CheckResult::kFail: return "fail";
  case CheckResult::kSkip: return "skip";
  }
  return "pass";
}

std::string_view run_verdict_name(RunVerdict verdict) noexcept {
  switch (verdict) {
  case RunVerdict::kWithinPlan: return "within_plan";
  case RunVerdict::kOverPlan: return "over_plan";
  case RunVerdict::kCheckFailed: return "check_failed";
  case RunVerdict::kWasted: return "wasted";
  case RunVerdict::kDoesNotFit: return "does_not_fit";
  }
  return "within_plan";
}

Result<VerifyRunReport> verify_model(const Plan& plan, const ModelMaker& make, const VerifyRunOptions& options) {
  if (options.processes) PLIMSOLL_TRY(options.processes->check(plan));
  auto report = Verification(plan, make, options).run();
  if (!report && options.processes) options.processes->fail(report.error());
  return report;
}

Result<VerifyRunReport> verify_run(const Context& context, const Model& model, const PlanRequest& request,
                                   const VerifyRunOptions& options) {
  PLIMSOLL_ASSIGN(const Plan plan, context.plan(model, request));
  const ModelMaker make = [&](PipelineModelOptions made, const LoadProgress& progress) {
    return PipelineModel::load(context, model, request, std::move(made), progress);
  };
  return verify_model(plan, make, options);
}

} // namespace plimsoll
