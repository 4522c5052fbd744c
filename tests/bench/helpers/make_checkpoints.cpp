// Writes the models that start_bench reads into FOLDER: deepseek (163 shards, 91,991 tensors, holes for weights), million (the
// same with 663 layers: a million tensors in 1,700 shards), llama (four shards), llama.gguf with a vocabulary of 128,256, and prints the
// length of the GGUF header. CATALOGUE gives the configurations.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string_view>

#include "support/sparse_checkpoint.hpp"

namespace {

using plimsoll::test::GgufWriter;
using plimsoll::test::SparseTensor;
using Shape = std::vector<std::uint64_t>;

constexpr std::uint64_t kBlock = 128; // rows and columns that share a scale

struct Tensors {
  std::vector<SparseTensor> list;
  void plain(const std::string& name, const Shape& shape, const char* dtype = "BF16") { list.push_back({name, dtype, shape}); }
  void scaled(const std::string& name, std::uint64_t rows, std::uint64_t columns) {
    plain(name + ".weight", {rows, columns}, "F8_E4M3");
    plain(name + ".weight_scale_inv", {(rows + kBlock - 1) / kBlock, (columns + kBlock - 1) / kBlock}, "F32");
  }
  void gated(const std::string& name, std::uint64_t hidden, std::uint64_t width) {
    scaled(name + ".gate_proj", width, hidden), scaled(name + ".up_proj", width, hidden), scaled(name + ".down_proj", hidden, width);
  }
};

std::vector<SparseTensor> deepseek_v3(unsigned layers) {
  Tensors t;
  t.plain("model.embed_tokens.weight", {129280, 7168});
  for (unsigned layer = 0; layer <= layers; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer);
    t.plain(at + ".input_layernorm.weight", {7168}), t.plain(at + ".post_attention_layernorm.weight", {7168});
    t.scaled(at + ".self_attn.q_a_proj", 1536, 7168), t.plain(at + ".self_attn.q_a_layernorm.weight", {1536});
    t.scaled(at + ".self_attn.q_b_proj", 24576, 1536), t.scaled(at + ".self_attn.kv_a_proj_with_mqa", 576, 7168);
    t.plain(at + ".self_attn.kv_a_layernorm.weight", {512}), t.scaled(at + ".self_attn.kv_b_proj", 32768, 512);
    t.scaled(at + ".self_attn.o_proj", 7168, 16384);
    if (layer < 3) {
      t.gated(at + ".mlp", 7168, 18432);
      continue;
    }
    for (unsigned expert = 0; expert < 256; ++expert) t.gated(at + ".mlp.experts." + std::to_string(expert), 7168, 2048);
    t.gated(at + ".mlp.shared_experts", 7168, 2048);
    t.plain(at + ".mlp.gate.weight", {256, 7168}), t.plain(at + ".mlp.gate.e_score_correction_bias", {256}, "F32");
    if (layer < layers) continue;
    t.plain(at + ".embed_tokens.weight", {129280, 7168}), t.plain(at + ".enorm.weight", {7168}), t.plain(at + ".hnorm.weight", {7168});
    t.plain(at + ".eh_proj.weight", {7168, 14336});
    t.plain(at + ".shared_head.norm.weight", {7168}), t.plain(at + ".shared_head.head.weight", {129280, 7168});
  }
  t.plain("model.norm.weight", {7168}), t.plain("lm_head.weight", {129280, 7168});
  return t.list;
}

std::vector<SparseTensor> llama_8b() {
  Tensors t;
  t.plain("model.embed_tokens.weight", {128256, 4096});
  for (unsigned layer = 0; layer < 32; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer);
    t.plain(at + ".input_layernorm.weight", {4096}), t.plain(at + ".post_attention_layernorm.weight", {4096});
    t.plain(at + ".self_attn.q_proj.weight", {4096, 4096}), t.plain(at + ".self_attn.k_proj.weight", {1024, 4096});
    t.plain(at + ".self_attn.v_proj.weight", {1024, 4096}), t.plain(at + ".self_attn.o_proj.weight", {4096, 4096});
    t.plain(at + ".mlp.gate_proj.weight", {14336, 4096}), t.plain(at + ".mlp.up_proj.weight", {14336, 4096});
    t.plain(at + ".mlp.down_proj.weight", {4096, 14336});
  }
  t.plain("model.norm.weight", {4096}), t.plain("lm_head.weight", {128256, 4096});
  return t.list;
}

GgufWriter llama_gguf() {
  GgufWriter w;
  w.text("general.architecture", "llama").text("general.name", "Llama 3.1 8B").u32("llama.block_count", 32);
  w.u32("llama.context_length", 131072).u32("llama.embedding_length", 4096).u32("llama.feed_forward_length", 14336);
  w.u32("llama.attention.head_count", 32).u32("llama.attention.head_count_kv", 8).u32("llama.vocab_size", 128256);
  w.f32("llama.rope.freq_base", 500000.0F).f32("llama.attention.layer_norm_rms_epsilon", 1e-5F).u32("general.file_type", 1);
  std::vector<std::string> tokens, merges;
  for (unsigned i = 0; i < 128256; ++i) tokens.push_back("tok" + std::to_string(i));
  for (unsigned i = 0; i < 280147; ++i) merges.push_back("to k" + std::to_string(i));
  w.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", tokens);
  w.u32s("tokenizer.ggml.token_type", std::vector<std::uint32_t>(tokens.size(), 1)).texts("tokenizer.ggml.merges", merges);
  const auto half = [&](const std::string& name, std::uint64_t columns, std::uint64_t rows) {
    w.tensor(name + ".weight", 1, {columns, rows}, columns * rows * 2);
  };
  const auto norm = [&](const std::string& name) { w.tensor(name + ".weight", 0, {4096}, std::uint64_t{4096} * 4); };
  half("token_embd", 4096, 128256);
  for (unsigned layer = 0; layer < 32; ++layer) {
    const std::string at = "blk." + std::to_string(layer) + ".";
    norm(at + "attn_norm"), norm(at + "ffn_norm");
    half(at + "attn_q", 4096, 4096), half(at + "attn_k", 4096, 1024), half(at + "attn_v", 4096, 1024), half(at + "attn_output", 4096, 4096);
    half(at + "ffn_gate", 4096, 14336), half(at + "ffn_up", 4096, 14336), half(at + "ffn_down", 14336, 4096);
  }
  norm("output_norm"), half("output", 4096, 128256);
  w.tensor("rope_freqs.weight", 0, {64}, 256);
  return w;
}

void write_model(const std::filesystem::path& folder, const std::filesystem::path& config, const std::vector<SparseTensor>& tensors,
                 std::size_t shards) {
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(config, folder / "config.json", std::filesystem::copy_options::overwrite_existing);
  std::vector<std::vector<SparseTensor>> parts(shards);
  for (std::size_t i = 0; i < tensors.size(); ++i) parts[i * shards / tensors.size()].push_back(tensors[i]);
  plimsoll::test::write_sharded(folder.string(), parts);
}

} // namespace

int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  const std::filesystem::path folder = argv[1], models = std::filesystem::path(argv[2]) / "models";
  const std::filesystem::path config = models / "deepseek-ai__DeepSeek-V3.json";
  write_model(folder / "deepseek", config, deepseek_v3(61), 163);
  const std::vector<SparseTensor> million = deepseek_v3(663);
  write_model(folder / "million", config, million, 1700);
  std::stringstream text;
  text << std::ifstream(config).rdbuf();
  std::string deeper = text.str();
  constexpr std::string_view kLayers = "\"num_hidden_layers\": 61";
  deeper.replace(deeper.find(kLayers), kLayers.size(), "\"num_hidden_layers\": 663");
  plimsoll::test::write_text((folder / "million" / "config.json").string(), deeper);
  plimsoll::test::write_text((folder / "million.tensors").string(), std::to_string(million.size()));
  write_model(folder / "llama", models / "meta-llama__Llama-3.1-8B.json", llama_8b(), 4);
  const GgufWriter gguf = llama_gguf();
  gguf.write((folder / "llama.gguf").string());
  std::cout << gguf.start().size() << "\n";
} catch (const std::exception& e) {
  std::cerr << e.what() << "\n";
  return 1;
}
