// plimsoll/plugin/glue.hpp - the planner to derive from (MemoryPlanner, PagedMemoryPlanner) and PLIMSOLL_PLUGIN, which puts it
// behind the C table that hosts load. No exception gets past it. Never include it by itself: plimsoll/plugin.hpp is the include
// of plugins. Threads: planners are immutable, any thread.
#ifndef PLIMSOLL_PLUGIN_GLUE_HPP
#define PLIMSOLL_PLUGIN_GLUE_HPP

#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <string_view>
#include <type_traits>

#include "plimsoll/plugin/declaring.hpp"

namespace plimsoll {

// ---- the planner -------------------------------------------------------------------------------------------

// Base of every planner. Override what differs; whatever is left alone gets the host's default.
class MemoryPlanner {
public:
  explicit MemoryPlanner(const Config& config) : config_(config) {}
  virtual ~MemoryPlanner() = default;
  MemoryPlanner(const MemoryPlanner&) = delete;
  MemoryPlanner& operator=(const MemoryPlanner&) = delete;

  virtual void weights(const Sink&) const {}
  virtual void kv(const Sink&) const {}
  virtual plimsoll_facts facts() const { return {}; }
  virtual plimsoll_vision_entry vision_entry() const { return {}; }
  virtual void activations(const Request&, const Sink&) const {}
  virtual void signal_buffers(const Request&, const Sink&) const {}
  virtual std::uint64_t max_batch(const Request&) const { return 0; }
  virtual const void* query(std::string_view) const { return nullptr; }

  const Config& config() const { return config_; }

private:
  Config config_;
};

// A planner with a fixed activation reservation per rank, as engines use where nobody has a formula.
template <std::uint64_t kActivationBytes>
class PagedMemoryPlanner : public MemoryPlanner {
public:
  using MemoryPlanner::MemoryPlanner;
  void activations(const Request& request, const Sink& out) const override {
    if constexpr (kActivationBytes > 0)
      out.resident("activation.reservation", Bytes(kActivationBytes), Basis::kHeuristic,
                   request.formula("fixed ", kActivationBytes, " B per rank"));
  }
};

namespace detail {

inline void copy_text(char* to, std::size_t capacity, std::string_view text) {
  const std::size_t n = text.size() < capacity - 1 ? text.size() : capacity - 1;
  std::memcpy(to, text.data(), n);
  to[n] = '\0';
}
inline plimsoll_status report(plimsoll_error* err, plimsoll_status code, std::string_view where, std::string_view message) {
  if (err != nullptr) {
    err->code = code;
    copy_text(err->where, sizeof err->where, where);
    copy_text(err->message, sizeof err->message, message);
  }
  return code;
}
// Runs `body`; no exception gets past it.
template <class Body>
plimsoll_status guard(plimsoll_error* err, Body&& body) noexcept {
  try {
    body();
    return PLIMSOLL_OK;
  } catch (const Error& e) {
    return report(err, e.code(), e.where(), e.what());
  } catch (const std::bad_alloc&) {
    return report(err, PLIMSOLL_E_MEMORY, "", "out of memory in the planner");
  } catch (const std::exception& e) {
    return report(err, PLIMSOLL_E_INTERNAL, "", e.what());
  } catch (...) {
    return report(err, PLIMSOLL_E_INTERNAL, "", "an unknown exception in the planner");
  }
}

// The object behind plimsoll_planner.
template <class T>
struct Holder {
  const plimsoll_host* host;
  T planner;
  Holder(const plimsoll_host* h, const Config& config) : host(h), planner(config) {}
  static const Holder& of(const plimsoll_planner* self) { return *reinterpret_cast<const Holder*>(self); }
};

template <class T>
struct Table {
  using Base = MemoryPlanner;
  static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out,
                                plimsoll_error* err) noexcept {
    return guard(err, [&] { *out = reinterpret_cast<plimsoll_planner*>(new Holder<T>(host, Config(host, view))); });
  }
  static void destroy(plimsoll_planner* self) noexcept { delete reinterpret_cast<Holder<T>*>(self); }
  static plimsoll_status weights(const plimsoll_planner* self, std::uint32_t aspects, const plimsoll_sink* out,
                                 plimsoll_error* err) noexcept {
    return guard(err, [&] { Holder<T>::of(self).planner.weights(Sink(out, aspects)); });
  }
  static plimsoll_status kv(const plimsoll_planner* self, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
    return guard(err, [&] { Holder<T>::of(self).planner.kv(Sink(out, aspects)); });
  }
  static plimsoll_status facts(const plimsoll_planner* self, plimsoll_facts* out, plimsoll_error* err) noexcept {
    return guard(err, [&] {
      plimsoll_facts facts = Holder<T>::of(self).planner.facts();
      facts.struct_size = out->struct_size < PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers)
                              ? out->struct_size
                              : PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
      std::memcpy(out, &facts, facts.struct_size);
    });
  }
  static plimsoll_status vision_entry(const plimsoll_planner* self, plimsoll_vision_entry* out, plimsoll_error* err) noexcept {
    return guard(err, [&] {
      plimsoll_vision_entry entry = Holder<T>::of(self).planner.vision_entry();
      entry.struct_size = out->struct_size < PLIMSOLL_SIZE_THROUGH(plimsoll_vision_entry, tower_elements)
                              ? out->struct_size
                              : PLIMSOLL_SIZE_THROUGH(plimsoll_vision_entry, tower_elements);
      std::memcpy(out, &entry, entry.struct_size);
    });
  }
  static plimsoll_status activations(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                     plimsoll_error* err) noexcept {
    return guard(err, [&] {
      const Holder<T>& h = Holder<T>::of(self);
      h.planner.activations(Request(h.host, req), Sink(out, req->aspects));
    });
  }
  static plimsoll_status signal_buffers(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                        plimsoll_error* err) noexcept {
    return guard(err, [&] {
      const Holder<T>& h = Holder<T>::of(self);
      h.planner.signal_buffers(Request(h.host, req), Sink(out, req->aspects));
    });
  }
  static plimsoll_status max_batch(const plimsoll_planner* self, const plimsoll_request* req, std::uint64_t* out,
                                   plimsoll_error* err) noexcept {
    return guard(err, [&] {
      const Holder<T>& h = Holder<T>::of(self);
      *out = h.planner.max_batch(Request(h.host, req));
    });
  }
  static const void* query(const plimsoll_planner* self, const char* id) noexcept { return Holder<T>::of(self).planner.query(id); }

  // A method that T left alone still has the base's member type: its entry stays NULL.
  static constexpr plimsoll_planner_api make() {
    plimsoll_planner_api api{};
    api.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query);
    api.create = create;
    api.destroy = destroy;
    if (!std::is_same_v<decltype(&T::weights), decltype(&Base::weights)>) api.weights = weights;
    if (!std::is_same_v<decltype(&T::kv), decltype(&Base::kv)>) api.kv = kv;
    if (!std::is_same_v<decltype(&T::facts), decltype(&Base::facts)>) api.facts = facts;
    if (!std::is_same_v<decltype(&T::vision_entry), decltype(&Base::vision_entry)>) api.vision_entry = vision_entry;
    if (!std::is_same_v<decltype(&T::activations), decltype(&Base::activations)>) api.activations = activations;
    if (!std::is_same_v<decltype(&T::signal_buffers), decltype(&Base::signal_buffers)>) api.signal_buffers = signal_buffers;
    if (!std::is_same_v<decltype(&T::max_batch), decltype(&Base::max_batch)>) api.max_batch = max_batch;
    if (!std::is_same_v<decltype(&T::query), decltype(&Base::query)>) api.query = query;
    return api;
  }
  static constexpr plimsoll_planner_api kApi = make();
};

} // namespace detail
} // namespace plimsoll

// Defines the plugin's one exported symbol: one family whose planner is `Planner`. `id` and `version` equal the
// manifest's, as do `aspects` and `policy`, which is PLIMSOLL_SIGNAL_*: the host refuses a plugin whose two halves differ.
// always_signal_buffers of the documented factory is PLIMSOLL_SIGNAL_ALWAYS.
#define PLIMSOLL_PLUGIN(Planner, id, version, aspects, policy)                                                                             \
  namespace {                                                                                                                              \
  constexpr plimsoll_family kPlimsollFamily{PLIMSOLL_SIZE_THROUGH(plimsoll_family, api), aspects, policy, 1, 0, id,                        \
                                            &plimsoll::detail::Table<Planner>::kApi};                                                      \
  constexpr const plimsoll_family* kPlimsollFamilies[] = {&kPlimsollFamily};                                                               \
  }                                                                                                                                        \
  extern "C" PLIMSOLL_EXPORT const plimsoll_plugin plimsoll_plugin_v1 = {                                                                  \
      PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini), PLIMSOLL_ABI_MINOR, 0, id, version, 1, kPlimsollFamilies, nullptr, nullptr};

#endif
