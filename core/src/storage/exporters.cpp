// See exporters.hpp. Sources: the presets of the exporters as their files in public repositories have them (llm-compressor FP8_DYNAMIC,
// W8A8, W4A16; ModelOpt FP8 and NVFP4; AutoAWQ 4 bits in groups of 128; GPTQModel; Quark MXFP4; transformers' fine-grained fp8;
// bitsandbytes; MLX).
#include "storage/exporters.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace plimsoll {
namespace {

constexpr std::array kExporters{
    Exporter{"fp8", "fp8_dynamic w8a8_fp8", "llm-compressor",
             R"({"quant_method": "compressed-tensors", "version": "0.9", "format": "float-quantized", "ignore": ["lm_head"],
                 "config_groups": {"group_0": {"targets": ["Linear"],
                   "weights": {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": true},
                   "input_activations": {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": true}}}})"},
    Exporter{"fp8_block", "", "transformers (fine-grained fp8)",
             R"({"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]})"},
    Exporter{"fp8_static", "fp8_tensor", "ModelOpt",
             R"({"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": ["lm_head"]})"},
    Exporter{"int8", "w8a8 w8a8_int8 int8_dynamic", "llm-compressor",
             R"({"quant_method": "compressed-tensors", "version": "0.9", "format": "int-quantized", "ignore": ["lm_head"],
                 "config_groups": {"group_0": {"targets": ["Linear"],
                   "weights": {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": true},
                   "input_activations": {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": true}}}})"},
    Exporter{"w8a16", "", "llm-compressor",
             R"({"quant_method": "compressed-tensors", "version": "0.9", "format": "pack-quantized", "ignore": ["lm_head"],
                 "config_groups": {"group_0": {"targets": ["Linear"],
                   "weights": {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": true}}}})"},
    Exporter{"w4a16", "int4", "llm-compressor",
             R"({"quant_method": "compressed-tensors", "version": "0.9", "format": "pack-quantized", "ignore": ["lm_head"],
                 "config_groups": {"group_0": {"targets": ["Linear"],
                   "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": true}}}})"},
    Exporter{"awq", "awq_int4", "AutoAWQ",
             R"({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true, "version": "gemm"})"},
    Exporter{"gptq_int4", "gptq", "GPTQModel", R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": true})"},
    Exporter{"gptq_int8", "", "GPTQModel", R"({"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": true})"},
    Exporter{"nvfp4", "fp4", "ModelOpt",
             R"({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head",
                 "self_attn.q_a_proj", "self_attn.q_b_proj", "self_attn.kv_a_proj_with_mqa", "self_attn.kv_b_proj", "self_attn.indexer"]})"},
    Exporter{
        "nvfp4_mlp", "nvfp4_mlp_only", "ModelOpt (MLP only)",
        R"({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head", "self_attn", "linear_attn"]})"},
    Exporter{"mxfp4", "", "Quark",
             R"({"quant_method": "quark", "exclude": ["lm_head"], "global_quant_config": {
                 "weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32, "scale_format": "e8m0", "is_dynamic": false},
                 "input_tensors": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32, "is_dynamic": true}}})"},
    Exporter{"mxfp8", "", "ModelOpt",
             R"({"quant_method": "modelopt", "quant_algo": "MXFP8", "group_size": 32, "exclude_modules": ["lm_head"]})"},
    Exporter{"bnb_nf4", "nf4 bnb_4bit bnb", "bitsandbytes",
             R"({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true})"},
    Exporter{"bnb_int8", "bnb_8bit llm_int8", "bitsandbytes", R"({"quant_method": "bitsandbytes", "load_in_8bit": true})"},
    Exporter{"mlx_4bit", "mlx4 mlx", "mlx-lm", R"({"bits": 4, "group_size": 64})"},
    Exporter{"mlx_8bit", "mlx8", "mlx-lm", R"({"bits": 8, "group_size": 64})"},
    Exporter{"hqq", "hqq_4bit hqq_int4", "HQQ", R"({"quant_method": "hqq", "nbits": 4, "group_size": 64})"},
};

bool has_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t space = std::min(words.find(' '), words.size());
    if (words.substr(0, space) == word) return true;
    words.remove_prefix(std::min(space + 1, words.size()));
  }
  return false;
}

} // namespace

std::span<const Exporter> exporters() { return kExporters; }

std::string method_key(std::string_view name) {
  std::string key(name);
  for (char& c : key) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return key;
}

const Exporter* find_exporter(std::string_view name) {
  const std::string key = method_key(name);
  for (const Exporter& one : kExporters)
    if (one.name == key || has_word(one.also, key)) return &one;
  return nullptr;
}

} // namespace plimsoll
