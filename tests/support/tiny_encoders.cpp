#include "support/tiny_encoders.hpp"

#include <array>
#include <cmath>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

#include "support/sparse_checkpoint.hpp"
#include "support/tiny_random.hpp"

namespace plimsoll::test {
namespace {

constexpr std::string_view kTinyBert = R"({
  "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": 32, "intermediate_size": 48,
  "layer_norm_eps": 1e-12, "max_position_embeddings": 40, "num_attention_heads": 4, "num_hidden_layers": 2, "pad_token_id": 0,
  "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 64})";
constexpr std::string_view kContriever = R"({
  "architectures": ["Contriever"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": 32, "intermediate_size": 48,
  "layer_norm_eps": 1e-12, "max_position_embeddings": 40, "num_attention_heads": 4, "num_hidden_layers": 2, "pad_token_id": 0,
  "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 64})";
// Positions begin behind the padding token's.
constexpr std::string_view kXlmRoberta = R"({
  "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "hidden_act": "gelu", "hidden_size": 32, "intermediate_size": 48,
  "layer_norm_eps": 1e-05, "max_position_embeddings": 42, "num_attention_heads": 4, "num_hidden_layers": 2, "pad_token_id": 1,
  "position_embedding_type": "absolute", "type_vocab_size": 1, "vocab_size": 64})";
constexpr std::string_view kDistilbert = R"({
  "architectures": ["DistilBertModel"], "model_type": "distilbert", "activation": "gelu", "dim": 32, "hidden_dim": 48,
  "max_position_embeddings": 40, "n_heads": 4, "n_layers": 2, "pad_token_id": 0, "vocab_size": 64})";
// Of four layers the first and the last look at the whole text, the others four tokens to either side.
constexpr std::string_view kModernbert = R"({
  "architectures": ["ModernBertModel"], "model_type": "modernbert", "attention_bias": false, "global_attn_every_n_layers": 3,
  "global_rope_theta": 160000.0, "hidden_activation": "gelu", "hidden_size": 32, "intermediate_size": 48, "local_attention": 8,
  "local_rope_theta": 10000.0, "max_position_embeddings": 40, "mlp_bias": false, "norm_bias": false, "norm_eps": 1e-05,
  "num_attention_heads": 4, "num_hidden_layers": 4, "pad_token_id": 0, "vocab_size": 64})";

struct TinyEncoderEntry {
  std::string_view name, config;
};
constexpr std::array<TinyEncoderEntry, 5> kEncoders{{{"bert", kTinyBert},
                                                     {"contriever", kContriever},
                                                     {"distilbert", kDistilbert},
                                                     {"modernbert", kModernbert},
                                                     {"xlm_roberta", kXlmRoberta}}};

constexpr std::uint64_t kEncoderSeed = 17, kEncoderWidth = 32, kEncoderFfn = 48, kEncoderWords = 64;

class EncoderWeights {
public:
  explicit EncoderWeights(std::string_view name) : name_(name) {}

  std::vector<TinyTensor> tensors() {
    if (name_ == "modernbert") modern();
    else if (name_ == "distilbert") distil();
    else bert();
    return std::move(out_);
  }

private:
  // Norms about 1, biases and embeddings wide enough to matter, matrices of variance 1 / columns; queries twice that, so that attention
  // chooses.
  void add(std::string name, std::vector<std::uint64_t> shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : shape) count *= extent;
    const bool norm = shape.size() == 1 && name.ends_with(".weight"), chooses = name.find("q") != std::string::npos && shape.size() == 2;
    float half_width = 0.25F;
    if (name.find("embeddings") != std::string::npos && shape.size() == 2) half_width = 1;
    else if (shape.size() == 2) half_width = (chooses ? 2.0F : 1.0F) * std::sqrt(3.0F / static_cast<float>(shape[1]));
    std::vector<float> values = norm ? draw_around(kEncoderSeed, name, count, 1, 100) : draw_uniform(kEncoderSeed, name, count, half_width);
    out_.push_back({std::move(name), std::move(shape), std::move(values)});
  }
  void linear(const std::string& name, std::uint64_t rows, std::uint64_t columns) {
    add(name + ".weight", {rows, columns});
    add(name + ".bias", {rows});
  }
  void norm(const std::string& name, bool bias = true) {
    add(name + ".weight", {kEncoderWidth});
    if (bias) add(name + ".bias", {kEncoderWidth});
  }

  void bert() {
    const bool roberta = name_ == "xlm_roberta";
    add("embeddings.word_embeddings.weight", {kEncoderWords, kEncoderWidth});
    add("embeddings.position_embeddings.weight", {roberta ? 42U : 40U, kEncoderWidth});
    add("embeddings.token_type_embeddings.weight", {roberta ? 1U : 2U, kEncoderWidth});
    norm("embeddings.LayerNorm");
    for (int layer = 0; layer < 2; ++layer) {
      const std::string at = "encoder.layer." + std::to_string(layer) + ".";
      for (const char* part : {"query", "key", "value"}) linear(at + "attention.self." + part, kEncoderWidth, kEncoderWidth);
      linear(at + "attention.output.dense", kEncoderWidth, kEncoderWidth);
      norm(at + "attention.output.LayerNorm");
      linear(at + "intermediate.dense", kEncoderFfn, kEncoderWidth);
      linear(at + "output.dense", kEncoderWidth, kEncoderFfn);
      norm(at + "output.LayerNorm");
    }
    if (name_ != "contriever") linear("pooler.dense", kEncoderWidth, kEncoderWidth);
  }
  void distil() {
    add("embeddings.word_embeddings.weight", {kEncoderWords, kEncoderWidth});
    add("embeddings.position_embeddings.weight", {40, kEncoderWidth});
    norm("embeddings.LayerNorm");
    for (int layer = 0; layer < 2; ++layer) {
      const std::string at = "transformer.layer." + std::to_string(layer) + ".";
      for (const char* part : {"q_lin", "k_lin", "v_lin", "out_lin"}) linear(at + "attention." + part, kEncoderWidth, kEncoderWidth);
      norm(at + "sa_layer_norm");
      linear(at + "ffn.lin1", kEncoderFfn, kEncoderWidth);
      linear(at + "ffn.lin2", kEncoderWidth, kEncoderFfn);
      norm(at + "output_layer_norm");
    }
  }
  void modern() {
    add("embeddings.tok_embeddings.weight", {kEncoderWords, kEncoderWidth});
    norm("embeddings.norm", false);
    for (int layer = 0; layer < 4; ++layer) {
      const std::string at = "layers." + std::to_string(layer) + ".";
      if (layer > 0) norm(at + "attn_norm", false);
      add(at + "attn.Wqkv.weight", {3 * kEncoderWidth, kEncoderWidth});
      add(at + "attn.Wo.weight", {kEncoderWidth, kEncoderWidth});
      norm(at + "mlp_norm", false);
      add(at + "mlp.Wi.weight", {2 * kEncoderFfn, kEncoderWidth});
      add(at + "mlp.Wo.weight", {kEncoderWidth, kEncoderFfn});
    }
    norm("final_norm", false);
  }

  std::string_view name_;
  std::vector<TinyTensor> out_;
};

} // namespace

std::vector<std::string> tiny_encoder_names() {
  std::vector<std::string> out;
  for (const TinyEncoderEntry& entry : kEncoders) out.emplace_back(entry.name);
  return out;
}

TinyModel tiny_encoder(std::string_view name) {
  for (const TinyEncoderEntry& entry : kEncoders)
    if (entry.name == name) return {std::string(entry.config), EncoderWeights(name).tensors()};
  throw std::runtime_error("no tiny encoder is named " + std::string(name));
}

void write_sentence_modules(const std::string& folder, const std::string& pooling, const std::vector<std::string>& modules) {
  using nlohmann::json;
  json list = json::array();
  const auto add = [&](const std::string& name, const std::string& path) {
    list.push_back(
        {{"idx", list.size()}, {"name", std::to_string(list.size())}, {"path", path}, {"type", "sentence_transformers.models." + name}});
  };
  add("Transformer", "");
  add("Pooling", "1_Pooling");
  for (const std::string& name : modules) add(name, std::to_string(list.size()) + "_" + name);
  write_text(folder + "/modules.json", list.dump(2));
  json config = {{"word_embedding_dimension", kEncoderWidth}};
  for (const char* mode : {"pooling_mode_cls_token", "pooling_mode_mean_tokens", "pooling_mode_max_tokens", "pooling_mode_lasttoken"})
    config[mode] = mode == pooling;
  write_text(folder + "/1_Pooling/config.json", config.dump(2));
}

} // namespace plimsoll::test
