// HRM-Text: two stacks of layers that run in cycles, low and high; every pass through a stack caches by itself. No norm has a weight. Any
// thread.
//
// Example: two stacks of 16 layers, 2 high cycles of 3 low ones: the low stack runs 6 times and the high one twice, so a token is cached
// in 16 x 8 layers of 12 heads of 128.
#include "models.hpp"

namespace hybrid {
namespace {

struct Stack {
  std::string name;
  std::uint64_t passes;
};

void add_stack(const Config& config, Model& model, const Stack& stack, const Layers& layers) {
  const std::uint64_t heads = config.positive("/num_attention_heads"), width = config.positive("/intermediate_size");
  if (!config.has("/head_dim")) check_divides(heads, model.hidden, "/num_attention_heads");
  const std::uint64_t head_elements = config.has("/head_dim") ? config.positive("/head_dim") : model.hidden / heads;
  const Bytes h = model.hidden, q = Bytes(heads) * Bytes(head_elements);
  const Part fourth{q.value(), heads}, half{width, 0};
  const bool bias = config.boolean("/attention_bias", false), ffn_bias = config.boolean("/mlp_bias", false);
  const std::string prefix = "model." + stack.name + "_module.layers.{layer}.";
  const Place attention(model, prefix, stack.name + ".", kAttention, layers), ffn(model, prefix, stack.name + ".", kFfn, layers);
  attention.add(attention.linear("attn.gqkv_proj", Bytes(4) * q, h).parts(0, {fourth, fourth, fourth, fourth}),
                bias); // a gate, then q, k, v
  attention.add(attention.linear("attn.o_proj", h, q).heads(1, heads), bias);
  ffn.add(ffn.linear("mlp.gate_up_proj", Bytes(2) * Bytes(width), h).parts(0, {half, half}), ffn_bias);
  ffn.add(ffn.linear("mlp.down_proj", h, width).split(1), ffn_bias);
  for (std::uint64_t pass = 1; pass <= stack.passes; ++pass) {
    KvGroup cache(KvKind::kFull, stack.name + ".attention.pass." + std::to_string(pass), attention.layers());
    cache.heads(heads, heads, head_elements, head_elements);
    model.caches.push_back(std::move(cache));
  }
}

} // namespace

void fill_hrm(const Config& config, Model& model) {
  constexpr std::uint64_t kMostCycles = 32;
  const std::uint64_t high = plimsoll::bounded(config.u64("/H_cycles", 2), kMostCycles, "/H_cycles");
  const std::uint64_t low = plimsoll::bounded(config.u64("/L_cycles", 3), kMostCycles, "/L_cycles");
  // A configuration that was saved counts every pass in num_hidden_layers, and says how many layers there are beside it.
  const char* count = config.has("/num_layers_per_stack") ? "/num_layers_per_stack" : "/num_hidden_layers";
  const Layers layers = plimsoll::layers_from(0, plimsoll::checked_layers(config.u64(count), count));
  model.ask("dense", kEmbed | kHead);
  for (const Stack& stack : {Stack{"L", high * low}, Stack{"H", high}}) add_stack(config, model, stack, layers);
  model.weights.push_back(Weight(kEmbed, "embedding.low_state", "model.z_L_init", {model.hidden}));
}

} // namespace hybrid
