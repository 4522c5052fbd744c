#include "plugin/sinks.hpp"

#include <utility>

namespace plimsoll {
namespace {

Result<void> give(Collector& to, const PlannerNode& node, const plimsoll_weight& what) { return to.on_weight(node, what); }
Result<void> give(Collector& to, const PlannerNode& node, const plimsoll_kv_group& what) { return to.on_kv(node, what); }
Result<void> give(Collector& to, const PlannerNode& node, const plimsoll_entry& what) { return to.on_entry(node, what); }
Result<void> give(Collector& to, const PlannerNode& node, const plimsoll_item& what) { return to.on_item(node, what); }

plimsoll_status pass(const plimsoll_sink& to, const plimsoll_weight& what) { return to.weight(to.ctx, &what); }
plimsoll_status pass(const plimsoll_sink& to, const plimsoll_kv_group& what) { return to.kv(to.ctx, &what); }
plimsoll_status pass(const plimsoll_sink& to, const plimsoll_entry& what) { return to.entry(to.ctx, &what); }
plimsoll_status pass(const plimsoll_sink& to, const plimsoll_item& what) { return to.item(to.ctx, &what); }

// Nobody asked for it. What has no aspect, or one that is none, goes on to the gate, which refuses it.
template <class What>
bool is_unasked(const What& what, std::uint32_t aspects) {
  if (!PLIMSOLL_HAS(&what, What, aspect)) return false;
  const std::uint32_t unknown = ~static_cast<std::uint32_t>(PLIMSOLL_ASPECT_ALL);
  return what.aspect != 0 && (what.aspect & unknown) == 0 && (what.aspect & aspects) == 0;
}

} // namespace

Result<void> Collector::on_weight(const PlannerNode&, const plimsoll_weight&) {
  return fail(ErrorCode::kPluginFailed, "declared weights where none were asked for");
}
Result<void> Collector::on_kv(const PlannerNode&, const plimsoll_kv_group&) {
  return fail(ErrorCode::kPluginFailed, "declared a KV group where none was asked for");
}
Result<void> Collector::on_entry(const PlannerNode&, const plimsoll_entry&) {
  return fail(ErrorCode::kPluginFailed, "declared an entry where none was asked for");
}
Result<void> Collector::on_item(const PlannerNode&, const plimsoll_item&) {
  return fail(ErrorCode::kPluginFailed, "emitted bytes where none were asked for");
}

HostSink::HostSink(Collector& collector, const PlannerNode& root)
    : collector_(&collector), node_(root), raw_{PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item), 0, nullptr, take, take, take, take},
      scope_(this, root, &error_) {
  raw_.ctx = scope_.ticket();
}
HostSink::HostSink(const plimsoll_sink& onward, std::uint32_t aspects, const PlannerNode& child)
    : onward_(&onward), aspects_(aspects),
      node_(child), raw_{PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item), 0, nullptr, take, take, take, take}, scope_(this, child, nullptr) {
  raw_.ctx = scope_.ticket();
}

template <class What>
plimsoll_status HostSink::take(void* ctx, const What* what) noexcept {
  auto* const sink = static_cast<HostSink*>(CallScope::sink_of(ctx));
  if (sink == nullptr) return PLIMSOLL_E_ABI;
  if (what == nullptr) {
    CallScope::misused("declared a struct that is not there");
    return PLIMSOLL_E_ABI;
  }
  if (is_unasked(*what, sink->aspects_)) return PLIMSOLL_OK;
  return sink->onward_ != nullptr ? pass(*sink->onward_, *what) : sink->collect(*what);
}

template <class What>
plimsoll_status HostSink::collect(const What& what) noexcept {
  if (error_) return PLIMSOLL_E_ABI;
  try {
    const PlannerNode* const speaker = CallScope::speaker();
    Result<void> result = give(*collector_, speaker == nullptr ? node_ : *speaker, what);
    if (result) return PLIMSOLL_OK;
    error_ = std::move(result.error());
  } catch (const std::exception& e) {
    error_ = Error{ErrorCode::kInternal, e.what(), {}};
  }
  return PLIMSOLL_E_CONFIG;
}

bool is_whole(const plimsoll_sink* sink) {
  return sink != nullptr && PLIMSOLL_HAS(sink, plimsoll_sink, item) && sink->weight != nullptr && sink->kv != nullptr &&
         sink->entry != nullptr && sink->item != nullptr;
}

} // namespace plimsoll
