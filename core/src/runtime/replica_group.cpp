#include "runtime/replica_group.hpp"

#include <algorithm>
#include <utility>

namespace plimsoll {

ReplicaGroup::ReplicaGroup(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
ReplicaGroup::~ReplicaGroup() = default;

std::shared_ptr<ReplicaGroup> ReplicaGroup::of(const Plan& whole) {
  const GroupShape shape{std::max<std::uint32_t>(whole.request.tp, 1), std::max<std::uint32_t>(whole.request.pp, 1), whole.request.dp};
  if (shape.replicas <= 1 || whole.devices.size() != shape.ranks()) return nullptr;
  return std::shared_ptr<ReplicaGroup>(new ReplicaGroup(std::make_unique<Impl>(shape))); // NOLINT: its constructor is private
}

void ReplicaGroup::abort(const Error& error) noexcept { impl_->threads().abort(error); }
void ReplicaGroup::reset() noexcept { (void)impl_->threads().reset(); }

} // namespace plimsoll
