#include "check/emitted.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>

#include "base/checked.hpp"
#include "plugin/abi_text.hpp"

namespace plimsoll::check {
namespace {

constexpr std::size_t kMostEmitted = 200'000;

template <class T>
std::vector<T> list_of(const T* data, std::uint64_t n, std::uint64_t most) {
  return data == nullptr ? std::vector<T>{} : std::vector<T>(data, data + std::min(n, most));
}

// "part is 32 bytes, 24 were expected"; empty where it is right.
template <class T>
std::string size_of(const char* name, const T& what, std::uint32_t whole) {
  return what.struct_size == whole ? std::string()
                                   : fmt::format("{} has struct_size {}; version 1.0 has {}", name, what.struct_size, whole);
}
void keep_first(std::string& fault, std::string other) {
  if (fault.empty()) fault = std::move(other);
}

// What an array of pointers holds, each in words.
template <class T, class Words>
std::string nested(const T* const* array, std::uint64_t n, std::uint64_t most, const char* name, std::uint32_t whole, std::string& fault,
                   const Words& words) {
  std::string out;
  for (std::uint64_t i = 0; array != nullptr && i < std::min(n, most); ++i) {
    if (array[i] == nullptr) continue;
    keep_first(fault, size_of(name, *array[i], whole));
    out += "{" + words(*array[i]) + "}";
  }
  return out;
}

std::string describe(const plimsoll_weight& w, EmittedOne& one, std::string& fault) {
  keep_first(fault, size_of("a plimsoll_weight", w, PLIMSOLL_SIZE_THROUGH(plimsoll_weight, rank)));
  one.kind = EmittedOne::Kind::kWeight;
  one.label = text_of(w.label);
  one.pattern = text_of(w.pattern);
  one.layers = list_of(w.layers, w.n_layers, PLIMSOLL_MAX_LAYERS);
  const std::string parts = nested(w.parts, w.n_parts, PLIMSOLL_MAX_PARTS, "a plimsoll_part", PLIMSOLL_SIZE_THROUGH(plimsoll_part, units),
                                   fault, [](const plimsoll_part& p) { return fmt::format("{} {} {}", p.extent, p.units, p.replicate); });
  const std::vector<std::uint64_t> dims(w.dims, w.dims + std::min(w.n_dims, PLIMSOLL_MAX_DIMS));
  return fmt::format("weight {} aspect {} pattern {} dtype {} format {} layers [{}] stage {} place {} role {} quantizable {} dims [{}] "
                     "shard {} in {} experts {} {} parts {} memory {} rank {}",
                     one.label, w.aspect, one.pattern, text_of(w.dtype), text_of(w.format), fmt::join(one.layers, " "), w.stage,
                     w.placement, w.role, w.quantizable, fmt::join(dims, " "), w.shard_dim, w.in_dim, w.experts, w.expert_storage, parts,
                     w.memory, w.rank);
}

std::string describe(const plimsoll_kv_group& g, EmittedOne& one, std::string& fault) {
  keep_first(fault, size_of("a plimsoll_kv_group", g, PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, expanded_v_elements)));
  one.kind = EmittedOne::Kind::kKv;
  one.label = text_of(g.label);
  one.layers = list_of(g.layers, g.n_layers, PLIMSOLL_MAX_LAYERS);
  const std::string regions =
      nested(g.regions, g.n_regions, PLIMSOLL_MAX_REGIONS, "a plimsoll_state_region",
             PLIMSOLL_SIZE_THROUGH(plimsoll_state_region, elements_per_draft_token), fault, [](const plimsoll_state_region& r) {
               return fmt::format("{} {} {} {} {}", text_of(r.label), text_of(r.dtype), r.elements, r.units, r.elements_per_draft_token);
             });
  const std::string record =
      nested(g.record, g.n_fields, PLIMSOLL_MAX_FIELDS, "a plimsoll_kv_field", PLIMSOLL_SIZE_THROUGH(plimsoll_kv_field, elements), fault,
             [](const plimsoll_kv_field& f) { return fmt::format("{} {}", text_of(f.dtype), f.elements); });
  return fmt::format(
      "kv {} kind {} role {} aspect {} types {} {} {} layers [{}] heads {} {} elements {} {} {} window {} fixed {} regions {} "
      "record {} slot {} bound {} latent {} {} {}",
      one.label, g.kind, g.role, g.aspect, text_of(g.k_dtype), text_of(g.v_dtype), text_of(g.scale_dtype), fmt::join(one.layers, " "),
      g.kv_heads, g.query_heads, g.k_elements, g.v_elements, g.scale_elements, g.window_tokens, g.fixed_tokens, regions, record,
      g.tokens_per_slot, g.bound, g.rope_elements, g.expanded_k_elements, g.expanded_v_elements);
}

std::string describe(const plimsoll_entry& e, EmittedOne& one, std::string& fault) {
  keep_first(fault, size_of("a plimsoll_entry", e, PLIMSOLL_SIZE_THROUGH(plimsoll_entry, encoder_elements)));
  one.kind = EmittedOne::Kind::kEntry;
  one.label = text_of(e.label);
  one.bytes = e.rows;
  return fmt::format("entry {} aspect {} modality {} most {} dtype {} rows {} x {} encoder {} x {}", one.label, e.aspect, e.modality,
                     e.most_per_request, text_of(e.dtype), e.rows, e.row_elements, e.encoder_tokens, e.encoder_elements);
}

std::string describe(const plimsoll_item& i, EmittedOne& one, std::string& fault) {
  keep_first(fault, size_of("a plimsoll_item", i, PLIMSOLL_SIZE_THROUGH(plimsoll_item, phase)));
  one.kind = EmittedOne::Kind::kItem;
  one.label = text_of(i.label);
  one.phase = text_of(i.phase);
  one.rank = i.rank;
  one.lifetime = i.lifetime;
  one.category = i.category;
  one.memory = i.memory;
  one.bytes = i.bytes;
  return fmt::format("item {} aspect {} rank {} category {} basis {} lifetime {} memory {} bytes {} phase {} formula {}", one.label,
                     i.aspect, i.rank, i.category, i.basis, i.lifetime, i.memory, i.bytes, one.phase, text_of(i.formula));
}

} // namespace

std::string Emitted::text() const {
  std::string out;
  for (const EmittedOne& one : all) out += one.text + "\n";
  return out;
}
std::vector<std::string> Emitted::sorted() const {
  std::vector<std::string> out;
  out.reserve(all.size());
  for (const EmittedOne& one : all) out.push_back(one.text);
  std::sort(out.begin(), out.end());
  return out;
}

Recorder::Recorder()
    : sink_{PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item),
            0,
            this,
            take<plimsoll_weight>,
            take<plimsoll_kv_group>,
            take<plimsoll_entry>,
            take<plimsoll_item>} {}

template <class What>
plimsoll_status Recorder::take(void* ctx, const What* what) noexcept {
  Recorder& self = *static_cast<Recorder*>(ctx);
  if (self.calls++ >= self.refuse_from || self.emitted.all.size() >= kMostEmitted) return PLIMSOLL_E_CONFIG;
  if (what == nullptr) return PLIMSOLL_E_ABI;
  EmittedOne one;
  if (PLIMSOLL_HAS(what, What, aspect)) one.aspect = what->aspect;
  one.text = describe(*what, one, self.emitted.size_fault);
  self.emitted.all.push_back(std::move(one));
  if (self.between) self.between();
  return PLIMSOLL_OK;
}

std::uint64_t bytes_on_rank(const Emitted& emitted, std::uint32_t rank, std::uint64_t batch) {
  Checked resident = 0;
  std::map<std::string, Checked> phases;
  for (const EmittedOne& one : emitted.all) {
    if (one.kind != EmittedOne::Kind::kItem || (one.rank != rank && one.rank != PLIMSOLL_ALL_RANKS)) continue;
    if (one.lifetime == PLIMSOLL_TRANSIENT) phases[one.phase.empty() ? fmt::format("\n{}", phases.size()) : one.phase] += one.bytes;
    else resident += one.lifetime == PLIMSOLL_PER_REQUEST ? Checked(one.bytes) * batch : Checked(one.bytes);
  }
  std::uint64_t largest = 0;
  for (const auto& [name, bytes] : phases) largest = std::max(largest, bytes.saturated());
  return (resident + largest).saturated();
}

} // namespace plimsoll::check
