// What parts.hpp declares. Called once per loaded model, by models. Any thread.
//
// Attention with hidden size h, H query and K key/value heads of d elements: (H + 2 K) d h + H d h; a gate on the output makes
// q_proj twice as wide. Qwen3-Next (h 2048, H 16, K 2, d 256): 8192 x 2048 + 2 x 512 x 2048 + 2048 x 4096 + 512 = 27,263,488.
// A cached token takes 2 K d elements in a layer: 12 x 2 x 2 x 256 x 2 B = 24,576 B there.
#include "parts.hpp"

namespace hybrid {

void check_divides(std::uint64_t part, std::uint64_t whole, const char* pointer) {
  if (part == 0 || whole % part != 0)
    throw Error(PLIMSOLL_E_CONFIG, pointer, "is " + std::to_string(part) + "; a divisor of " + std::to_string(whole) + " was expected");
}

void check_experts(std::uint64_t n, const char* pointer) {
  if (n > 65536) throw Error(PLIMSOLL_E_CONFIG, pointer, "is " + std::to_string(n) + "; at most 65536 experts were expected");
}

Attention read_attention(const Config& config, std::uint64_t hidden) {
  Attention a{};
  a.hidden = hidden;
  a.heads = config.positive("/num_attention_heads");
  a.kv_heads = config.has("/num_key_value_heads") ? config.positive("/num_key_value_heads") : a.heads;
  check_divides(a.kv_heads, a.heads, "/num_key_value_heads");
  const auto head = config.find_u64_of({"/head_dim", "/attention_head_dim"});
  if (!head) check_divides(a.heads, hidden, "/num_attention_heads");
  a.head_elements = head ? config.positive_of({"/head_dim", "/attention_head_dim"}) : hidden / a.heads;
  return a;
}

void add_attention(const Place& p, const Attention& a) {
  const Bytes in = a.input == 0 ? a.hidden : a.input, d = a.head_elements;
  const Bytes q = Bytes(a.heads) * d, kv = Bytes(a.kv_heads) * d;
  p.add(p.linear("q_proj", a.gated ? Bytes(2) * q : q, in).heads(0, a.heads), a.bias);
  p.add(p.linear("k_proj", kv, in).heads(0, a.kv_heads, true), a.bias);
  p.add(p.linear("v_proj", kv, in).heads(0, a.kv_heads, true), a.bias);
  p.add(p.linear(a.out, a.hidden, q).heads(1, a.heads), a.out_bias);
  if (a.q_norm != nullptr) p.add(p.norm(a.q_norm, d));
  if (a.k_norm != nullptr) p.add(p.norm(a.k_norm, d));
}

void add_attention_cache(Model& model, const Attention& a, const List& layers, bool draft) {
  model.caches.push_back([a, layers, draft](const Sink& out) {
    if (!out.asks(PLIMSOLL_ASPECT_ATTENTION)) return;
    KvGroup group(a.window == 0 ? PLIMSOLL_KV_FULL : PLIMSOLL_KV_WINDOW,
                  draft           ? "draft.attention"
                  : a.window == 0 ? "attention"
                                  : "attention.window",
                  *layers);
    group.heads(a.kv_heads, a.heads, a.head_elements, a.head_elements);
    if (a.window != 0) group.window(a.window);
    if (draft) group.role(PLIMSOLL_ROLE_DRAFT);
    out.kv(group);
  });
}

void add_norm(const Place& p, std::string_view name, std::uint64_t width) { p.add(p.norm(name, width)); }

void add_gated(const Place& p, std::uint64_t hidden, std::uint64_t width, const Gated& names, bool bias) {
  if (names.gate != nullptr) p.add(p.linear(names.gate, width, hidden).split(0), bias);
  p.add(p.linear(names.up, width, hidden).split(0), bias);
  p.add(p.linear(names.down, hidden, width).split(1), bias);
}

void add_gated_experts(const Place& p, std::uint64_t hidden, std::uint64_t width, std::uint64_t experts, const Gated& names) {
  const std::string each = "{expert}.";
  if (names.gate != nullptr) p.add(p.linear(each + names.gate, width, hidden).experts(experts, 0));
  p.add(p.linear(each + names.up, width, hidden).experts(experts, 0));
  p.add(p.linear(each + names.down, hidden, width).experts(experts, 1));
}

void add_ends(Model& model, const Ends& ends) {
  const Bytes v = model.facts.vocab_tokens, h = model.hidden;
  model.weights.push_back([=](const Sink& out) {
    out.weight(Weight(PLIMSOLL_ASPECT_EMBED, "embedding", ends.embedding, {v, h}).vocab());
    out.weight(Weight(PLIMSOLL_ASPECT_HEAD, "head.norm", ends.norm, {h}).stage(PLIMSOLL_STAGE_LAST));
    Weight head = Weight(PLIMSOLL_ASPECT_HEAD, "head", "lm_head.weight", {v, h}).linear().vocab().stage(PLIMSOLL_STAGE_LAST);
    if (ends.tied) head.role(PLIMSOLL_ROLE_TIED);
    out.weight(head);
  });
}

void read_common(const Config& config, Model& model, std::uint32_t layers) {
  model.layers = layers;
  model.hidden = config.positive_of({"/hidden_size", "/d_model"});
  model.facts.n_layers = layers;
  model.facts.hidden_elements = model.hidden;
  model.facts.vocab_tokens = config.positive("/vocab_size");
  model.facts.max_length = config.find_u64_of({"/max_position_embeddings", "/model_max_length"}).value_or(0);
  model.facts.query_heads = config.u64("/num_attention_heads", 0);
  model.facts.kv_heads = config.u64("/num_key_value_heads", model.facts.query_heads);
}

} // namespace hybrid
