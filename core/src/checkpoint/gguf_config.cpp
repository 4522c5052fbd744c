#include "checkpoint/gguf_config.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>
#include <utility>

#include "checkpoint/gguf_names.hpp"
#include "checkpoint/quoted_name.hpp"

namespace plimsoll {
namespace {

class Mapping {
public:
  Mapping(const GgufMetadata& metadata, const GgufTensorFacts& facts, std::string_view name, const GgufArchitecture& architecture)
      : metadata_(metadata), facts_(facts), name_(name), architecture_(architecture), values_(metadata, name, &facts.stored) {}

  Result<Json> run(const std::string& path) {
    PLIMSOLL_TRY(check_needs(path));
    basics();
    attention();
    rope();
    config_["tie_word_embeddings"] = !facts_.has_output;
    if (facts_.attention_bias) config_["attention_bias"] = true;
    if (facts_.ffn_bias) config_["mlp_bias"] = true;
    for (const GgufKeySet& set : architecture_.keys) apply_gguf_keys(set, values_, config_);
    config_["architectures"] = Json::array({architecture_.class_name});
    config_["model_type"] = architecture_.model_type;
    config_["quantization_config"] = {{"quant_method", "gguf"}};
    for (const std::string_view needed : {"num_hidden_layers", "hidden_size"})
      if (!config_.contains(needed))
        return fail(ErrorCode::kBadConfig,
                    fmt::format("the file does not say {} ('{}.{}'); it holds no whole model", needed, name_,
                                needed == "hidden_size" ? "embedding_length" : "block_count"),
                    path);
    return std::move(config_);
  }

private:
  // What no class default may stand for.
  Result<void> check_needs(const std::string& path) const {
    for (const std::string& key : architecture_.needs) {
      const Json* const found = value(key);
      const bool list = found != nullptr && found->is_array();
      if (list ? std::any_of(found->begin(), found->end(), gguf_positive) : found != nullptr && gguf_positive(*found)) continue;
      const std::string what = found == nullptr ? "nothing" : list ? "a list without any" : quoted_name(found->dump());
      return fail(ErrorCode::kBadConfig, fmt::format("a number above 0 was expected, found {}", what),
                  fmt::format("{}: '{}.{}'", path, name_, key));
    }
    return {};
  }
  const Json* value(std::string_view key) const { return values_.find(key); }
  std::optional<std::uint64_t> number(std::string_view key) const { return values_.number(key); }
  void set(const char* key, std::optional<std::uint64_t> number) {
    if (number) config_[key] = *number;
  }
  // A copy first: an ordered object moves its members when it grows.
  void copy(const char* from, const char* to) {
    if (!config_.contains(from)) return;
    Json value = config_[from];
    config_[to] = std::move(value);
  }

  void basics() {
    auto hidden = number("embedding_length");
    if (!hidden) hidden = facts_.embedding_columns;
    set("hidden_size", hidden);
    copy_gguf_number(values_, "feed_forward_length", "intermediate_size", config_);
    if (auto layers = number("block_count")) {
      // ggml counts the multi-token-prediction layers in, transformers does not.
      const std::uint64_t extra = number("nextn_predict_layers").value_or(0);
      config_["num_hidden_layers"] = *layers > extra ? *layers - extra : *layers;
    }
    copy_gguf_number(values_, "attention.head_count", "num_attention_heads", config_);
    copy_gguf_number(values_, "attention.head_count_kv", "num_key_value_heads", config_);
    if (!config_.contains("num_key_value_heads")) {
      copy("num_attention_heads", "num_key_value_heads");
      copy("num_attention_heads_per_layer", "num_key_value_heads_per_layer");
    }
    auto vocabulary = facts_.embedding_rows;
    if (!vocabulary) vocabulary = number("vocab_size");
    if (const auto tokens = metadata_.array_counts.find("tokenizer.ggml.tokens"); !vocabulary && tokens != metadata_.array_counts.end())
      vocabulary = tokens->second;
    set("vocab_size", vocabulary);
  }

  void attention() {
    const auto absent = default_width();
    const auto key_width = number("attention.key_length") ? number("attention.key_length") : absent;
    const auto value_width = number("attention.value_length") ? number("attention.value_length") : absent;
    if (!number("attention.kv_lora_rank")) {
      set("head_dim", key_width);
      if (value_width && key_width && *value_width != *key_width) config_["v_head_dim"] = *value_width;
      return;
    }
    // MLA. Newer files give the widths of the absorbed form in key_length and those of a head in key_length_mla.
    const auto head_key = number("attention.key_length_mla") ? number("attention.key_length_mla") : key_width;
    const auto head_value = number("attention.value_length_mla") ? number("attention.value_length_mla") : value_width;
    const auto rope_width = number("rope.dimension_count");
    set("qk_rope_head_dim", rope_width);
    if (head_key && rope_width && *head_key >= *rope_width) config_["qk_nope_head_dim"] = *head_key - *rope_width;
    set("v_head_dim", head_value);
    config_["q_lora_rank"] = nullptr; // where the file has a rank, the usual keys put it here
    // The absorbed form has one latent head; transformers counts the heads it serves.
    if (number("attention.key_length_mla")) copy("num_attention_heads", "num_key_value_heads");
  }

  // What a head is wide where the file does not say: the loader's default, whatever the class's is.
  std::optional<std::uint64_t> default_width() const {
    const Json* hidden = find_pointer(config_, "/hidden_size");
    const std::uint64_t width = hidden == nullptr ? 0 : gguf_number(*hidden).value_or(0);
    std::optional<std::uint64_t> heads = number("attention.head_count");
    for (const std::uint64_t of_layer : values_.per_layer("attention.head_count"))
      if (of_layer != 0 && !heads) heads = of_layer;
    if (heads.value_or(0) == 0 || width < *heads) return std::nullopt;
    return width / *heads;
  }

  void rope() {
    const Json* kind = value("rope.scaling.type");
    if (kind == nullptr || !kind->is_string() || *kind == "none") return;
    Json scaling = {{"rope_type", *kind}};
    if (const Json* factor = value("rope.scaling.factor")) scaling["factor"] = *factor;
    if (const Json* original = value("rope.scaling.original_context_length")) scaling["original_max_position_embeddings"] = *original;
    config_["rope_scaling"] = std::move(scaling);
  }

  const GgufMetadata& metadata_;
  const GgufTensorFacts& facts_;
  std::string_view name_;
  const GgufArchitecture& architecture_;
  GgufValues values_;
  Json config_ = Json::object();
};

} // namespace

namespace {

void note_layer(std::string_view name, StoredLayers& stored) {
  StoredKey key = stored_key(name);
  std::vector<std::uint32_t>& layers = stored[std::move(key.key)];
  if (!key.layer || *key.layer >= kMostGgufLayers) return;
  const auto at = std::lower_bound(layers.begin(), layers.end(), *key.layer);
  if (at == layers.end() || *at != *key.layer) layers.insert(at, *key.layer);
}

} // namespace

GgufTensorFacts tensor_facts(const GgufHeader& header, GgufTensorFacts so_far) {
  for (const GgufTensor& tensor : header.tensors) {
    const std::string_view name = header.name(tensor);
    note_layer(name, so_far.stored);
    if (name == "output.weight") so_far.has_output = true;
    if (name.ends_with(".bias") && !name.ends_with("_norm.bias")) {
      so_far.attention_bias = so_far.attention_bias || name.find(".attn_") != std::string_view::npos;
      so_far.ffn_bias = so_far.ffn_bias || name.find(".ffn_") != std::string_view::npos;
    }
    if (name == "token_embd.weight" && tensor.rank == 2) {
      so_far.embedding_columns = tensor.dims[0];
      so_far.embedding_rows = tensor.dims[1];
    }
  }
  return so_far;
}

GgufSources gguf_sources(std::string_view architecture_name, const GgufArchitecture& architecture) {
  GgufSources out;
  for (const GgufKeySet& set : architecture.keys)
    for (const GgufKey& key : set) {
      std::vector<std::string>& sources = out[key.name];
      sources.clear(); // later sets win
      for (const GgufRule& rule : key.rules)
        for (const std::string& source : rule.sources)
          if (source.front() != '/' && rule.kind != GgufRule::Kind::kStored && rule.kind != GgufRule::Kind::kLayersStoring)
            sources.push_back(fmt::format("'{}.{}'", architecture_name, source));
    }
  return out;
}

Result<Json> gguf_config(const GgufMetadata& metadata, const GgufTensorFacts& facts, const GgufArchitecture& architecture,
                         const std::string& path) {
  PLIMSOLL_ASSIGN(const std::string name, gguf_architecture_name(metadata, path));
  return Mapping(metadata, facts, name, architecture).run(path);
}

} // namespace plimsoll
