#include "plugin/declaration_gate.hpp"

#include <bit>
#include <fmt/format.h>
#include <simdjson.h>

#include "base/checked.hpp"
#include "checkpoint/quoted_name.hpp"
#include "plugin/abi_text.hpp"

namespace plimsoll {
namespace {

struct Size {
  const char* name;
  std::uint64_t value, most;
};

// The first that is too large, in words.
std::string beyond(std::initializer_list<Size> sizes) {
  for (const Size& size : sizes)
    if (size.value > size.most)
      return fmt::format("{} is {}{}; at most {} is possible", size.name, size.value,
                         size.value > INT64_MAX ? ", a negative number or one that wrapped" : "", size.most);
  return {};
}

// Empty or a clean name.
std::string wrong_name(const char* name, plimsoll_str text, std::uint64_t most) {
  if (text.size == 0 || is_clean_text(text, most)) return {};
  return fmt::format("{} {}; up to {} bytes of printable UTF-8 were expected", name, shown_text(text), most);
}

std::string subject(std::string_view kind, std::string_view label) { return fmt::format("{} '{}'", kind, label); }
Result<void> check_label(const PlannerNode& node, std::string_view kind, plimsoll_str label) {
  if (is_clean_text(label, PLIMSOLL_MAX_LABEL_BYTES)) return {};
  constexpr const char* kWrong = "its label is {}; 1 to {} bytes of printable UTF-8 were expected";
  return broken_declaration(node, fmt::format("a {}", kind), fmt::format(kWrong, shown_text(label), PLIMSOLL_MAX_LABEL_BYTES));
}

std::string wrong_layers(const std::uint32_t* layers, std::uint64_t n, std::uint64_t& listed) {
  if (layers == nullptr) return n == 0 ? "" : fmt::format("{} layers, but no list of them", n);
  if (n > PLIMSOLL_MAX_LAYERS) return fmt::format("{} layers; at most {} are possible", n, PLIMSOLL_MAX_LAYERS);
  listed += n;
  if (listed > PLIMSOLL_MAX_LISTED_LAYERS)
    return fmt::format("all layer lists together have more than {} entries", PLIMSOLL_MAX_LISTED_LAYERS);
  return {};
}

// The entry `i` of an array of pointers, where it is there and has what version 1.0 has; else nullptr.
template <class Raw>
const Raw* entry_at(const Raw* const* array, std::uint64_t i, std::uint32_t whole) {
  return array[i] != nullptr && array[i]->struct_size >= whole ? array[i] : nullptr;
}

std::string wrong_parts(const plimsoll_weight& w) {
  if (w.parts == nullptr) return w.n_parts == 0 ? "" : fmt::format("{} parts, but no list of them", w.n_parts);
  if (w.n_parts > PLIMSOLL_MAX_PARTS) return fmt::format("more than {} parts", PLIMSOLL_MAX_PARTS);
  for (std::uint64_t i = 0; i < w.n_parts; ++i) {
    const plimsoll_part* part = entry_at(w.parts, i, PLIMSOLL_SIZE_THROUGH(plimsoll_part, units));
    if (part == nullptr) return fmt::format("part {} is not there, or smaller than version 1.0", i);
    if (std::string wrong =
            beyond({{"a part's extent", part->extent, PLIMSOLL_MAX_EXTENT}, {"the units of a part", part->units, PLIMSOLL_MAX_EXTENT}});
        !wrong.empty())
      return wrong;
  }
  return {};
}

std::string wrong_values(const plimsoll_weight& w) {
  if (w.stage > PLIMSOLL_STAGE_EVERY || w.placement > PLIMSOLL_PLACE_ONE || w.role > PLIMSOLL_ROLE_TIED ||
      w.expert_storage > PLIMSOLL_EXPERTS_CONCATENATED || w.memory > PLIMSOLL_MEMORY_HOST || w.experts > PLIMSOLL_MAX_EXPERTS)
    return "a value outside the contract";
  if (w.n_dims > PLIMSOLL_MAX_DIMS) return fmt::format("a value outside the contract: more than {} dimensions", PLIMSOLL_MAX_DIMS);
  for (std::uint32_t i = 0; i < w.n_dims; ++i)
    if (std::string wrong = beyond({{"a dimension", w.dims[i], PLIMSOLL_MAX_EXTENT}}); !wrong.empty()) return wrong;
  return {};
}

std::string wrong_widths(const plimsoll_kv_group& g) {
  const std::uint64_t width = (Checked(g.k_elements) + g.v_elements).saturated();
  std::string wrong = beyond({{"the number of heads", g.kv_heads, PLIMSOLL_MAX_EXTENT},
                              {"the number of query heads", g.query_heads, PLIMSOLL_MAX_EXTENT},
                              {"the width of a key", g.k_elements, PLIMSOLL_MAX_EXTENT},
                              {"the width of a value", g.v_elements, PLIMSOLL_MAX_EXTENT},
                              {"what a token takes in elements", (Checked(width) * g.kv_heads).saturated(), PLIMSOLL_MAX_EXTENT},
                              {"the elements of a scale", g.scale_elements, PLIMSOLL_MAX_EXTENT},
                              {"the window", g.window_tokens, PLIMSOLL_MAX_EXTENT},
                              {"the tokens of a sequence", g.fixed_tokens, PLIMSOLL_MAX_EXTENT}});
  if (wrong.empty())
    wrong = beyond({{"the width of an expanded key", g.expanded_k_elements, PLIMSOLL_MAX_EXTENT},
                    {"the width of an expanded value", g.expanded_v_elements, PLIMSOLL_MAX_EXTENT}});
  if (wrong.empty() && g.kind == PLIMSOLL_KV_LATENT && g.kv_heads > 1)
    wrong = fmt::format("a latent cache of {} heads; 1 was expected", g.kv_heads);
  return wrong;
}

std::string wrong_regions(const plimsoll_kv_group& g) {
  if (g.regions == nullptr) return g.n_regions == 0 ? "" : "a state region that is not there";
  if (g.n_regions > PLIMSOLL_MAX_REGIONS) return fmt::format("more than {} state regions", PLIMSOLL_MAX_REGIONS);
  for (std::uint64_t i = 0; i < g.n_regions; ++i) {
    const auto* region = entry_at(g.regions, i, PLIMSOLL_SIZE_THROUGH(plimsoll_state_region, elements_per_draft_token));
    if (region == nullptr) return "a state region that is not there, or smaller than version 1.0";
    if (!is_clean_text(region->label, PLIMSOLL_MAX_LABEL_BYTES))
      return fmt::format("the label of a state is {}; 1 to {} bytes of printable UTF-8 were expected", shown_text(region->label),
                         PLIMSOLL_MAX_LABEL_BYTES);
    std::string wrong = wrong_name("the type of a state", region->dtype, PLIMSOLL_MAX_NAME_BYTES);
    if (wrong.empty())
      wrong = beyond({{"the elements of a state", region->elements, PLIMSOLL_MAX_EXTENT},
                      {"the units of a state", region->units, PLIMSOLL_MAX_EXTENT},
                      {"a state's elements per drafted token", region->elements_per_draft_token, PLIMSOLL_MAX_EXTENT}});
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string wrong_record(const plimsoll_kv_group& g) {
  if (g.record == nullptr) return g.n_fields == 0 ? "" : "a record that is not there";
  if (g.n_fields > PLIMSOLL_MAX_FIELDS) return fmt::format("a record of more than {} fields", PLIMSOLL_MAX_FIELDS);
  if (g.kind == PLIMSOLL_KV_STATE && g.n_fields != 0) return "a record, but its states have types of their own";
  for (std::uint64_t i = 0; i < g.n_fields; ++i) {
    const plimsoll_kv_field* field = entry_at(g.record, i, PLIMSOLL_SIZE_THROUGH(plimsoll_kv_field, elements));
    if (field == nullptr) return fmt::format("field {} of its record is not there, or smaller than version 1.0", i);
    if (!is_clean_text(field->dtype, PLIMSOLL_MAX_NAME_BYTES))
      return fmt::format("the type of a field is {}; up to {} bytes of printable UTF-8 were expected", shown_text(field->dtype),
                         PLIMSOLL_MAX_NAME_BYTES);
    if (std::string wrong = beyond({{"the elements of a field", field->elements, PLIMSOLL_MAX_EXTENT}}); !wrong.empty()) return wrong;
  }
  return {};
}

// Empty, or what is wrong with the aspect of something that this planner hands over.
std::string wrong_aspect(const PlannerNode& node, std::uint32_t aspect) {
  if (aspect == 0) return "no aspect; it has exactly one";
  if (std::popcount(aspect) > 1) return fmt::format("{} aspects; it has exactly one", std::popcount(aspect));
  if ((aspect & node.family.family->aspects) == 0) return "an aspect that its family does not count";
  return {};
}

std::string wrong_item(const PlannerNode& node, const plimsoll_item& item, std::uint32_t n_ranks) {
  if (std::string wrong = wrong_aspect(node, item.aspect); !wrong.empty()) return wrong;
  if (item.category < PLIMSOLL_BYTES_ACTIVATION || item.category > PLIMSOLL_BYTES_WORKSPACE)
    return "a category that this host does not know";
  if (item.basis > PLIMSOLL_BASIS_HEURISTIC || item.lifetime > PLIMSOLL_PER_REQUEST || item.memory > PLIMSOLL_MEMORY_HOST)
    return "a value outside the contract";
  if (item.lifetime == PLIMSOLL_TRANSIENT && item.memory == PLIMSOLL_MEMORY_HOST) return "in host memory nothing is transient";
  if (item.rank != PLIMSOLL_ALL_RANKS && item.rank >= n_ranks) return "a rank that does not exist";
  if (item.lifetime == PLIMSOLL_TRANSIENT) return wrong_name("its phase is", item.phase, PLIMSOLL_MAX_LABEL_BYTES);
  return {};
}

// Too small for version 1.0.
tl::unexpected<Error> small(const PlannerNode& node, std::string_view what) {
  return broken_declaration(node, what, "its struct is smaller than version 1.0");
}

} // namespace

tl::unexpected<Error> broken_declaration(const PlannerNode& node, std::string_view what, std::string_view message) {
  return fail(ErrorCode::kPluginFailed, fmt::format("planner '{}' declared {}: {}", node.id(), what, message));
}

bool is_clean_text(plimsoll_str text, std::uint64_t most) {
  if (text.data == nullptr || text.size == 0 || text.size > most) return false;
  const std::string_view view(text.data, static_cast<std::size_t>(text.size));
  for (const char c : view)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  return simdjson::validate_utf8(view.data(), view.size());
}

std::string shown_text(plimsoll_str text) {
  if (text.size == 0) return "empty";
  if (text.data == nullptr) return fmt::format("{} bytes at no address", text.size);
  // A length that nobody meant says nothing about what may be read.
  if (text.size > PLIMSOLL_MAX_FORMULA_BYTES) return fmt::format("{} bytes long", text.size);
  return quoted_name(std::string_view(text.data, static_cast<std::size_t>(text.size)));
}

Result<void> DeclarationGate::check(const PlannerNode& node, const plimsoll_weight& w) {
  if (!PLIMSOLL_HAS(&w, plimsoll_weight, rank)) return small(node, "a weight class");
  PLIMSOLL_TRY(check_label(node, "weight class", w.label));
  std::string wrong;
  if (++classes_ > PLIMSOLL_MAX_WEIGHT_CLASSES) wrong = fmt::format("it is one of more than {}", PLIMSOLL_MAX_WEIGHT_CLASSES);
  if (wrong.empty()) wrong = wrong_name("its tensors' name is", w.pattern, PLIMSOLL_MAX_PATTERN_BYTES);
  if (wrong.empty()) wrong = wrong_name("its type is", w.dtype, PLIMSOLL_MAX_NAME_BYTES);
  if (wrong.empty()) wrong = wrong_name("its storage format is", w.format, PLIMSOLL_MAX_NAME_BYTES);
  if (wrong.empty()) wrong = wrong_aspect(node, w.aspect);
  if (wrong.empty()) wrong = wrong_layers(w.layers, w.n_layers, class_layers_);
  if (wrong.empty()) wrong = wrong_values(w);
  if (wrong.empty()) wrong = wrong_parts(w);
  if (!wrong.empty()) return broken_declaration(node, subject("weight class", view_of(w.label)), wrong);
  return {};
}

Result<void> DeclarationGate::check(const PlannerNode& node, const plimsoll_kv_group& g) {
  if (!PLIMSOLL_HAS(&g, plimsoll_kv_group, expanded_v_elements)) return small(node, "a KV group");
  PLIMSOLL_TRY(check_label(node, "KV group", g.label));
  std::string wrong;
  if (++groups_ > PLIMSOLL_MAX_KV_GROUPS) wrong = fmt::format("it is one of more than {}", PLIMSOLL_MAX_KV_GROUPS);
  if (wrong.empty()) wrong = wrong_name("the type of its keys is", g.k_dtype, PLIMSOLL_MAX_NAME_BYTES);
  if (wrong.empty()) wrong = wrong_name("the type of its values is", g.v_dtype, PLIMSOLL_MAX_NAME_BYTES);
  if (wrong.empty()) wrong = wrong_name("the type of its scales is", g.scale_dtype, PLIMSOLL_MAX_NAME_BYTES);
  if (wrong.empty() && g.role > PLIMSOLL_ROLE_DRAFT) wrong = "a role that caches do not have";
  if (wrong.empty()) wrong = wrong_aspect(node, g.aspect);
  if (wrong.empty()) wrong = wrong_layers(g.layers, g.n_layers, group_layers_);
  if (wrong.empty()) wrong = wrong_widths(g);
  if (wrong.empty()) wrong = wrong_regions(g);
  if (wrong.empty()) wrong = wrong_record(g);
  if (!wrong.empty()) return broken_declaration(node, subject("KV group", view_of(g.label)), wrong);
  return {};
}

Result<void> DeclarationGate::check(const PlannerNode& node, const plimsoll_entry& e) {
  if (!PLIMSOLL_HAS(&e, plimsoll_entry, encoder_elements)) return small(node, "an entry");
  PLIMSOLL_TRY(check_label(node, "entry", e.label));
  std::string wrong;
  if (++entries_ > PLIMSOLL_MAX_ENTRIES) wrong = fmt::format("it is one of more than {}", PLIMSOLL_MAX_ENTRIES);
  if (wrong.empty()) wrong = wrong_name("its type is", e.dtype, PLIMSOLL_MAX_NAME_BYTES);
  if (wrong.empty()) wrong = wrong_aspect(node, e.aspect);
  if (wrong.empty())
    wrong = beyond({{"rows", e.rows, PLIMSOLL_MAX_EXTENT},
                    {"row_elements", e.row_elements, PLIMSOLL_MAX_EXTENT},
                    {"the elements of an entry", (Checked(e.rows) * e.row_elements).saturated(), PLIMSOLL_MAX_EXTENT},
                    {"encoder_tokens", e.encoder_tokens, PLIMSOLL_MAX_EXTENT},
                    {"encoder_elements", e.encoder_elements, PLIMSOLL_MAX_EXTENT}});
  if (!wrong.empty()) return broken_declaration(node, subject("entry", view_of(e.label)), wrong);
  return {};
}

tl::unexpected<Error> broken_item(const PlannerNode& node, const plimsoll_item& item, std::string_view message) {
  const bool named = PLIMSOLL_HAS(&item, plimsoll_item, phase) && is_clean_text(item.label, PLIMSOLL_MAX_LABEL_BYTES);
  const std::string what = named ? std::string(view_of(item.label)) : "an item";
  return fail(ErrorCode::kPluginFailed, fmt::format("planner '{}' emitted '{}': {}", node.id(), what, message));
}

Result<void> DeclarationGate::check(const PlannerNode& node, const plimsoll_item& item, std::uint32_t n_ranks) {
  if (!PLIMSOLL_HAS(&item, plimsoll_item, phase)) return broken_item(node, item, "its struct is smaller than version 1.0");
  if (++items_ > static_cast<std::uint64_t>(PLIMSOLL_MAX_ITEMS) + n_ranks)
    return broken_item(node, item, fmt::format("more than {} items", PLIMSOLL_MAX_ITEMS + n_ranks));
  if (!is_clean_text(item.label, PLIMSOLL_MAX_LABEL_BYTES))
    return broken_item(
        node, item,
        fmt::format("its label is {}; 1 to {} bytes of printable UTF-8 were expected", shown_text(item.label), PLIMSOLL_MAX_LABEL_BYTES));
  if (const std::string wrong = wrong_item(node, item, n_ranks); !wrong.empty()) return broken_item(node, item, wrong);
  if (item.lifetime != PLIMSOLL_TRANSIENT || item.phase.size == 0 || item.bytes == 0) return {};
  phases_.emplace(view_of(item.phase));
  if (phases_.size() > PLIMSOLL_MAX_PHASES)
    return broken_item(node, item, fmt::format("more than {} phases with names", PLIMSOLL_MAX_PHASES));
  return {};
}

std::optional<std::uint32_t> DeclarationGate::add(Taken& taken, bool fresh, const std::vector<std::uint32_t>& layers) {
  if (fresh) {
    taken.first = layers;
    return std::nullopt;
  }
  if (taken.all.empty()) {
    taken.all.insert(taken.first.begin(), taken.first.end());
    if (taken.first.empty()) taken.all.insert(kNoLayer);
  }
  if (layers.empty() && !taken.all.insert(kNoLayer).second) return kNoLayer;
  for (const std::uint32_t layer : layers)
    if (!taken.all.insert(layer).second) return layer;
  return std::nullopt;
}

Result<void> DeclarationGate::take_tensors(const PlannerNode& node, const std::string& label, const std::string& pattern,
                                           const std::vector<std::uint32_t>& layers) {
  const bool named = !pattern.empty();
  // Tensors without names are told apart by the label alone.
  const auto [it, fresh] = tensors_.try_emplace(named ? pattern : fmt::format("{}\n{}", static_cast<const void*>(&node), label));
  if (named && layers.size() > 1 && pattern.find("{layer}") == std::string::npos)
    return broken_declaration(node, subject("weight class", label),
                              fmt::format("{} layers with tensors of one name, '{}'", layers.size(), pattern));
  if (const auto twice = add(it->second, fresh, layers))
    return broken_declaration(node, subject("weight class", label),
                              fmt::format("{}{} is declared twice",
                                          named ? fmt::format("the tensor '{}'", pattern) : "what has only this label",
                                          *twice == kNoLayer ? "" : fmt::format(" of layer {}", *twice)));
  return {};
}

Result<void> DeclarationGate::take_layers(const PlannerNode& node, const std::string& label, const std::vector<std::uint32_t>& layers) {
  const auto [it, fresh] = caches_.try_emplace(fmt::format("{}\n{}", static_cast<const void*>(&node), label));
  if (const auto twice = add(it->second, fresh, layers))
    return broken_declaration(node, subject("KV group", label), fmt::format("layer {} is declared twice", *twice));
  return {};
}

Result<void> check_facts(const PlannerNode& root, const plimsoll_facts& f) {
  const std::string wrong = beyond({{"n_layers", f.n_layers, PLIMSOLL_MAX_LAYERS},
                                    {"max_length", f.max_length, PLIMSOLL_MAX_EXTENT},
                                    {"hidden_elements", f.hidden_elements, PLIMSOLL_MAX_EXTENT},
                                    {"vocab_tokens", f.vocab_tokens, PLIMSOLL_MAX_EXTENT},
                                    {"query_heads", f.query_heads, PLIMSOLL_MAX_EXTENT},
                                    {"kv_heads", f.kv_heads, PLIMSOLL_MAX_EXTENT},
                                    {"experts", f.experts, PLIMSOLL_MAX_EXPERTS},
                                    {"experts_per_token", f.experts_per_token, PLIMSOLL_MAX_EXPERTS},
                                    {"draft_layers", f.draft_layers, PLIMSOLL_MAX_LAYERS}});
  if (wrong.empty()) return {};
  if (root.has_facts) return broken_declaration(root, "facts", wrong);
  return fail(ErrorCode::kBadConfig, fmt::format("as the configuration says it, {} (planner '{}')", wrong, root.id()));
}

} // namespace plimsoll
