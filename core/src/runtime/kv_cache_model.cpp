#include "plimsoll/kv_cache_model.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "runtime/kv_pool_label.hpp"
#include "schedule/tables.hpp"

namespace plimsoll {
namespace {

Result<Tensor> take(Arena& arena, Category category, std::string_view label, ElementType type, std::initializer_list<std::uint64_t> shape) {
  const std::span<const std::uint64_t> extents(shape.begin(), shape.size());
  const bool is_table = category == Category::kActivation; // which each step is written to
  PLIMSOLL_ASSIGN(Buffer buffer,
                  is_table ? arena.allocate_visible(category, label, type, extents) : arena.allocate(category, label, type, extents));
  const bool on_host = buffer.on_host();
  return Tensor::of(std::move(buffer), on_host);
}

// The pages of one group on a rank; where groups share blocks, all of them with the first group.
Result<Tensor> take_blocks(Arena& arena, const KvGeometry& geometry, std::size_t group) {
  const std::uint32_t rank = arena.rank();
  const KvGroupPool& pool = geometry.pool(rank, group);
  const KvGroupGeometry& layout = geometry.group(rank, group);
  if (pool.bytes == 0) return Tensor();
  const std::string label = kv_pool_label(geometry, rank, group);
  const std::uint64_t rows = layout.kind == CacheKind::kState ? pool.state_rows : pool.pages;
  if (rows > 0 && pool.bytes % rows == 0) return take(arena, Category::kKvCache, label, ElementType::kUint8, {rows, pool.bytes / rows});
  return take(arena, Category::kKvCache, label, ElementType::kUint8, {pool.bytes});
}

// The part of a table's memory that this step needs, filled from the manager's.
Result<Tensor> filled(const Tensor& memory, std::initializer_list<std::uint64_t> shape, std::span<const std::uint32_t> values) {
  if (values.size() > memory.elements())
    return fail(ErrorCode::kOverPlan,
                fmt::format("a step's table has {} entries; {} are planned: make the batch smaller or its requests shorter", values.size(),
                            memory.elements()));
  PLIMSOLL_ASSIGN(Tensor table, memory.first(shape));
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> room, table.values<std::uint32_t>());
  std::copy(values.begin(), values.end(), room.begin());
  return table;
}

} // namespace

class KvCache::Impl {
public:
  Impl(PagedKvManager kv, std::size_t n_ranks) : manager(std::move(kv)), blocks(n_ranks), tables(n_ranks) {}

  Result<void> take_memory(Arena& arena, const Plan& plan, const KvCacheOptions& options);
  Result<KvDeviceInputs> device_inputs(std::uint32_t rank, const KvInputs& inputs) const;

  // The tables of the largest step on one rank, where each step's are written.
  struct StepTables {
    Tensor cache_lengths, max_lengths;
    std::vector<Tensor> of_group; // lookup tables, or rows of states
  };

  PagedKvManager manager;
  std::vector<std::vector<Tensor>> blocks; // [rank][group]
  std::vector<StepTables> tables;          // [rank]
};

Result<void> KvCache::Impl::take_memory(Arena& arena, const Plan& plan, const KvCacheOptions& options) {
  constexpr std::string_view kLabel = "activation.tables";
  const KvGeometry& geometry = manager.geometry();
  const std::uint64_t sequences = options.most_sequences.value_or(plan.request.max_batch_size);
  const std::uint64_t context = options.most_context_tokens.value_or(plan.request.max_length);
  StepTables& step = tables[arena.rank()];
  PLIMSOLL_ASSIGN(step.cache_lengths, take(arena, Category::kActivation, kLabel, ElementType::kUint32, {sequences}));
  PLIMSOLL_ASSIGN(step.max_lengths, take(arena, Category::kActivation, kLabel, ElementType::kUint32, {1, 2}));
  for (std::size_t group = 0; group < geometry.n_groups(); ++group) {
    PLIMSOLL_ASSIGN(Tensor pages, take_blocks(arena, geometry, group));
    blocks[arena.rank()].push_back(std::move(pages));
    const KvGroupGeometry& layout = geometry.group(arena.rank(), group);
    const std::uint64_t columns = layout.kind == CacheKind::kState ? layout.rows_per_sequence : table_columns(context, layout.page_tokens);
    PLIMSOLL_ASSIGN(Tensor table, take(arena, Category::kActivation, kLabel, ElementType::kUint32, {sequences, columns}));
    step.of_group.push_back(std::move(table));
  }
  return {};
}

Result<KvDeviceInputs> KvCache::Impl::device_inputs(std::uint32_t rank, const KvInputs& inputs) const {
  const StepTables& step = tables[rank];
  KvDeviceInputs out;
  PLIMSOLL_ASSIGN(out.cache_lengths, filled(step.cache_lengths, {inputs.batch}, inputs.cache_lengths));
  PLIMSOLL_ASSIGN(out.max_lengths, filled(step.max_lengths, {1, 2}, inputs.max_lengths));
  for (std::size_t group = 0; group < inputs.groups.size(); ++group) {
    const KvGroupInputs& from = inputs.groups[group];
    const Tensor& memory = step.of_group[group];
    KvGroupTensors to;
    to.blocks = blocks[rank][group];
    if (from.rows_per_request > 0) {
      PLIMSOLL_ASSIGN(to.state_rows, filled(memory, {inputs.batch, from.rows_per_request}, from.state_rows));
    } else if (from.lanes > 1) {
      PLIMSOLL_ASSIGN(to.lookup_table, filled(memory, {from.lanes, inputs.batch, from.columns}, from.table));
    } else {
      PLIMSOLL_ASSIGN(to.lookup_table, filled(memory, {inputs.batch, from.columns}, from.table));
    }
    out.groups.push_back(std::move(to));
  }
  return out;
}

KvCache::KvCache(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
KvCache::KvCache(KvCache&&) noexcept = default;
KvCache& KvCache::operator=(KvCache&&) noexcept = default;
KvCache::~KvCache() = default;

Result<KvCache> KvCache::create(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options) {
  if (plan.error) return tl::unexpected(*plan.error);
  const std::uint32_t ranks = plan.kv_geometry.n_ranks();
  const std::uint32_t here = options.pages_elsewhere ? 0 : options.own_rank_alone ? 1 : ranks;
  if (arenas.size() != here)
    return fail(ErrorCode::kBadRequest, fmt::format("{} arenas for {} ranks; each rank needs its own", arenas.size(), here));
  PLIMSOLL_ASSIGN(PagedKvManager manager, PagedKvManager::create(plan.kv_geometry, options.manager));
  auto impl = std::make_unique<Impl>(std::move(manager), ranks);
  for (std::uint32_t i = 0; i < here; ++i) {
    if (arenas[i].rank() >= ranks || (!options.own_rank_alone && arenas[i].rank() != i))
      return fail(ErrorCode::kBadRequest, fmt::format("arena {} is that of rank {}; they must be in order", i, arenas[i].rank()));
    PLIMSOLL_TRY(impl->take_memory(arenas[i], plan, options));
  }
  return KvCache(std::move(impl));
}

PagedKvManager& KvCache::manager() { return impl_->manager; }

Result<KvCacheInputs> KvCache::runtime_inputs(std::span<const TextContext* const> batch, std::uint32_t replica) {
  PLIMSOLL_ASSIGN(const KvInputs inputs, impl_->manager.runtime_inputs(batch, {.replica = replica}));
  const std::uint32_t ranks = impl_->manager.ranks_per_replica();
  KvCacheInputs out;
  for (std::uint32_t rank = replica * ranks; rank < (replica + 1) * ranks; ++rank) {
    if (!holds(rank)) continue;
    PLIMSOLL_ASSIGN(KvDeviceInputs device, impl_->device_inputs(rank, inputs));
    out.devices.push_back(std::move(device));
  }
  return out;
}

bool KvCache::holds(std::uint32_t rank) const { return rank < impl_->tables.size() && !impl_->tables[rank].max_lengths.empty(); }

Tensor KvCache::blocks(std::uint32_t rank, std::size_t group) const {
  if (rank >= impl_->blocks.size() || group >= impl_->blocks[rank].size()) return {};
  return impl_->blocks[rank][group];
}

std::uint64_t KvCache::bytes(std::uint32_t rank) const {
  std::uint64_t sum = 0;
  if (rank >= impl_->blocks.size()) return sum;
  for (const Tensor& pages : impl_->blocks[rank]) sum += pages.bytes();
  return sum;
}

Result<KvCache> KvCacheModel::load_kv_manager(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options) {
  return KvCache::create(plan, arenas, options);
}

} // namespace plimsoll
