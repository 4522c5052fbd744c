// See gguf_mix.hpp. Source: llama.cpp's quantisation code (llama-quantize), without an importance matrix where it changes a mix (it makes
// files smaller); the sizes that its quantize README lists for Llama-3.1-8B come out to the last digit.
#include "storage/gguf_mix.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "storage/exporters.hpp"

namespace plimsoll {

// The first rule that holds decides.
struct GgufMix {
  // Where in the model a rule holds.
  enum class Place : std::uint8_t {
    kAnywhere,
    kGrouped,     // four query heads or more share a KV head
    kSomeExperts, // that, or four experts or more
    kFirstTwo,    // value tensors, counted
    kFirstFour,
    kSixteenth, // of the layers
    kEighth,
    kMiddle,       // neither the first eighth nor the last
    kMoreBits,     // the first and the last eighth, and every third layer between
    kEightExperts, // of a layer, exactly
    kEightMoreBits // both
  };
  struct Rule {
    std::uint16_t roles; // bits of Role
    Place place;
    std::string_view type;
  };

  std::string_view name, base, output, embedding;
  std::vector<Rule> rules;
};

namespace {

// What a tensor is for, a bit each.
enum Role : std::uint16_t {
  kOther = 0,
  kEmbedding = 1,
  kOutput = 2,
  kQuery = 4,
  kKey = 8,
  kValue = 16,
  kAttentionOutput = 32,
  kUp = 64,
  kGate = 128,
  kDown = 256,
};

using Place = GgufMix::Place;
using Rules = std::vector<GgufMix::Rule>;

// What files of eight experts have: they are large, and keys and values small beside them.
Rules with_eight_experts(Rules rules, bool output_too) {
  rules.insert(rules.begin(), {kKey | kValue, Place::kEightExperts, "q8_0"});
  if (output_too) rules.insert(rules.begin(), {kAttentionOutput, Place::kEightExperts, "q5_k"});
  return rules;
}

// Two bits and less: `first` in the first eighth, `values` where nothing shares them.
Rules two_bits(std::string_view first, std::string_view values, std::string_view attention_output) {
  Rules out{{kValue, Place::kSomeExperts, "q4_k"},
            {kValue, Place::kAnywhere, values},
            {kKey, Place::kEightExperts, "q4_k"},
            {kDown, Place::kEighth, first},
            {kAttentionOutput, Place::kEightExperts, "q5_k"}};
  if (!attention_output.empty()) out.push_back({kAttentionOutput, Place::kAnywhere, attention_output});
  return out;
}

const std::vector<GgufMix>& mixes() {
  constexpr Place any = Place::kAnywhere;
  static const std::vector<GgufMix> kMixes{
      {"q2_k", "q2_k", "q6_k", "",
       with_eight_experts({{kValue, Place::kGrouped, "q4_k"}, {kValue | kDown | kAttentionOutput, any, "q3_k"}}, true)},
      {"q2_k_s", "q2_k", "q6_k", "", with_eight_experts({{kValue, Place::kGrouped, "q4_k"}, {kDown, Place::kEighth, "q4_k"}}, false)},
      {"q3_k_s", "q3_k", "q6_k", "", with_eight_experts({}, true)},
      {"q3_k_m", "q3_k", "q6_k", "",
       with_eight_experts(
           {{kValue, Place::kFirstTwo, "q5_k"}, {kDown, Place::kSixteenth, "q5_k"}, {kValue | kDown | kAttentionOutput, any, "q4_k"}},
           true)},
      {"q3_k_l", "q3_k", "q6_k", "", with_eight_experts({{kValue | kDown | kAttentionOutput, any, "q5_k"}}, false)},
      {"q4_0", "q4_0", "q6_k", "", with_eight_experts({}, false)},
      {"q4_1", "q4_1", "q6_k", "", with_eight_experts({}, false)},
      {"q4_k_s", "q4_k", "q6_k", "", with_eight_experts({{kValue, Place::kFirstFour, "q5_k"}, {kDown, Place::kEighth, "q5_k"}}, true)},
      {"q4_k_m", "q4_k", "q6_k", "", with_eight_experts({{kValue | kDown, Place::kMoreBits, "q6_k"}}, true)},
      {"q5_0", "q5_0", "q6_k", "", with_eight_experts({}, false)},
      {"q5_1", "q5_1", "q6_k", "", with_eight_experts({}, false)},
      {"q5_k_s", "q5_k", "q6_k", "", with_eight_experts({}, false)},
      {"q5_k_m", "q5_k", "q6_k", "", with_eight_experts({{kValue | kDown, Place::kMoreBits, "q6_k"}}, false)},
      {"q6_k", "q6_k", "q6_k", "", with_eight_experts({}, false)},
      {"q8_0", "q8_0", "q8_0", "", {}},
      {"iq4_nl", "iq4_nl", "q6_k", "", with_eight_experts({{kValue, Place::kGrouped, "q5_k"}, {kDown, Place::kEighth, "q5_k"}}, true)},
      {"iq4_xs", "iq4_xs", "q6_k", "", with_eight_experts({{kValue, Place::kGrouped, "q5_k"}, {kDown, Place::kEighth, "q5_k"}}, true)},
      {"iq3_s", "iq3_s", "q6_k", "", with_eight_experts({{kValue, Place::kGrouped, "q4_k"}}, true)},
      {"iq3_m", "iq3_s", "q6_k", "",
       with_eight_experts(
           {{kDown, Place::kEighth, "q4_k"}, {kDown, Place::kEightMoreBits, "q4_k"}, {kValue | kAttentionOutput, any, "q4_k"}}, true)},
      {"iq3_xs", "iq3_s", "q6_k", "",
       with_eight_experts({{kValue, Place::kGrouped, "q4_k"}, {kQuery | kKey, any, "iq3_xxs"}, {kUp | kGate, Place::kMiddle, "iq3_xxs"}},
                          true)},
      {"iq3_xxs", "iq3_xxs", "q5_k", "iq3_s",
       with_eight_experts({{kValue, Place::kGrouped, "q4_k"}, {kQuery | kKey, any, "iq2_s"}, {kAttentionOutput, any, "iq3_s"}}, true)},
      {"iq2_m", "iq2_s", "q5_k", "iq3_s", two_bits("iq3_s", "iq3_s", "iq3_s")},
      {"iq2_s", "iq2_xs", "q5_k", "iq3_s", two_bits("iq3_s", "iq3_s", "iq3_s")},
      {"iq2_xs", "iq2_xs", "q5_k", "q2_k", two_bits("q2_k", "q2_k", "")},
      {"iq2_xxs", "iq2_xxs", "q5_k", "q2_k", two_bits("q2_k", "q2_k", "")},
      {"iq1_m", "iq1_m", "q5_k", "q2_k", two_bits("q2_k", "q2_k", "iq2_xxs")},
      {"iq1_s", "iq1_s", "q5_k", "q2_k", two_bits("q2_k", "q2_k", "iq2_xxs")},
      {"mxfp4_moe", "q8_0", "q8_0", "", {}},
      {"bf16", "bfloat16", "bfloat16", "", {}},
      {"f16", "float16", "float16", "", {}},
  };
  return kMixes;
}

Dtype type_named(std::string_view name) { return find_dtype(name).value_or(Dtype{}); }

double bits_of(const Dtype& type) { return 8.0 * type.block_bytes / std::max(1U, type.block_elements); }

// A type of blocks that divide the row.
Dtype fallback(Dtype type, std::uint64_t columns) {
  const auto fits = [&] { return type.block_elements <= 1 || columns % type.block_elements == 0; };
  if (fits()) return type;
  if (type.name == "q4_k") type = type_named("q5_0");
  else if (type.name == "q5_k") type = type_named("q5_1");
  else if (type.name == "q6_k") type = type_named("q8_0");
  else type = type_named(type.name.starts_with("iq") ? "iq4_nl" : "q4_0");
  return fits() ? type : type_named("float16");
}

bool has(std::string_view name, std::string_view part) { return name.find(part) != std::string_view::npos; }

Role role_of(std::string_view name) {
  if (name == "output.weight") return kOutput;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return kEmbedding;
  if (is_gguf_value(name)) return kValue;
  if (has(name, "attn_k.weight")) return kKey;
  if (has(name, "attn_q.weight")) return kQuery;
  if (has(name, "attn_output.weight")) return kAttentionOutput;
  if (has(name, "ffn_up")) return kUp;
  if (has(name, "ffn_gate")) return kGate;
  return has(name, "ffn_down") ? kDown : kOther;
}

// Small ones, and those that are looked up rather than multiplied with.
bool stays_whole(const MixedTensor& t) {
  constexpr std::array<std::string_view, 12> kParts{"_norm.weight",         "ffn_gate_inp",   "altup",          "laurel",
                                                    "per_layer_model_proj", "position_embd",  "token_types",    "ssm_conv1d",
                                                    "shortconv.conv",       "indexer.k_proj", "indexer.q_proj", "attn_rel_b"};
  return !t.matrix || std::any_of(kParts.begin(), kParts.end(), [&](std::string_view part) { return has(t.name, part); });
}

bool more_bits(std::uint32_t at, std::uint32_t n) { return at < n / 8 || at >= 7 * n / 8 || (at - n / 8) % 3 == 2; }

bool holds(Place place, const MixedModel& m, const MixedTensor& t, bool value) {
  const std::uint32_t at = value ? t.value_index : t.layer, n = value ? m.value_tensors : m.layers;
  switch (place) {
  case Place::kAnywhere: return true;
  case Place::kGrouped: return m.heads_per_kv >= 4;
  case Place::kSomeExperts: return m.heads_per_kv >= 4 || m.experts >= 4;
  case Place::kFirstTwo: return at < 2;
  case Place::kFirstFour: return at < 4;
  case Place::kSixteenth: return at < n / 16;
  case Place::kEighth: return at < n / 8;
  case Place::kMiddle: return at >= n / 8 && at < 7 * n / 8;
  case Place::kMoreBits: return more_bits(at, n);
  case Place::kEightExperts: return m.experts == 8;
  case Place::kEightMoreBits: return m.experts == 8 && more_bits(at, n);
  }
  return true;
}

Dtype most_bits(const GgufMix& mix) {
  Dtype most = type_named(mix.base);
  for (const GgufMix::Rule& rule : mix.rules)
    if (const Dtype type = type_named(rule.type); rule.place != Place::kEightExperts && bits_of(type) > bits_of(most)) most = type;
  return most;
}

std::string_view type_by_rules(const GgufMix& mix, const MixedModel& m, const MixedTensor& t, Role role) {
  for (const GgufMix::Rule& rule : mix.rules)
    if ((rule.roles & role) != 0 && holds(rule.place, m, t, role == kValue)) {
      // Of 80 layers that share values between many heads, which llama.cpp calls 70B, values are small.
      const bool large = role == kValue && m.layers == 80 && m.experts <= 1 && m.heads_per_kv > 1;
      return large && (rule.type == "q3_k" || rule.type == "q4_k") ? "q5_k" : rule.type;
    }
  const bool large = role == kValue && m.layers == 80 && m.experts <= 1 && m.heads_per_kv > 1;
  return large && (mix.base == "q3_k" || mix.base == "q4_k") ? "q5_k" : mix.base;
}

} // namespace

const GgufMix* find_gguf_mix(std::string_view name) {
  const std::string key = method_key(name);
  for (const GgufMix& mix : mixes())
    if (mix.name == key) return &mix;
  return nullptr;
}

std::vector<std::string_view> gguf_mix_names() {
  std::vector<std::string_view> out;
  for (const GgufMix& mix : mixes()) out.push_back(mix.name);
  return out;
}

bool is_gguf_value(std::string_view name) {
  return has(name, "attn_v.weight") || has(name, "attn_qkv.weight") || has(name, "attn_kv_b.weight");
}

Dtype gguf_type(const GgufMix& mix, const MixedModel& model, const MixedTensor& tensor) {
  const Dtype base = type_named(mix.base);
  if (stays_whole(tensor) || !tensor.linear) return type_named("float32");
  if (base.block_elements <= 1) return base;
  if (mix.name == "mxfp4_moe" && tensor.stacked) return fallback(type_named("mxfp4"), tensor.columns);
  if (tensor.name.empty()) return fallback(most_bits(mix), tensor.columns);
  const Role role = role_of(tensor.name);
  if (role == kOutput || (role == kEmbedding && model.tied)) {
    if (tensor.columns % base.block_elements != 0) return fallback(type_named("q8_0"), tensor.columns);
    return fallback(type_named(mix.output), tensor.columns);
  }
  if (role == kEmbedding) return fallback(type_named(mix.embedding.empty() ? mix.base : mix.embedding), tensor.columns);
  const Dtype type = fallback(type_named(type_by_rules(mix, model, tensor, role)), tensor.columns);
  if (!has(tensor.name, "attn_kv_b")) return type;
  // Files keep its two halves; rows of the keys' are short.
  const Dtype halves = fallback(base, 32);
  return bits_of(halves) > bits_of(type) ? halves : type;
}

} // namespace plimsoll
