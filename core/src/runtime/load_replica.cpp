#include "runtime/load_replica.hpp"

#include <utility>

#include "backend/backend.hpp"

namespace plimsoll {
namespace {

Result<void> load_adapters(PipelineModel& model, const std::vector<std::string>& loras) {
  LoraManager* const adapters = model.lora_manager();
  if (adapters == nullptr && !loras.empty())
    return fail(ErrorCode::kBadRequest, "the plan has no room for adapters; give --max-loras", "--lora");
  for (const std::string& lora : loras)
    if (LoraAnswer answer = adapters->load(lora); !answer.ok()) return tl::unexpected(std::move(*answer.error));
  return {};
}

} // namespace

Result<std::unique_ptr<PipelineModel>> load_replica(const Context& context, const Model& model, const PlanRequest& request,
                                                    const Plan& plan, std::uint32_t replica, const PipelineOptions& options,
                                                    std::shared_ptr<ReplicaGroup> group) {
  PipelineModelOptions made;
  PLIMSOLL_ASSIGN(made.plan, replica_plan(plan, replica));
  made.processes = options.processes;
  made.replica = replica;
  made.group = std::move(group);
  const auto first = replica * static_cast<std::uint32_t>(made.plan.devices.size()); // of its ranks
  for (std::uint32_t rank = 0; rank < made.plan.devices.size(); ++rank) {
    if (made.processes && made.processes->rank() != first + rank) continue;
    std::shared_ptr<MemorySource> memory = made.processes ? made.processes->memory() : host_memory();
    if (options.backend) {
      PLIMSOLL_ASSIGN(std::shared_ptr<Backend> backend, options.backend(first + rank));
      memory = backend;
      made.backends.push_back(std::move(backend));
    }
    PLIMSOLL_ASSIGN(Arena arena, Arena::create(made.plan, rank, memory, options.arena_mode));
    made.arenas.push_back(std::move(arena));
  }
  LoadProgress progress; // of all replicas
  if (options.progress)
    progress = [&](std::uint64_t done, std::uint64_t total) { options.progress(replica * total + done, plan.request.dp * total); };
  PLIMSOLL_ASSIGN(std::unique_ptr<PipelineModel> loaded, PipelineModel::load(context, model, request, std::move(made), progress));
  PLIMSOLL_TRY(load_adapters(*loaded, options.loras));
  return loaded;
}

void add_usage(std::span<const Arena> arenas, std::array<Usage, kCategories>& sums) {
  for (std::size_t i = 0; i < kCategories; ++i) sums[i].category = static_cast<Category>(i);
  for (const Arena& arena : arenas) {
    const std::array<Usage, kCategories> of_rank = arena.usage_by_category();
    for (std::size_t i = 0; i < kCategories; ++i) {
      sums[i].planned_bytes += of_rank[i].planned_bytes;
      sums[i].live_bytes += of_rank[i].live_bytes;
      sums[i].peak_bytes += of_rank[i].peak_bytes;
    }
  }
}

} // namespace plimsoll
