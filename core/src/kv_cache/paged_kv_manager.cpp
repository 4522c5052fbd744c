// The public faces of plimsoll/kv_cache.hpp: every member asks the manager behind it. A manager that was moved from may only be
// assigned to or destroyed. Threads: [serial].
#include <utility>

#include "kv_cache/manager.hpp"

namespace plimsoll {

PagedKvManager::PagedKvManager(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
PagedKvManager::PagedKvManager(PagedKvManager&&) noexcept = default;
PagedKvManager& PagedKvManager::operator=(PagedKvManager&&) noexcept = default;
PagedKvManager::~PagedKvManager() = default;

Result<PagedKvManager> PagedKvManager::create(KvGeometry geometry, const KvOptions& options) {
  PLIMSOLL_ASSIGN(std::unique_ptr<Impl> impl, Impl::create(std::move(geometry), options));
  return PagedKvManager(std::move(impl));
}

Result<void> PagedKvManager::claim(RequestId id, std::uint32_t replica) { return impl_->claim(id, replica); }
bool PagedKvManager::contains(RequestId id) const { return impl_->find(id) != nullptr; }
std::optional<std::uint32_t> PagedKvManager::replica_of(RequestId id) const {
  const Request* request = impl_->find(id);
  return request == nullptr ? std::nullopt : std::optional(request->replica);
}

Result<KvAllocation> PagedKvManager::alloc(TextContext& context) { return impl_->alloc(context); }
Result<void> PagedKvManager::reserve(const TextContext& context, std::uint64_t further_tokens) {
  return impl_->reserve(context, further_tokens);
}
Result<std::uint64_t> PagedKvManager::fitting_tokens(const TextContext& context) const { return impl_->fitting_tokens(context); }
Result<KvInputs> PagedKvManager::runtime_inputs(std::span<const TextContext* const> batch, const KvInputsOptions& options) {
  return impl_->runtime_inputs(batch, options.replica);
}
Result<void> PagedKvManager::step(std::span<const TextContext* const> batch) { return impl_->step(batch); }
Result<void> PagedKvManager::release(RequestId id) { return impl_->release(id); }

void PagedKvManager::reset_prefix_cache() noexcept { impl_->reset_prefix_cache(); }
bool PagedKvManager::prefix_caching() const { return impl_->layout().hit_alignment_tokens > 0; }
std::uint64_t PagedKvManager::hit_alignment_tokens() const { return impl_->layout().hit_alignment_tokens; }

const KvGeometry& PagedKvManager::geometry() const { return impl_->geometry(); }
std::uint32_t PagedKvManager::n_replicas() const { return static_cast<std::uint32_t>(impl_->layout().pools.size()); }
std::uint32_t PagedKvManager::ranks_per_replica() const { return impl_->layout().ranks_per_replica; }
std::uint64_t PagedKvManager::total_pages(std::size_t group, std::uint32_t replica) const { return impl_->total_pages(group, replica); }
std::uint64_t PagedKvManager::free_pages(std::size_t group, std::uint32_t replica) const { return impl_->free_pages(group, replica); }
std::uint64_t PagedKvManager::bytes(std::uint32_t rank) const {
  return rank < impl_->geometry().n_ranks() ? impl_->geometry().bytes(rank) : 0;
}
KvPlace PagedKvManager::place(std::uint32_t rank, std::size_t group, std::uint64_t layer) const {
  const KvGeometry& geometry = impl_->geometry();
  if (rank >= geometry.n_ranks() || group >= geometry.n_groups() || layer >= geometry.group(rank, group).n_layers) return {};
  return place_of(geometry, impl_->layout(), rank, group, layer);
}

KvMetrics PagedKvManager::metrics() const { return impl_->metrics(); }
Result<void> PagedKvManager::audit() const { return impl_->audit(); }

Result<KvClaim> KvClaim::take(PagedKvManager& manager, RequestId id, std::uint32_t replica) {
  PLIMSOLL_TRY(manager.claim(id, replica));
  return KvClaim(manager, id);
}
KvClaim::KvClaim(KvClaim&& other) noexcept : manager_(std::exchange(other.manager_, nullptr)), id_(other.id_) {}
KvClaim& KvClaim::operator=(KvClaim&& other) noexcept {
  if (this == &other) return *this;
  static_cast<void>(release());
  manager_ = std::exchange(other.manager_, nullptr);
  id_ = other.id_;
  return *this;
}
KvClaim::~KvClaim() { static_cast<void>(release()); }
Result<void> KvClaim::release() {
  PagedKvManager* manager = std::exchange(manager_, nullptr);
  return manager == nullptr ? Result<void>{} : manager->release(id_);
}

} // namespace plimsoll
