// P: laws of memory. A model that is larger in one way, or a request that asks for more, never needs less.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <set>

#include "check/cases.hpp"
#include "checkpoint/quoted_name.hpp"
#include "model/matcher.hpp"
#include "plan/weights_report.hpp"
#include "plugin/calls.hpp"

namespace plimsoll::check {
namespace {

// Which keys of a configuration say how large a model is in one way, and nothing else.
constexpr std::array<std::string_view, 5> kLayerKeys{"num_hidden_layers", "n_layer", "num_layers", "n_layers", "depth"};
constexpr std::array<std::string_view, 18> kWidthKeys{"hidden_size",
                                                      "n_embd",
                                                      "d_model",
                                                      "intermediate_size",
                                                      "ffn_dim",
                                                      "moe_intermediate_size",
                                                      "shared_expert_intermediate_size",
                                                      "vocab_size",
                                                      "head_dim",
                                                      "num_key_value_heads",
                                                      "kv_lora_rank",
                                                      "q_lora_rank",
                                                      "qk_nope_head_dim",
                                                      "v_head_dim",
                                                      "num_experts",
                                                      "num_local_experts",
                                                      "n_routed_experts",
                                                      "n_shared_experts"};
constexpr std::array<std::string_view, 2> kImageKeys{"image_size", "max_image_size"};

bool is_one(std::string_view key, std::span<const std::string_view> keys) { return std::find(keys.begin(), keys.end(), key) != keys.end(); }

// How large a model is.
struct Size {
  std::uint64_t parameters = 0, kv_bytes = 0;
};
Result<Size> size_of_model(Subject& subject, const Json& config) {
  PLIMSOLL_ASSIGN(const auto model, subject.model(config));
  return Size{model->parameters, kv_bytes_per_token(*model)};
}

// Own keys with positive numbers whose last part is one of `keys`.
std::vector<std::pair<std::string, std::uint64_t>> sizes_in(Subject& subject, const Json& config, std::span<const std::string_view> keys) {
  std::vector<std::pair<std::string, std::uint64_t>> out;
  for (const std::string& pointer : own_keys(subject, config))
    if (is_one(last_part(pointer), keys))
      if (const auto number = as_u64(*find_pointer(config, pointer)); number && *number > 0) out.emplace_back(pointer, *number);
  return out;
}

// Each of `keys` grows through `factors`; what cannot be planned is passed over.
Finding grows_with(CaseContext& context, std::span<const std::string_view> keys, std::span<const std::uint64_t> factors,
                   std::span<const std::uint64_t> values) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const auto base = size_of_model(subject, input.config);
    if (!base) return skipped(base.error().message);
    bool grew = false;
    for (const auto& [pointer, number] : sizes_in(subject, input.config, keys)) {
      std::set<std::uint64_t> larger;
      for (const std::uint64_t factor : factors) larger.insert(number * factor);
      for (const std::uint64_t value : values)
        if (value > number) larger.insert(value);
      Size last = *base;
      for (const std::uint64_t value : larger) {
        const std::string name = fmt::format("{} with {} = {} instead of {}", input.name, pointer, value, number);
        context.at(name);
        const auto size = size_of_model(subject, with_value(input.config, pointer, value));
        if (!size) continue;
        grew = true;
        if (size->parameters < last.parameters)
          return failed(fmt::format("there are {} parameters; with a smaller number there were {}", size->parameters, last.parameters),
                        name);
        if (size->kv_bytes < last.kv_bytes)
          return failed(fmt::format("a token takes {} B of KV cache; with a smaller number it took {}", size->kv_bytes, last.kv_bytes),
                        name);
        last = *size;
      }
    }
    return grew ? passed() : skipped("no key of its configurations says how large the model is in that way");
  });
}
Finding more_layers(CaseContext& context) { return grows_with(context, kLayerKeys, std::array<std::uint64_t, 2>{2, 3}, {}); }
Finding wider_model(CaseContext& context) {
  return grows_with(context, kWidthKeys, std::array<std::uint64_t, 2>{2, 4},
                    std::array<std::uint64_t, 6>{1ULL << 20U, 1ULL << 26U, 1ULL << 31U, 1ULL << 32U, 1ULL << 36U, 1ULL << 40U});
}

// ---- requests ----------------------------------------------------------------------------------------------

constexpr std::array<Layout, 4> kLayouts{{{1, 1, 1, 1}, {2, 1, 1, 1}, {2, 2, 1, 1}, {4, 1, 2, 4}}};

// Bytes of all items on each rank; nothing where the layout is impossible.
std::vector<std::uint64_t> priced(const Subject& subject, const Planners& tree, const Asked& asked) {
  const Emitted activations = subject.activations(tree, asked.raw);
  if (activations.status != PLIMSOLL_OK) return {};
  std::vector<std::uint64_t> out;
  for (std::uint32_t rank = 0; rank < asked.raw.n_ranks; ++rank) out.push_back(bytes_on_rank(activations, rank, asked.raw.max_batch_size));
  return out;
}

// What is set grows from value to value, and no rank's bytes get smaller.
Finding grows_along(CaseContext& context, std::string_view what, std::initializer_list<std::uint64_t> values,
                    const std::function<void(plimsoll_request&, std::uint64_t)>& set) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    for (const Layout layout : kLayouts) {
      Asked asked(subject.facts(**tree), layout, subject.engine_values());
      std::vector<std::uint64_t> last;
      std::uint64_t last_value = 0;
      for (const std::uint64_t value : values) {
        set(asked.raw, value);
        const std::vector<std::uint64_t> now = priced(subject, **tree, asked);
        for (std::size_t rank = 0; rank < std::min(now.size(), last.size()); ++rank)
          if (now[rank] < last[rank])
            return failed(fmt::format("at {} {} rank {} of {} needs {} B, at {} it needs {}", value, what, rank, now.size(), now[rank],
                                      last_value, last[rank]));
        if (!now.empty()) {
          last = now;
          last_value = value;
        }
      }
    }
    return passed();
  });
}
Finding more_tokens(CaseContext& context) {
  return grows_along(context, "tokens of a pass", {1, 16, 128, 1000, 1024, 2048, 4096, 8192, 100'000},
                     [](plimsoll_request& request, std::uint64_t value) {
                       request.max_batch_input_tokens = value;
                       request.max_batch_size = 1;
                       request.max_length = 1;
                     });
}
Finding longer_requests(CaseContext& context) {
  return grows_along(context, "tokens of a request", {1, 128, 1000, 4096, 32'768, 131'072, 1'000'000},
                     [](plimsoll_request& request, std::uint64_t value) { request.max_length = value; });
}
Finding narrower_numbers(CaseContext& context) {
  return grows_along(context, "bits an element", {8, 16, 32},
                     [](plimsoll_request& request, std::uint64_t value) { request.compute_bits = static_cast<std::uint32_t>(value); });
}

Finding replicas_are_alike(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    for (const Layout layout : {Layout{1, 1, 2, 1}, Layout{2, 1, 2, 1}, Layout{1, 2, 2, 1}}) {
      const Asked asked(subject.facts(**tree), layout, subject.engine_values());
      const std::vector<std::uint64_t> bytes = priced(subject, **tree, asked);
      const std::size_t replica = bytes.size() / 2;
      for (std::size_t rank = 0; rank < replica; ++rank)
        if (bytes[rank] != bytes[rank + replica])
          return failed(fmt::format("with tp {}, pp {} and dp 2 rank {} has {} B of items, rank {}, the same of the other replica, has {}",
                                    layout.tp, layout.pp, rank, bytes[rank], rank + replica, bytes[rank + replica]));
    }
    return passed();
  });
}

Finding signals_follow_policy(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const std::uint32_t policy = (*tree)->root().family.signal_policy;
    for (const Layout layout : kLayouts) {
      const bool none = policy == PLIMSOLL_SIGNAL_NEVER || (policy == PLIMSOLL_SIGNAL_MULTI_RANK && layout.ranks() == 1);
      if (!none) continue;
      const Asked asked(subject.facts(**tree), layout, subject.engine_values());
      for (const EmittedOne& one : subject.signal_buffers(**tree, asked.raw).all)
        if (one.category == PLIMSOLL_BYTES_SIGNAL && one.bytes > 0)
          return failed(fmt::format("on {} ranks signal_buffers() has {} B of '{}'; the family's policy is {}", layout.ranks(), one.bytes,
                                    one.label, signal_policy_name(policy)));
    }
    return passed();
  });
}

Finding larger_pictures(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const auto rows = [](const Emitted& entries) {
      std::map<std::string, std::uint64_t> out;
      for (const EmittedOne& one : entries.all) out[one.label] = one.bytes;
      return out;
    };
    const auto small = rows(subject.entries(**tree));
    const auto keys = sizes_in(subject, input.config, kImageKeys);
    if (small.empty() || keys.empty()) return skipped("no configuration has an image size");
    for (const auto& [pointer, size] : keys) {
      const auto larger = subject.tree(with_value(input.config, pointer, size * 2));
      if (!larger) continue;
      for (const auto& [label, now] : rows(subject.entries(**larger)))
        if (const auto before = small.find(label); before != small.end() && now < before->second)
          return failed(fmt::format("with {} twice as large entry '{}' has {} rows instead of {}", pointer, label, now, before->second));
    }
    return passed();
  });
}

Finding more_memory(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    for (const Layout layout : kLayouts) {
      Asked asked(subject.facts(**tree), layout, subject.engine_values());
      std::fill(asked.used_bytes.begin(), asked.used_bytes.end(), 0);
      std::uint64_t last = 0, last_free = 0;
      for (unsigned power = 20; power < 44; ++power) {
        std::fill(asked.free_bytes.begin(), asked.free_bytes.end(), 1ULL << power);
        const std::uint64_t now = subject.max_batch(**tree, asked.raw);
        if (now == 0) continue; // the host decides
        if (now < last)
          return failed(fmt::format("with {} B free a batch of {}, with {} B one of {}", 1ULL << power, now, last_free, last));
        last = now;
        last_free = 1ULL << power;
      }
    }
    return passed();
  });
}

Finding aspects_add_up(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const auto asked_for = [](const Emitted& emitted, std::uint32_t aspects, std::vector<std::string>& out) {
      for (const EmittedOne& one : emitted.all) // the host drops the rest
        if ((one.aspect & aspects) != 0) out.push_back(one.text);
    };
    const auto compare = [&](const char* call, const auto& ask) {
      std::vector<std::string> whole, parts;
      asked_for(ask(PLIMSOLL_ASPECT_ALL), PLIMSOLL_ASPECT_ALL, whole);
      for (std::uint32_t aspect = 1; aspect < PLIMSOLL_ASPECT_ALL; aspect *= 2) asked_for(ask(aspect), aspect, parts);
      std::sort(whole.begin(), whole.end());
      std::sort(parts.begin(), parts.end());
      const std::string difference = first_difference(whole, parts);
      return difference.empty() ? std::string() : fmt::format("{}: asked aspect by aspect, {}", call, difference);
    };
    std::string wrong = compare("weights()", [&](std::uint32_t aspects) { return subject.weights(**tree, aspects); });
    if (wrong.empty()) wrong = compare("kv()", [&](std::uint32_t aspects) { return subject.kv(**tree, aspects); });
    if (wrong.empty()) wrong = compare("entries()", [&](std::uint32_t aspects) { return subject.entries(**tree, aspects); });
    if (wrong.empty())
      wrong = compare("activations()", [&](std::uint32_t aspects) {
        Asked asked(subject.facts(**tree), {2, 1, 1, 1}, subject.engine_values());
        asked.raw.aspects = aspects;
        return subject.activations(**tree, asked.raw);
      });
    return wrong.empty() ? passed() : failed(wrong);
  });
}

Finding items_on_ranks(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    for (const Layout layout : kLayouts) {
      const Asked asked(subject.facts(**tree), layout, subject.engine_values());
      for (const Emitted& emitted : {subject.activations(**tree, asked.raw), subject.signal_buffers(**tree, asked.raw)})
        for (const EmittedOne& one : emitted.all)
          if (one.rank != PLIMSOLL_ALL_RANKS && one.rank >= layout.ranks())
            return failed(fmt::format("item '{}' is on rank {}, there are {} ranks", one.label, one.rank, layout.ranks()));
    }
    return passed();
  });
}

// ---- tensors -----------------------------------------------------------------------------------------------

Finding tensors_are_there_once(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    std::map<std::string, std::set<std::uint32_t>> seen;
    std::set<std::string> whole;
    for (const Emitted& emitted : {subject.weights(**tree), subject.kv(**tree)})
      for (const EmittedOne& one : emitted.all) {
        const bool weight = one.kind == EmittedOne::Kind::kWeight;
        const std::string name = weight ? (one.pattern.empty() ? "label " + one.label : one.pattern) : "KV group " + one.label;
        if (weight && one.layers.empty() && !whole.insert(name).second) return failed(fmt::format("{} is declared twice", name));
        for (const std::uint32_t layer : one.layers)
          if (!seen[name].insert(layer).second) return failed(fmt::format("{} of layer {} is declared twice", name, layer));
      }
    return passed();
  });
}

Finding stages_add_up(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto model = subject.model(input.config);
    if (!model) return skipped(model.error().message);
    if ((*model)->declared.facts.n_layers < 2) return skipped("it has one layer");
    const auto held = [&](std::uint32_t stages) -> Result<std::uint64_t> {
      PlanRequest request;
      request.tp = 1;
      request.pp = stages;
      PLIMSOLL_ASSIGN(const WeightsReport report, make_weights_report(**model, request, subject.engine(), std::vector<Device>(stages)));
      std::uint64_t sum = 0;
      for (const std::uint64_t bytes : report.rank_bytes) sum += bytes;
      return sum;
    };
    const auto one = held(1), two = held(2);
    if (!one || !two) return skipped((one ? two : one).error().message);
    std::uint64_t copies = 0; // that a second stage may have
    for (const WeightClass& c : (*model)->declared.weights)
      if (c.role == PLIMSOLL_ROLE_TIED || (c.stage == PLIMSOLL_STAGE_EVERY && c.layers.empty()))
        copies += (c.parameters().saturated() + c.elements_of_one().saturated()) * 4;
    if (*two < *one || *two - *one > copies)
      return failed(fmt::format("two stages hold {} B, one holds {}; at most {} B of copies are declared", *two, *one, copies));
    return passed();
  });
}

// The class with the most parameters, for whoever has to find what is missing.
std::string largest_class(const Declared& declared) {
  const auto it = std::max_element(declared.weights.begin(), declared.weights.end(), [](const WeightClass& a, const WeightClass& b) {
    return a.parameters().saturated() < b.parameters().saturated();
  });
  if (it == declared.weights.end()) return "no class is declared";
  return fmt::format("the largest class is {} with {} in {} tensors", it->label, it->parameters().saturated(), it->count());
}
// A class whose parameters are the difference, or divide it.
std::string suspect(const Declared& declared, std::uint64_t difference) {
  const WeightClass* best = nullptr;
  for (const WeightClass& c : declared.weights) {
    const std::uint64_t of_class = c.parameters().saturated();
    if (of_class == 0 || difference % of_class != 0) continue;
    if (best == nullptr || of_class > best->parameters().saturated()) best = &c;
  }
  if (best == nullptr || best->parameters().saturated() < 2) return {};
  return fmt::format("; class {} alone has {}", best->label, best->parameters().saturated());
}

Finding parameters_are_published(CaseContext& context) {
  if (!context.parameters) return skipped("no number is given; --params does");
  context.inputs.resize(std::min<std::size_t>(context.inputs.size(), 1));
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const auto model = subject.model(input.config);
    if (!model) return skipped(model.error().message);
    const std::uint64_t found = (*model)->parameters, wanted = *context.parameters;
    if (found == wanted) return passed();
    const std::uint64_t difference = std::max(found, wanted) - std::min(found, wanted);
    return failed(fmt::format("{} parameters are declared, {} were given: {} too {}{}; {}", found, wanted, difference,
                              found > wanted ? "many" : "few", suspect((*model)->declared, difference), largest_class((*model)->declared)));
  });
}

Finding stored_is_declared(CaseContext& context) {
  if (!context.has_stored) return skipped("no headers are given; --headers does");
  context.inputs.resize(std::min<std::size_t>(context.inputs.size(), 1));
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const auto model = subject.model(input.config);
    if (!model) return skipped(model.error().message);
    const Declared& declared = (*model)->declared;
    const Matcher matcher(declared, fusions_of(*(*model)->planners), true);
    InventoryVisitor visitor(matcher);
    bool shapes = false;
    for (const StoredTensor& tensor : context.stored) {
      TensorEntry entry;
      entry.name = entry.stored_name = tensor.name;
      const auto dtype = find_dtype(tensor.dtype.empty() ? "bfloat16" : tensor.dtype);
      if (!dtype || tensor.dims.size() > kMaxTensorRank)
        return failed(fmt::format("{} is stored as {}, which nobody knows", tensor.name, tensor.dtype));
      entry.dtype = *dtype;
      entry.rank = static_cast<std::uint32_t>(tensor.dims.size());
      std::copy(tensor.dims.begin(), tensor.dims.end(), entry.dims.begin());
      for (const std::uint64_t dim : tensor.dims) entry.elements *= dim;
      entry.stored_bytes = std::max<std::uint64_t>(tensor.stored_bytes, 1); // an index does not say
      shapes = shapes || !tensor.dtype.empty();
      if (const auto taken = visitor.tensor(entry); !taken) return failed(taken.error().message);
    }
    Inventory& inventory = visitor.inventory;
    inventory.finish(declared, matcher.sites(), false);
    std::vector<std::string> wrong;
    for (const TensorBytes& extra : inventory.unclaimed.list())
      if (wrong.size() < 3) wrong.push_back(fmt::format("{} is stored and not declared", extra.name));
    if (!inventory.missing.empty())
      wrong.push_back(fmt::format("{} is declared and not stored ({} such)", inventory.missing.front(), inventory.missing.size()));
    if (shapes)
      for (const Mismatch& one : inventory.mismatched.list())
        if (wrong.size() < 5) wrong.push_back(fmt::format("{} is declared as {} and stored as {}", one.name, one.declared, one.stored));
    if (wrong.empty()) return passed();
    std::string all;
    for (const std::string& one : wrong) all += (all.empty() ? "" : "; ") + one;
    return failed(all + "; " + largest_class(declared));
  });
}

} // namespace

const std::vector<Case>& law_cases() {
  static const std::vector<Case> cases{{"P-01", more_tokens},        {"P-03", longer_requests},          {"P-04", more_layers},
                                       {"P-05", wider_model},        {"P-08", tensors_are_there_once},   {"P-10", stages_add_up},
                                       {"P-11", replicas_are_alike}, {"P-15", signals_follow_policy},    {"P-16", larger_pictures},
                                       {"P-17", more_memory},        {"P-18", aspects_add_up},           {"P-19", items_on_ranks},
                                       {"P-20", narrower_numbers},   {"P-21", parameters_are_published}, {"P-22", stored_is_declared}};
  return cases;
}

} // namespace plimsoll::check
