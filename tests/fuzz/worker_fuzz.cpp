// What a worker says of a model's planners, which a plugin may have written over: any bytes are planners that declare what passes the gate,
// or an error with a message.
#include <cstdlib>

#include "fuzz/fuzz.hpp"
#include "model/declare.hpp"
#include "worker/isolated_planners.hpp"

namespace plimsoll::fuzz {
namespace {

std::shared_ptr<const Json> config() {
  static const auto made =
      std::make_shared<const Json>(Json::parse(R"({"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
    "hidden_size": 64, "intermediate_size": 128, "moe_intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "n_routed_experts": 8,
    "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1, "q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8, "v_head_dim": 8, "vocab_size": 100, "max_position_embeddings": 256})"));
  return made;
}
const Registry& registry() {
  RegistryOptions options;
  options.trust = Trust::kOpen;
  options.isolation = Isolation::kAll;
  options.plugin_timeout = std::chrono::minutes(1);
  static const Registry all(std::move(options), {});
  return all;
}

} // namespace

std::vector<std::string> seeds() {
  auto planners = IsolatedPlanners::create(registry(), config(), "config.json", {});
  if (!planners) std::abort();
  return {(*planners)->answer(), "", "\x01"};
}

void fuzz_one(std::string_view input) {
  const auto planners = IsolatedPlanners::of_answer(registry(), config(), std::string(input));
  if (!planners) {
    if (planners.error().message.empty()) std::abort();
    return;
  }
  const auto declared = declare(**planners, Quantization(), *find_dtype("bfloat16"));
  if (!declared && declared.error().message.empty()) std::abort();
  static_cast<void>((*planners)->delegated_parts());
  static_cast<void>((*planners)->families());
}

} // namespace plimsoll::fuzz
