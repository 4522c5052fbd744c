// Loads a configuration with the plugins of this build and looks at what its planners declare. Used by the tests of the
// mla and moe families. Never plans. One thread.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "model/declare.hpp"
#include "model/loaded_model.hpp"
#include "plugin/planner_tree.hpp"
#include "plugin/registry.hpp"

namespace plimsoll::testing {

inline const Registry& registry() {
  static const Registry built({{std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/plugins"}, Trust::kOpen}, {});
  return built;
}

inline Result<std::unique_ptr<PlannerTree>> try_tree(const Json& config) {
  return PlannerTree::create(registry(), std::make_shared<const Json>(config), "config.json");
}

inline std::unique_ptr<PlannerTree> tree_of(const Json& config) {
  auto tree = try_tree(config);
  if (!tree) ADD_FAILURE() << tree.error().where << ": " << tree.error().message;
  return tree ? std::move(*tree) : nullptr;
}

// What the planners declare, stored as quantization_config says. `kept` holds what the classes point to.
struct DeclaredConfig : Declared {
  std::shared_ptr<const void> kept;
};

inline DeclaredConfig declared(const Json& config) {
  auto tree = tree_of(config);
  if (!tree) return {};
  auto quantization = quantization_of(*tree, config, nullptr, "config.json");
  if (!quantization) return ADD_FAILURE() << quantization.error().message, DeclaredConfig{};
  const auto kept = std::make_shared<std::pair<std::unique_ptr<PlannerTree>, Quantization>>(std::move(tree), std::move(*quantization));
  auto out = declare(*kept->first, kept->second, *find_dtype("bfloat16"));
  if (!out) return ADD_FAILURE() << out.error().where << ": " << out.error().message, DeclaredConfig{};
  return {std::move(*out), kept};
}

inline const WeightClass* find_class(const Declared& d, const std::string& label) {
  for (const WeightClass& c : d.weights)
    if (c.label == label) return &c;
  return nullptr;
}

inline const KvGroup* find_group(const Declared& d, const std::string& label) {
  for (const KvGroup& g : d.kv)
    if (g.label == label) return &g;
  return nullptr;
}

inline std::uint64_t parameters(const Declared& d) {
  Checked sum = 0;
  for (const WeightClass& c : d.weights) sum += c.parameters();
  return sum.value();
}

inline std::uint64_t stored_bytes(const Declared& d) {
  Checked sum = 0;
  for (const WeightClass& c : d.weights) sum += c.declared_bytes();
  return sum.value();
}

// A small model with every size set; tests change single keys.
inline Json small_mla() {
  return Json::parse(R"({"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "hidden_size": 256,
    "intermediate_size": 512, "moe_intermediate_size": 64, "num_hidden_layers": 4, "first_k_dense_replace": 1, "num_attention_heads": 8,
    "q_lora_rank": 96, "kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32, "n_routed_experts": 16,
    "n_shared_experts": 1, "num_experts_per_tok": 4, "vocab_size": 1000})");
}

// Keys that a planner cannot size anything from, and where its error points.
struct Refusal {
  const char* what;
  Json changes;
  const char* pointer;
};

// Prices activations on `n` ranks with the engine section in `engine` and adds up what all ranks hold.
struct ActivationRequest {
  std::uint32_t ranks = 1, dp = 1, ep = 1;
  std::uint64_t max_length = 4096, max_batch_input_tokens = 8192;
  bool decode_only = false, fp4 = false;
  std::uint32_t num_draft_tokens = 0, weight_bits = 8, nodes = 1;
  bool chunked_prefill = false;
};

class ItemSum : public Collector {
public:
  Result<void> on_item(const PlannerNode&, const plimsoll_item& item) override {
    const std::string label(item.label.data, static_cast<std::size_t>(item.label.size));
    bytes[label] += item.bytes;
    if (item.lifetime == PLIMSOLL_RESIDENT) resident_ += item.bytes;
    else transient_ = std::max(transient_, item.bytes);
    return {};
  }
  std::uint64_t per_rank() const { return resident_ + transient_; }
  std::map<std::string, std::uint64_t> bytes;

private:
  std::uint64_t resident_ = 0, transient_ = 0;
};

inline ItemSum activations(const PlannerTree& tree, const ActivationRequest& ask, const Json& engine) {
  plimsoll_view view;
  view.node = &engine;
  plimsoll_request raw{};
  raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
  raw.aspects = PLIMSOLL_ASPECT_ALL;
  raw.n_ranks = ask.ranks;
  raw.dp = ask.dp;
  raw.tp = ask.ranks / ask.dp;
  raw.pp = 1;
  raw.ep = ask.ep;
  raw.n_nodes = ask.nodes;
  raw.phase = ask.decode_only ? PLIMSOLL_PHASE_DECODE : PLIMSOLL_PHASE_BOTH;
  raw.compute_bits = 16;
  raw.kv_bits = 16;
  raw.weight_bits = ask.weight_bits;
  raw.weight_is_fp4 = ask.fp4 ? 1 : 0;
  raw.num_draft_tokens = ask.num_draft_tokens;
  raw.chunked_prefill = ask.chunked_prefill ? 1 : 0;
  raw.max_length = ask.max_length;
  raw.max_batch_input_tokens = ask.max_batch_input_tokens;
  raw.engine = &view;
  ItemSum sum;
  const auto done = tree.activations(raw, sum);
  if (!done) ADD_FAILURE() << done.error().where << ": " << done.error().message;
  return sum;
}

} // namespace plimsoll::testing
