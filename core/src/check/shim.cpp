#include "check/shim.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>

#include "check/guard.hpp"
#include "plugin/abi_text.hpp"
#include "plugin/host_table.hpp"
#include "plugin/interface_id.hpp"
#include "plugin/view.hpp"

namespace plimsoll::check {
namespace {

constexpr std::uint32_t kHostSize = PLIMSOLL_SIZE_THROUGH(plimsoll_host, planner_for);
constexpr std::uint32_t kRequestSize = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
constexpr std::uint32_t kErrorSize = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
constexpr std::uint32_t kFactsSize = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
constexpr std::size_t kTail = 128;
constexpr char kNonsense = '\x5a';

// One plugin in a process is looked at; its functions have nothing else to find it by.
Shim* the_shim = nullptr;

// Texts that were handed out, with nothing behind them; as long as the process lives, as views do.
std::deque<Guarded>& kept_texts() {
  static std::deque<Guarded>* const texts = new std::deque<Guarded>;
  return *texts;
}

// What the vendor calls a planner, inside.
struct Inside {
  const plimsoll_planner_api* api;
  plimsoll_planner* self;
};
const Inside& inside_of(const plimsoll_planner* planner) { return *reinterpret_cast<const Inside*>(planner); }

} // namespace

struct Shim::Glue {
  // A struct with a tail.
  template <class T>
  struct Longer {
    T whole;
    std::array<char, kTail> tail;
  };

  // ---- back into the host ------------------------------------------------------------------------------

  static const plimsoll_host& real() {
    static const plimsoll_host table = make_host_table();
    return table;
  }
  // Notes a lookup; the status with which it fails.
  static std::optional<plimsoll_status> lookup(const plimsoll_view* view, plimsoll_str pointer) {
    Shim& shim = *the_shim;
    const std::uint64_t number = shim.n_lookups_++;
    if (!shim.quiet) {
      const std::lock_guard lock(shim.mutex_);
      if (pointer.size <= 4096) shim.lookups_.insert(view->full_pointer() + std::string(text_of(pointer)));
    }
    if (number == shim.bend.fail_lookup) return shim.bend.lookup_status;
    return std::nullopt;
  }
  static void keep(plimsoll_str* text) {
    if (!the_shim->bend.guard_texts) return;
    const std::lock_guard lock(the_shim->mutex_);
    if (kept_texts().size() > 10'000) return;
    text->data = kept_texts().emplace_back(text->data, static_cast<std::size_t>(text->size)).data();
  }

  template <auto Entry, class Out>
  static plimsoll_status get(const plimsoll_view* view, plimsoll_str pointer, Out* out) noexcept {
    if (const auto failed = lookup(view, pointer)) return *failed;
    const plimsoll_status status = (real().*Entry)(view, pointer, out);
    if constexpr (std::is_same_v<Out, plimsoll_str>) {
      if (status == PLIMSOLL_OK) keep(out);
    }
    return status;
  }
  static plimsoll_status get_key(const plimsoll_view* view, plimsoll_str pointer, std::uint64_t index, plimsoll_str* out) noexcept {
    if (const auto failed = lookup(view, pointer)) return *failed;
    const plimsoll_status status = real().get_key(view, pointer, index, out);
    if (status == PLIMSOLL_OK) keep(out);
    return status;
  }
  static plimsoll_status get_json(const plimsoll_view* view, plimsoll_str pointer, char* buffer, std::uint64_t capacity,
                                  std::uint64_t* size) noexcept {
    if (const auto failed = lookup(view, pointer)) return *failed;
    return real().get_json(view, pointer, buffer, capacity, size);
  }
  static plimsoll_status subview(const plimsoll_view* view, plimsoll_str pointer, const plimsoll_rename* const* renames, std::uint64_t n,
                                 const plimsoll_view** out) noexcept {
    if (const auto failed = lookup(view, pointer)) return *failed;
    return real().subview(view, pointer, renames, n, out);
  }
  static plimsoll_status planner_for(const plimsoll_view* view, plimsoll_str family, plimsoll_str as, const plimsoll_planner_api** api,
                                     const plimsoll_planner** child, plimsoll_error* err) noexcept {
    if (the_shim->bend.cycle) return PLIMSOLL_E_CYCLE;
    if (the_shim->n_lookups_++ == the_shim->bend.fail_lookup) return the_shim->bend.lookup_status;
    const plimsoll_status status = real().planner_for(view, family, as, api, child, err);
    if (!the_shim->quiet) {
      const std::lock_guard lock(the_shim->mutex_);
      const bool made = status == PLIMSOLL_OK;
      the_shim->children_.push_back(
          {view->full_pointer(), family.size == 0 && as.size == 0, made ? *api : nullptr, made ? *child : nullptr});
    }
    return status;
  }
  static void log(const plimsoll_host*, std::uint32_t level, plimsoll_str message) noexcept {
    if (the_shim->real_ != nullptr) real().log(the_shim->real_, level, message);
  }
  static const void* query(const plimsoll_host*, plimsoll_str id) noexcept { return real().query(the_shim->real_, id); }

  static plimsoll_host table() {
    plimsoll_host out = real();
    out.log = log;
    out.query = query;
    out.get_u64 = get<&plimsoll_host::get_u64, std::uint64_t>;
    out.get_i64 = get<&plimsoll_host::get_i64, std::int64_t>;
    out.get_f64 = get<&plimsoll_host::get_f64, double>;
    out.get_bool = get<&plimsoll_host::get_bool, std::uint32_t>;
    out.get_str = get<&plimsoll_host::get_str, plimsoll_str>;
    out.get_len = get<&plimsoll_host::get_len, std::uint64_t>;
    out.get_key = get_key;
    out.get_json = get_json;
    out.subview = subview;
    out.planner_for = planner_for;
    return out;
  }
  // The table that the plugin gets now. Planners may keep it, so it stays.
  static const plimsoll_host* host() {
    static const plimsoll_host plain = table();
    static const Guarded guarded(&plain, kHostSize);
    static const Longer<plimsoll_host> longer = [] {
      Longer<plimsoll_host> out{plain, {}};
      out.tail.fill(kNonsense);
      out.whole.struct_size += kTail;
      out.whole.abi_minor += 1;
      return out;
    }();
    if (the_shim->bend.guard_tables) return reinterpret_cast<const plimsoll_host*>(guarded.data());
    return the_shim->bend.longer_tables ? &longer.whole : &plain;
  }

  // ---- into the plugin ---------------------------------------------------------------------------------

  // The error that it gets to fill in place of the host's.
  class BentError {
  public:
    explicit BentError(plimsoll_error* given) : given_(given) {
      longer_.tail.fill(kNonsense);
      if (given != nullptr) longer_.whole = *given;
      longer_.whole.struct_size = kErrorSize + kTail;
      if (the_shim->bend.error == Bend::Error::kSmall) {
        plimsoll_error head{};
        head.struct_size = 8;
        small_.emplace(&head, 8);
      }
    }
    plimsoll_error* get() {
      if (small_) return reinterpret_cast<plimsoll_error*>(small_->data());
      if (the_shim->bend.error == Bend::Error::kNull) return nullptr;
      return the_shim->bend.longer_tables ? &longer_.whole : given_;
    }
    // What it filled, in the host's; nullptr where there was no room.
    const plimsoll_error* settle() {
      if (the_shim->bend.error != Bend::Error::kGiven || given_ == nullptr) return nullptr;
      if (the_shim->bend.longer_tables) {
        const std::uint32_t size = given_->struct_size;
        *given_ = longer_.whole;
        given_->struct_size = size;
      }
      return given_;
    }

  private:
    plimsoll_error* given_;
    Longer<plimsoll_error> longer_{};
    std::optional<Guarded> small_;
  };

  class BentRequest {
  public:
    explicit BentRequest(const plimsoll_request& given) : longer_{given, {}} {
      longer_.whole.aspects |= the_shim->bend.more_aspects;
      longer_.tail.fill(kNonsense);
      if (the_shim->bend.guard_tables) guarded_.emplace(&longer_.whole, kRequestSize);
      if (the_shim->bend.longer_tables) longer_.whole.struct_size += kTail;
    }
    const plimsoll_request* get() const { return guarded_ ? reinterpret_cast<const plimsoll_request*>(guarded_->data()) : &longer_.whole; }

  private:
    Longer<plimsoll_request> longer_;
    std::optional<Guarded> guarded_;
  };

  template <std::size_t Family>
  static plimsoll_status create(const plimsoll_host* given, const plimsoll_view* view, plimsoll_planner** out,
                                plimsoll_error* err) noexcept {
    Shim& shim = *the_shim;
    shim.real_ = given;
    const plimsoll_planner_api* const api = shim.inside_.families[Family]->api;
    BentError bent(err);
    static int mark = 0;
    auto* const untouched = reinterpret_cast<plimsoll_planner*>(&mark);
    plimsoll_planner* made = untouched;
    shim.note("create()");
    const plimsoll_status status = api->create(host(), view, &made, bent.get());
    if (status != PLIMSOLL_OK) {
      if (made != untouched) shim.out_changed_ = true;
      return shim.answered("create", status, bent.settle());
    }
    if (made == nullptr || made == untouched) return PLIMSOLL_OK; // the host says that nothing was made
    *out = reinterpret_cast<plimsoll_planner*>(new Inside{api, made});
    return PLIMSOLL_OK;
  }
  static void destroy(plimsoll_planner* planner) noexcept {
    const std::unique_ptr<const Inside> inside(&inside_of(planner));
    the_shim->note("destroy()");
    inside->api->destroy(inside->self);
  }
  template <auto Entry>
  static plimsoll_status declares(const plimsoll_planner* planner, std::uint32_t aspects, const plimsoll_sink* sink,
                                  plimsoll_error* err) noexcept {
    const Inside& inside = inside_of(planner);
    BentError bent(err);
    the_shim->note(name_of(Entry));
    const plimsoll_status status = (inside.api->*Entry)(inside.self, aspects | the_shim->bend.more_aspects, sink, bent.get());
    return the_shim->answered(name_of(Entry), status, bent.settle());
  }
  template <auto Entry, class Out>
  static plimsoll_status prices(const plimsoll_planner* planner, const plimsoll_request* request, Out out, plimsoll_error* err) noexcept {
    const Inside& inside = inside_of(planner);
    const BentRequest bent_request(*request);
    BentError bent(err);
    the_shim->note(name_of(Entry));
    const plimsoll_status status = (inside.api->*Entry)(inside.self, bent_request.get(), out, bent.get());
    return the_shim->answered(name_of(Entry), status, bent.settle());
  }
  static plimsoll_status facts(const plimsoll_planner* planner, plimsoll_facts* out, plimsoll_error* err) noexcept {
    const Inside& inside = inside_of(planner);
    BentError bent(err);
    Longer<plimsoll_facts> room{};
    room.whole.struct_size = kFactsSize;
    room.tail.fill(kNonsense);
    the_shim->note("facts()");
    const plimsoll_status status = inside.api->facts(inside.self, &room.whole, bent.get());
    if (!the_shim->quiet) {
      const std::lock_guard lock(the_shim->mutex_);
      const bool beyond = std::any_of(room.tail.begin(), room.tail.end(), [](char c) { return c != kNonsense; });
      if (beyond) the_shim->facts_fault_ = "facts() wrote beyond the struct_size that it was given";
      else if (status == PLIMSOLL_OK && room.whole.struct_size != kFactsSize)
        the_shim->facts_fault_ =
            "facts() set struct_size to " + std::to_string(room.whole.struct_size) + "; version 1.0 has " + std::to_string(kFactsSize);
    }
    if (status == PLIMSOLL_OK) std::memcpy(out, &room.whole, kFactsSize);
    return the_shim->answered("facts()", status, bent.settle());
  }
  static const void* query(const plimsoll_planner* planner, plimsoll_str id, const void** object) noexcept {
    const Inside& inside = inside_of(planner);
    the_shim->note("query()");
    return inside.api->query(inside.self, id, object);
  }

  static constexpr std::string_view name_of(decltype(&plimsoll_planner_api::weights) entry) {
    if (entry == &plimsoll_planner_api::weights) return "weights()";
    return entry == &plimsoll_planner_api::kv ? "kv()" : "entries()";
  }
  static constexpr std::string_view name_of(decltype(&plimsoll_planner_api::activations) entry) {
    return entry == &plimsoll_planner_api::activations ? "activations()" : "signal_buffers()";
  }
  static constexpr std::string_view name_of(decltype(&plimsoll_planner_api::max_batch)) { return "max_batch()"; }

  template <std::size_t... I>
  static auto creates(std::index_sequence<I...>) {
    return std::array<decltype(plimsoll_planner_api::create), sizeof...(I)>{create<I>...};
  }

  // What the plugin leaves out stays out: the host's default answers.
  static plimsoll_planner_api api_of(const plimsoll_planner_api& inside, std::size_t family) {
    static const auto all = creates(std::make_index_sequence<kMaxFamilies>());
    plimsoll_planner_api out{};
    out.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query);
    out.create = all.at(family);
    out.destroy = destroy;
    const auto has = [&](std::size_t end, const void* entry) { return inside.struct_size >= end && entry != nullptr; };
#define PLIMSOLL_WRAP(entry, function)                                                                                                     \
  if (has(PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, entry), reinterpret_cast<const void*>(inside.entry))) out.entry = function
    PLIMSOLL_WRAP(weights, declares<&plimsoll_planner_api::weights>);
    PLIMSOLL_WRAP(kv, declares<&plimsoll_planner_api::kv>);
    PLIMSOLL_WRAP(facts, facts);
    PLIMSOLL_WRAP(entries, declares<&plimsoll_planner_api::entries>);
    PLIMSOLL_WRAP(activations, (prices<&plimsoll_planner_api::activations, const plimsoll_sink*>));
    PLIMSOLL_WRAP(signal_buffers, (prices<&plimsoll_planner_api::signal_buffers, const plimsoll_sink*>));
    PLIMSOLL_WRAP(max_batch, (prices<&plimsoll_planner_api::max_batch, std::uint64_t*>));
    PLIMSOLL_WRAP(query, query);
#undef PLIMSOLL_WRAP
    return out;
  }
};

Shim::Shim(const plimsoll_plugin& descriptor, std::function<void(std::string_view)> note) : inside_(descriptor), note_(std::move(note)) {
  const std::size_t n = std::min<std::size_t>(descriptor.n_families, kMaxFamilies);
  apis_.reserve(n);
  families_.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    apis_.push_back(Glue::api_of(*descriptor.families[i]->api, i));
    families_.push_back(*descriptor.families[i]);
    families_.back().api = &apis_.back();
    family_list_.push_back(&families_.back());
  }
  outside_ = descriptor;
  outside_.n_families = n;
  outside_.families = family_list_.data();
  outside_.init = nullptr;
  outside_.fini = nullptr;
  the_shim = this;
}
Shim::~Shim() { the_shim = nullptr; }

plimsoll_status Shim::init(const plimsoll_host* host, plimsoll_error* err) {
  real_ = host;
  if (inside_.init == nullptr) return PLIMSOLL_OK;
  Glue::BentError bent(err);
  note("init()");
  const plimsoll_status status = inside_.init(Glue::host(), bent.get());
  return answered("init()", status, bent.settle());
}
void Shim::fini() {
  note("fini()");
  if (inside_.fini != nullptr) inside_.fini();
}

void Shim::forget() {
  const std::lock_guard lock(mutex_);
  lookups_.clear();
  errors_.clear();
  children_.clear();
  n_lookups_ = 0;
  facts_fault_.clear();
  out_changed_ = false;
}

plimsoll_status Shim::answered(std::string_view call, plimsoll_status status, const plimsoll_error* err) {
  if (status == PLIMSOLL_OK || quiet) return status;
  const std::lock_guard lock(mutex_);
  SeenError seen{std::string(call), status, true, err != nullptr, {}, {}};
  if (err != nullptr) {
    const std::size_t where = ::strnlen(err->where, sizeof err->where), message = ::strnlen(err->message, sizeof err->message);
    seen.terminated = where < sizeof err->where && message < sizeof err->message;
    seen.where.assign(err->where, where);
    seen.message.assign(err->message, message);
  }
  if (errors_.size() < 10'000) errors_.push_back(std::move(seen));
  return status;
}

} // namespace plimsoll::check
