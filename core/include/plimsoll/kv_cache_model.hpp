// plimsoll/kv_cache_model.hpp - a model that keeps a KV cache: its parameters and size before anything is allocated, and its manager with
// the memory it numbers. Hosts derive their own models from KvCacheModel beside PipelineModel; a pipeline asks a model that does for its
// cache. All sizes are the planner's; nothing here adds to them. Threads: static functions from any thread; a KvCache is [serial].
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plimsoll/arena.hpp"
#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/kv_cache.hpp"
#include "plimsoll/model_io.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// What get_kv_params answers, of one device of a layout.
struct KvCacheParams {
  std::string dtype;
  std::uint64_t page_tokens = 0, bytes_per_token_per_device = 0;
  std::vector<KvGroupPlan> groups;
};

struct KvCacheOptions {
  KvOptions manager; // of its tables only TableLayout::kMax is planned
  // The largest step that tables are taken for: its requests, and tokens of the longest of them. Absent: the plan's limits.
  std::optional<std::uint64_t> most_sequences, most_context_tokens;
  bool own_rank_alone = false;  // the other ranks are other processes: one arena, and the memory of its rank
  bool pages_elsewhere = false; // all ranks are other processes: no arena and no memory, the manager alone
};

// A paged KV manager and the memory of its pages, on every rank of a plan: what load_kv_manager returns. Memory comes from arenas and goes
// back to them. Movable.
class PLIMSOLL_API KvCache {
public:
  // Takes the pools of every group (category kKvCache, label "kv_cache." and the group's; "kv_cache" where groups share blocks) and the
  // tables of the largest step (kActivation, "activation.tables") from one arena per rank, as the plan counts them. kOverPlan: an arena
  // that has not so much; kBadRequest: a plan that does not fit, or another number of arenas than there are ranks here.
  static Result<KvCache> create(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options = {});
  KvCache(KvCache&&) noexcept;
  KvCache& operator=(KvCache&&) noexcept;
  ~KvCache();

  PagedKvManager& manager();
  // Whether the memory of a rank is here, and not another process's.
  bool holds(std::uint32_t rank) const;
  // Tables and lengths of a batch as tensors, of each rank that is here, in the memory of the step before: those of that step are void.
  // Errors as of PagedKvManager::runtime_inputs; kOverPlan where the batch or a request's table is larger than planned.
  Result<KvCacheInputs> runtime_inputs(std::span<const TextContext* const> batch, std::uint32_t replica = 0);
  // The pages (or rows) of a group on a rank; empty where the rank has none.
  Tensor blocks(std::uint32_t rank, std::size_t group) const;
  // All of a rank's pages: what estimate_kv_cache_size says.
  std::uint64_t bytes(std::uint32_t rank) const;

private:
  class Impl;
  explicit KvCache(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

class PLIMSOLL_API KvCacheModel {
public:
  virtual ~KvCacheModel() = default;

  // What the model stores per token and group on a device. Errors are those of Context::plan.
  static Result<KvCacheParams> get_kv_params(const Context& context, const Model& model, const PlanRequest& request);
  // Layers that cache; layers that keep nothing do not count, nor those of a draft model.
  static Result<std::uint64_t> get_num_layers(const Context& context, const Model& model);
  // Bytes that the pools really take of `available_cache_memory` on each rank, whole pages: what load_kv_manager then allocates. The plan's
  // error where a page does not fit.
  static Result<std::vector<std::uint64_t>> estimate_kv_cache_size(const Context& context, const Model& model, const PlanRequest& request,
                                                                   std::uint64_t available_cache_memory);

  // The manager and its pools, as KvCache::create makes them unless a model does otherwise. One manager serves all modalities: each
  // has groups of its own.
  virtual Result<KvCache> load_kv_manager(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options = {});
};

} // namespace plimsoll
