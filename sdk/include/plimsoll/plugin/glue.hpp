// plimsoll/plugin/glue.hpp - the planners to derive from (MemoryPlanner and what stands on it) and PLIMSOLL_PLUGIN, which puts them
// behind the C tables that hosts load. No exception gets past it. Never include it by itself: plimsoll/plugin.hpp is the include
// of plugins. Threads: planners are immutable, any thread.
#ifndef PLIMSOLL_PLUGIN_GLUE_HPP
#define PLIMSOLL_PLUGIN_GLUE_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "plimsoll/plugin/delegating.hpp"

// Made from plugin.yaml, by plimsoll_add_plugin or by `plimsoll plugins identity`.
#if __has_include("plimsoll_identity.h")
#include "plimsoll_identity.h"
#endif

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
  virtual void entries(const Sink&) const {}
  virtual void activations(const Request&, const Sink&) const {}
  virtual void signal_buffers(const Request&, const Sink&) const {}
  virtual std::uint64_t max_batch(const Request&) const { return 0; }
  virtual Interface query(std::string_view) const { return {}; }

  const Config& config() const { return config_; }

private:
  Config config_;
};

// A planner with a fixed activation reservation per rank, as engines use where nobody has a formula; it counts for one aspect of the
// family's.
template <std::uint64_t kActivationBytes, Aspect kAspect = Aspect::kAttention>
class PagedMemoryPlanner : public MemoryPlanner {
public:
  using MemoryPlanner::MemoryPlanner;
  void activations(const Request& request, const Sink& out) const override {
    if constexpr (kActivationBytes > 0)
      out.item(Item(kAspect, "activation.reservation", Bytes(kActivationBytes), Basis::kHeuristic)
                   .formula(request.formula("fixed ", kActivationBytes, " B per rank")));
  }
};

// A planner that answers as its language model does and adds what stands before it: a tower, an entry. Whoever overrides a method
// calls the one below it too: DelegatingPlanner::weights(out).
class DelegatingPlanner : public MemoryPlanner {
public:
  DelegatingPlanner(const Config& config, std::string_view pointer, const Ask& ask = {})
      : MemoryPlanner(config), child_(config, pointer, ask) {}

  void weights(const Sink& out) const override { child_.weights(out); }
  void kv(const Sink& out) const override { child_.kv(out); }
  plimsoll_facts facts() const override { return child_.facts(); }
  void entries(const Sink& out) const override { child_.entries(out); }
  void activations(const Request& request, const Sink& out) const override { child_.activations(request, out); }
  std::uint64_t max_batch(const Request& request) const override { return child_.max_batch(request); }

  const Child& child() const { return child_; }

private:
  Child child_;
};

namespace detail {

inline void copy_text(char* to, std::size_t capacity, std::string_view text) {
  const std::size_t n = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), n);
  to[n] = '\0';
}
inline plimsoll_status report(plimsoll_error* err, plimsoll_status code, std::string_view where, std::string_view message) {
  if (err != nullptr && PLIMSOLL_HAS(err, plimsoll_error, message)) {
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

// Whether a class of the hierarchy has a method of its own in place of MemoryPlanner's: the type of a member pointer names the class.
template <class Own, class Base>
constexpr bool overridden(Own, Base) {
  return !std::is_same_v<Own, Base>;
}

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
    return guard(err, [&] { Holder<T>::of(self).planner.weights(Sink(out, Aspects(aspects))); });
  }
  static plimsoll_status kv(const plimsoll_planner* self, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
    return guard(err, [&] { Holder<T>::of(self).planner.kv(Sink(out, Aspects(aspects))); });
  }
  static plimsoll_status facts(const plimsoll_planner* self, plimsoll_facts* out, plimsoll_error* err) noexcept {
    return guard(err, [&] {
      plimsoll_facts facts = Holder<T>::of(self).planner.facts();
      facts.struct_size = std::min(out->struct_size, PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers));
      std::memcpy(out, &facts, facts.struct_size);
    });
  }
  static plimsoll_status entries(const plimsoll_planner* self, std::uint32_t aspects, const plimsoll_sink* out,
                                 plimsoll_error* err) noexcept {
    return guard(err, [&] { Holder<T>::of(self).planner.entries(Sink(out, Aspects(aspects))); });
  }
  static plimsoll_status activations(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                     plimsoll_error* err) noexcept {
    return guard(err, [&] {
      const Holder<T>& h = Holder<T>::of(self);
      h.planner.activations(Request(h.host, req), Sink(out, Aspects(req->aspects)));
    });
  }
  static plimsoll_status signal_buffers(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                        plimsoll_error* err) noexcept {
    return guard(err, [&] {
      const Holder<T>& h = Holder<T>::of(self);
      h.planner.signal_buffers(Request(h.host, req), Sink(out, Aspects(req->aspects)));
    });
  }
  static plimsoll_status max_batch(const plimsoll_planner* self, const plimsoll_request* req, std::uint64_t* out,
                                   plimsoll_error* err) noexcept {
    return guard(err, [&] {
      const Holder<T>& h = Holder<T>::of(self);
      *out = h.planner.max_batch(Request(h.host, req));
    });
  }
  static const void* query(const plimsoll_planner* self, plimsoll_str id, const void** object) noexcept {
    Interface found;
    if (guard(nullptr, [&] { found = Holder<T>::of(self).planner.query(to_view(id)); }) != PLIMSOLL_OK) return nullptr;
    *object = found.object;
    return found.table;
  }

  // An entry stays NULL where T and what it derives from leave the method alone.
  static constexpr plimsoll_planner_api make() {
    plimsoll_planner_api api{};
    api.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query);
    api.create = create;
    api.destroy = destroy;
    if (overridden(&T::weights, &Base::weights)) api.weights = weights;
    if (overridden(&T::kv, &Base::kv)) api.kv = kv;
    if (overridden(&T::facts, &Base::facts)) api.facts = facts;
    if (overridden(&T::entries, &Base::entries)) api.entries = entries;
    if (overridden(&T::activations, &Base::activations)) api.activations = activations;
    if (overridden(&T::signal_buffers, &Base::signal_buffers)) api.signal_buffers = signal_buffers;
    if (overridden(&T::max_batch, &Base::max_batch)) api.max_batch = max_batch;
    if (overridden(&T::query, &Base::query)) api.query = query;
    return api;
  }
  static constexpr plimsoll_planner_api kApi = make();
};

// The families of a plugin: what plimsoll_identity.h says of each, and the planner that stands for it.
template <class... Planners>
struct Families {
  using List = std::array<plimsoll_family, sizeof...(Planners)>;
  using Pointers = std::array<const plimsoll_family*, sizeof...(Planners)>;
  static constexpr List with_tables(List families) {
    const plimsoll_planner_api* const tables[] = {&Table<Planners>::kApi...};
    for (std::size_t i = 0; i < families.size(); ++i) families[i].api = tables[i];
    return families;
  }
  static constexpr Pointers pointers_to(const List& families) {
    Pointers out{};
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = &families[i];
    return out;
  }
};
template <class... Planners>
constexpr std::size_t count_of() {
  return sizeof...(Planners);
}

} // namespace detail
} // namespace plimsoll

// Defines the plugin's one exported symbol: the planners of its families, in the manifest's order. Id, version, aspects and signal
// buffers come from plimsoll_identity.h, which is made from the manifest, so that every fact is said once.
#ifdef PLIMSOLL_IDENTITY_PLUGIN
#define PLIMSOLL_PLUGIN(...)                                                                                                               \
  namespace {                                                                                                                              \
  static_assert(plimsoll::detail::count_of<__VA_ARGS__>() == PLIMSOLL_IDENTITY_N_FAMILIES,                                                 \
                "PLIMSOLL_PLUGIN takes a planner for each family of plugin.yaml, in that order");                                          \
  constexpr plimsoll::detail::Families<__VA_ARGS__>::List kPlimsollFamilies =                                                              \
      plimsoll::detail::Families<__VA_ARGS__>::with_tables({{PLIMSOLL_IDENTITY_FAMILIES}});                                                \
  constexpr plimsoll::detail::Families<__VA_ARGS__>::Pointers kPlimsollFamilyPointers =                                                    \
      plimsoll::detail::Families<__VA_ARGS__>::pointers_to(kPlimsollFamilies);                                                             \
  }                                                                                                                                        \
  extern "C" PLIMSOLL_EXPORT const plimsoll_plugin plimsoll_plugin_v1 = {PLIMSOLL_IDENTITY_PLUGIN, kPlimsollFamilyPointers.size(),         \
                                                                         kPlimsollFamilyPointers.data(), nullptr, nullptr};
#else
#define PLIMSOLL_PLUGIN(...) static_assert(false, "plimsoll_identity.h is not there: make it with `plimsoll plugins identity FOLDER`");
#endif

#endif
