// plimsoll/plugin/delegating.hpp - planners that a planner asks for a part: Child, and how it is asked for (as, renamed, of_family).
// Never include it by itself: plimsoll/plugin.hpp is the include of plugins. Threads: a Child is made in the constructor of the
// planner that asks; afterwards any.
#ifndef PLIMSOLL_PLUGIN_DELEGATING_HPP
#define PLIMSOLL_PLUGIN_DELEGATING_HPP

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/plugin/declaring.hpp"

namespace plimsoll {

// How a planner is asked for. Texts must live as long as this object, as literals do.
class Ask {
public:
  // In this model_type's dialect, whatever the part's own is called.
  Ask& as(std::string_view model_type) {
    as_ = model_type;
    return *this;
  }
  // By this family, not by whoever plans the part's architecture.
  Ask& of_family(std::string_view family) {
    family_ = family;
    return *this;
  }
  // What its tensors are called inside the whole model. Of several the first whose `from` fits.
  Ask& renamed(std::string_view from, std::string_view to) {
    if (!from.empty() || !to.empty()) renames_.emplace_back(from, to);
    return *this;
  }

private:
  friend class Child;
  std::string_view as_, family_;
  std::vector<std::pair<std::string_view, std::string_view>> renames_;
};
inline Ask as(std::string_view model_type) { return Ask().as(model_type); }
inline Ask of_family(std::string_view family) { return Ask().of_family(family); }
inline Ask renamed(std::string_view from, std::string_view to) { return Ask().renamed(from, to); }

// An interface that a planner offers: the table, and what its functions take first.
struct Interface {
  const void* table = nullptr;
  const void* object = nullptr;
};

class Pipeline;
struct PipelinePart;

// A planner of another family, found by the host. Lives as long as its parent.
class Child {
public:
  Child() = default; // asked for nothing, and of no use
  // The planner of the config below `pointer`: Child(config, "/text_config", as("qwen3")).
  Child(const Config& config, std::string_view pointer, const Ask& ask = {}) : place_(pointer) {
    const plimsoll_host* host = config.host();
    const plimsoll_view* view = config.view();
    if (!pointer.empty() || !ask.renames_.empty()) {
      std::vector<plimsoll_rename> raw;
      std::vector<const plimsoll_rename*> pointers;
      for (const auto& [from, to] : ask.renames_) raw.push_back({PLIMSOLL_SIZE_THROUGH(plimsoll_rename, to), 0, to_str(from), to_str(to)});
      for (const plimsoll_rename& rename : raw) pointers.push_back(&rename);
      if (host->subview(config.view(), to_str(pointer), pointers.data(), pointers.size(), &view) != PLIMSOLL_OK)
        throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "an object with the part's configuration was expected");
    }
    call([&](plimsoll_error* err) { return host->planner_for(view, to_str(ask.family_), to_str(ask.as_), &api_, &child_, err); });
  }
  explicit operator bool() const { return child_ != nullptr; }

  void weights(const Sink& out, Aspects aspects = Aspects::all()) const {
    const Aspects asked = out.aspects() & aspects;
    if (!asked.empty()) call([&](plimsoll_error* err) { return api().weights(child_, asked.bits(), out.raw(), err); });
  }
  void kv(const Sink& out, Aspects aspects = Aspects::all()) const {
    const Aspects asked = out.aspects() & aspects;
    if (!asked.empty()) call([&](plimsoll_error* err) { return api().kv(child_, asked.bits(), out.raw(), err); });
  }
  void entries(const Sink& out, Aspects aspects = Aspects::all()) const {
    const Aspects asked = out.aspects() & aspects;
    if (!asked.empty()) call([&](plimsoll_error* err) { return api().entries(child_, asked.bits(), out.raw(), err); });
  }
  void activations(const Request& request, const Sink& out, Aspects aspects = Aspects::all()) const {
    const Request asked = request.only(aspects);
    if (!asked.aspects().empty()) call([&](plimsoll_error* err) { return api().activations(child_, &asked.raw(), out.raw(), err); });
  }
  void signal_buffers(const Request& request, const Sink& out, Aspects aspects = Aspects::all()) const {
    const Request asked = request.only(aspects);
    if (!asked.aspects().empty()) call([&](plimsoll_error* err) { return api().signal_buffers(child_, &asked.raw(), out.raw(), err); });
  }
  plimsoll_facts facts() const {
    plimsoll_facts out{};
    out.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
    call([&](plimsoll_error* err) { return api().facts(child_, &out, err); });
    return out;
  }
  std::uint64_t max_batch(const Request& request) const {
    std::uint64_t out = 0;
    call([&](plimsoll_error* err) { return api().max_batch(child_, &request.raw(), &out, err); });
    return out;
  }
  // Its part of a forward pass; E_UNSUPPORTED where it describes none. In plimsoll/plugin/pipeline.hpp.
  void describe(const PipelinePart& part, const Pipeline& out) const;
  void describe_draft(const PipelinePart& part, const Pipeline& out) const;
  // The child's own; nothing where it has none of that id.
  Interface query(std::string_view id) const {
    Interface out;
    out.table = api().query(child_, to_str(id), &out.object);
    return out;
  }

private:
  void describe(const PipelinePart& part, std::uint32_t flags, const Pipeline& out) const; // of PLIMSOLL_PART_*
  const plimsoll_planner_api& api() const {
    if (api_ == nullptr) throw Error(PLIMSOLL_E_INTERNAL, "", "a planner was used that was never asked for");
    return *api_;
  }
  template <class Call>
  static void call(Call&& call) {
    plimsoll_error err{};
    err.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
    const plimsoll_status status = call(&err);
    if (status != PLIMSOLL_OK) throw Error(status, err.where, err.message);
  }
  const plimsoll_planner_api* api_ = nullptr;
  const plimsoll_planner* child_ = nullptr;
  std::string place_; // its part of the configuration: what the host puts in front of errors, but not of an interface's
};

} // namespace plimsoll

#endif
