#include "plugin/call_scope.hpp"

#include <atomic>
#include <fmt/format.h>
#include <utility>

#include "plugin/planner_node.hpp"
#include "process/call_note.hpp"

namespace plimsoll {
namespace {

thread_local CallScope* innermost = nullptr;
thread_local Speaking* speaking = nullptr;
thread_local CallNote* noted = nullptr;

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

} // namespace

CallScope::CallScope(void* sink, const PlannerNode& node, std::optional<Error>* fault)
    : number_(next_number()), sink_(sink), node_(node), fault_(fault), outer_(innermost) {
  if (fault_ == nullptr) fault_ = outer_ == nullptr ? &own_fault_ : outer_->fault_;
  innermost = this;
}
CallScope::~CallScope() { innermost = outer_; }

void* CallScope::ticket() const { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(number_)); }

void* CallScope::sink_of(void* ticket) noexcept {
  for (const CallScope* scope = innermost; scope != nullptr; scope = scope->outer_)
    if (scope->sink_ != nullptr && scope->ticket() == ticket) return scope->sink_;
  misused("used a sink outside the call that it was for");
  return nullptr;
}

void CallScope::misused(std::string_view what) noexcept {
  if (innermost == nullptr || *innermost->fault_) return;
  try {
    *innermost->fault_ = Error{ErrorCode::kPluginFailed, fmt::format("planner '{}' {}", innermost->node_.id(), what), {}};
  } catch (const std::exception&) { // out of memory: the status says enough
    return;
  }
}

const PlannerNode* CallScope::speaker() noexcept { return innermost == nullptr ? nullptr : &innermost->node_; }

Speaking::Speaking(Plugin& plugin, std::string_view call) : plugin_(plugin), call_(call), outer_(std::exchange(speaking, this)) { note(); }
Speaking::~Speaking() {
  speaking = outer_;
  // The last stranger stays noted after its call: of what a plugin left behind the note then says who did.
  if (outer_ != nullptr && !outer_->plugin_.built_in) outer_->note();
}
Plugin* Speaking::now() noexcept { return speaking == nullptr ? nullptr : &speaking->plugin_; }
void Speaking::note_in(CallNote& note) noexcept { noted = &note; }
void Speaking::note() const noexcept {
  if (noted != nullptr) noted->write(plugin_.manifest.id, plugin_.manifest.directory, call_);
}

} // namespace plimsoll
