// Small checkpoints written down tensor by tensor, from the formats' descriptions and not from what the planners declare, and
// what the library says of them. Used by the tests of this folder. One thread.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/host.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::testing {

using test::SparseTensor;
using Tensors = std::vector<SparseTensor>;

// One linear layer as a format stores it; `name` without ".weight".
using Linear = std::function<Tensors(const std::string& name, std::uint64_t out, std::uint64_t in)>;

inline Tensors plain(const std::string& name, std::uint64_t out, std::uint64_t in) { return {{name + ".weight", "BF16", {out, in}}}; }

inline void append(Tensors& to, const Tensors& more) { to.insert(to.end(), more.begin(), more.end()); }

// Llama: 2 layers of width 256, 4 heads of 64, 2 of them for keys and values, FFN of 512, 100 words.
inline Json llama_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"torch_dtype", "bfloat16"},
          {"hidden_size", 256},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"intermediate_size", 512},
          {"vocab_size", 100},
          {"max_position_embeddings", 4096},
          {"tie_word_embeddings", false}};
}

inline Tensors llama(const Linear& linear = plain, const std::string& type = "BF16") {
  Tensors out{{"model.embed_tokens.weight", type, {100, 256}}, {"model.norm.weight", type, {256}}, {"lm_head.weight", type, {100, 256}}};
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    const std::string at = layer;
    append(out, linear(at + "self_attn.q_proj", 256, 256));
    append(out, linear(at + "self_attn.k_proj", 128, 256));
    append(out, linear(at + "self_attn.v_proj", 128, 256));
    append(out, linear(at + "self_attn.o_proj", 256, 256));
    append(out, linear(at + "mlp.gate_proj", 512, 256));
    append(out, linear(at + "mlp.up_proj", 512, 256));
    append(out, linear(at + "mlp.down_proj", 256, 512));
    append(out, {{at + "input_layernorm.weight", type, {256}}, {at + "post_attention_layernorm.weight", type, {256}}});
  }
  return out;
}

// Qwen3 with experts: 2 layers of width 64, 4 heads of 16, 2 for keys and values, 4 experts of 32.
inline Json moe_config() {
  return {{"architectures", {"Qwen3MoeForCausalLM"}},
          {"model_type", "qwen3_moe"},
          {"torch_dtype", "bfloat16"},
          {"hidden_size", 64},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 16},
          {"intermediate_size", 128},
          {"moe_intermediate_size", 32},
          {"num_experts", 4},
          {"num_experts_per_tok", 2},
          {"decoder_sparse_step", 1},
          {"mlp_only_layers", Json::array()},
          {"vocab_size", 128},
          {"max_position_embeddings", 4096},
          {"tie_word_embeddings", false}};
}

// How the experts of a layer are laid out: each alone, the three projections stacked, or gate and up fused as well.
enum class Experts { kApart, kStacked, kFused };

inline Tensors moe(Experts experts = Experts::kApart) {
  Tensors out{{"model.embed_tokens.weight", "BF16", {128, 64}}, {"model.norm.weight", "BF16", {64}}, {"lm_head.weight", "BF16", {128, 64}}};
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    const std::string at = layer, mlp = at + "mlp.experts.";
    for (const auto& [name, rows] : {std::pair<const char*, std::uint64_t>{"q", 64}, {"k", 32}, {"v", 32}, {"o", 64}})
      append(out, plain(at + "self_attn." + name + "_proj", rows, 64));
    append(out, {{at + "self_attn.q_norm.weight", "BF16", {16}},
                 {at + "self_attn.k_norm.weight", "BF16", {16}},
                 {at + "input_layernorm.weight", "BF16", {64}},
                 {at + "post_attention_layernorm.weight", "BF16", {64}},
                 {at + "mlp.gate.weight", "BF16", {4, 64}}});
    if (experts == Experts::kApart)
      for (const char* e : {"0.", "1.", "2.", "3."}) {
        append(out, plain(mlp + e + "gate_proj", 32, 64));
        append(out, plain(mlp + e + "up_proj", 32, 64));
        append(out, plain(mlp + e + "down_proj", 64, 32));
      }
    else append(out, {{mlp + "down_proj", "BF16", {4, 64, 32}}});
    if (experts == Experts::kStacked) append(out, {{mlp + "gate_proj", "BF16", {4, 32, 64}}, {mlp + "up_proj", "BF16", {4, 32, 64}}});
    if (experts == Experts::kFused) append(out, {{mlp + "gate_up_proj", "BF16", {4, 64, 64}}});
  }
  return out;
}

inline std::uint64_t bytes_of(const Tensors& tensors) {
  std::uint64_t sum = 0;
  for (const SparseTensor& tensor : tensors) sum += test::sparse_tensor_bytes(tensor);
  return sum;
}

inline SparseTensor& find(Tensors& tensors, const std::string& name) {
  const auto it = std::find_if(tensors.begin(), tensors.end(), [&](const SparseTensor& t) { return t.name == name; });
  if (it == tensors.end()) throw std::runtime_error("no tensor " + name);
  return *it;
}

inline void drop(Tensors& tensors, const std::string& part) {
  std::erase_if(tensors, [&](const SparseTensor& t) { return t.name.find(part) != std::string::npos; });
}

// A directory with a config.json and, unless there are no tensors, two shards with an index.
class Directory {
public:
  Directory(const Json& config, const Tensors& tensors) {
    test::write_text(directory_ / "config.json", config.dump());
    if (tensors.empty()) return;
    const auto half = tensors.begin() + static_cast<std::ptrdiff_t>(tensors.size() / 2);
    test::write_sharded(directory_.path(), {{tensors.begin(), half}, {half, tensors.end()}});
  }
  std::string path() const { return directory_.path(); }
  std::string operator/(std::string_view name) const { return directory_ / name; }

private:
  test::TemporaryDirectory directory_;
};

inline Model loaded(const std::string& path) {
  auto model = test::built_context().load(path);
  if (!model) throw std::runtime_error(model.error().where + ": " + model.error().message);
  return *model;
}

inline WeightsReport report_of(const std::string& path, const PlanRequest& request = {}) {
  auto report = test::built_context().weights(loaded(path), request);
  if (!report) throw std::runtime_error(report.error().where + ": " + report.error().message);
  return *report;
}

inline WeightsReport report_of(const Json& config, const Tensors& tensors, const PlanRequest& request = {}) {
  return report_of(Directory(config, tensors).path(), request);
}

inline std::vector<std::string> names_of(const std::vector<TensorBytes>& tensors) {
  std::vector<std::string> names;
  for (const TensorBytes& tensor : tensors) names.push_back(tensor.name);
  return names;
}
inline std::vector<std::string> names_of(const std::vector<Mismatch>& tensors) {
  std::vector<std::string> names;
  for (const Mismatch& tensor : tensors) names.push_back(tensor.name);
  return names;
}

// Nothing missing, extra or different, and as many bytes declared as stored.
inline void expect_clean(const WeightsReport& report, const Tensors& tensors) {
  EXPECT_EQ(report.stored_bytes, bytes_of(tensors));
  EXPECT_EQ(report.declared_bytes, bytes_of(tensors));
  EXPECT_EQ(names_of(report.unclaimed), std::vector<std::string>());
  EXPECT_EQ(report.missing, std::vector<std::string>());
  for (const Mismatch& m : report.mismatched) ADD_FAILURE() << m.name << " declared " << m.declared << ", stored " << m.stored;
}

} // namespace plimsoll::testing
