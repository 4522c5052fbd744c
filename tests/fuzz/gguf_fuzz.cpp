// GGUF headers: any bytes are tensors and a config, or an error with a message.
#include "checkpoint/gguf.hpp"

#include <cstdlib>

#include "checkpoint/gguf_config.hpp"
#include "checkpoint/gguf_names.hpp"
#include "fuzz/fuzz.hpp"
#include "support/source_gguf.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::fuzz {
namespace {

void parse(std::string_view input, std::uint64_t file_bytes) {
  const auto header = parse_gguf(std::as_bytes(std::span(input)), file_bytes);
  if (!header) {
    if (header.error().message.empty()) std::abort();
    return;
  }
  const auto beyond_the_file = [&](std::uint64_t bytes) { return bytes > file_bytes && bytes - file_bytes > header->lacking_bytes; };
  if (beyond_the_file(header->header_bytes)) std::abort();
  std::string name;
  for (const GgufTensor& tensor : header->tensors) {
    if (tensor.dtype == nullptr || tensor.rank > kGgufMaxRank || beyond_the_file(tensor.stored_bytes)) std::abort();
  }
  const auto architecture = gguf_architecture_name(header->metadata, "f");
  if (!architecture) return;
  const GgufArchitecture meaning = test::source_meaning(*architecture, header->metadata).value();
  const GgufNames names(meaning.names);
  for (const GgufTensor& tensor : header->tensors) names.translate(header->name(tensor), name);
  const auto config = gguf_config(header->metadata, tensor_facts(*header), meaning, "f");
  if (config && (!config->contains("hidden_size") || !config->contains("model_type"))) std::abort();
  if (config) (void)config->dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  for (const char* architecture : {"llama", "deepseek2", "qwen3next", "nemotron_h", "gpt-oss", "jamba"}) {
    test::GgufWriter writer;
    const std::string a = std::string(architecture) + ".";
    writer.text("general.architecture", architecture)
        .u32("general.alignment", 32)
        .u32(a + "block_count", 3)
        .u32(a + "embedding_length", 64);
    writer.u32(a + "attention.head_count", 4).u32s(a + "attention.head_count_kv", {0, 2, 0}).u32s(a + "feed_forward_length", {0, 0, 128});
    writer.u32(a + "attention.kv_lora_rank", 512).u32(a + "attention.key_length", 192).u32(a + "rope.dimension_count", 64);
    writer.u32(a + "expert_count", 8).u32(a + "expert_gating_func", 2).u32(a + "ssm.inner_size", 128).u32(a + "ssm.time_step_rank", 4);
    writer.f32(a + "rope.freq_base", 10000.0F).text(a + "rope.scaling.type", "yarn").flag(a + "expert_weights_norm", true);
    writer.texts("tokenizer.ggml.tokens", {"a", "b", "c"}).u32s("tokenizer.ggml.token_type", {1, 1, 1});
    writer.tensor("token_embd.weight", 12, {256, 10}, 1440)
        .tensor("blk.0.attn_q.weight", 8, {64, 64}, 4352)
        .tensor("blk.0.ffn_gate_exps.weight", 39, {64, 8, 8}, 2176);
    out.push_back(writer.start());
  }
  return out;
}

void fuzz_one(std::string_view input) {
  parse(input, input.size());
  parse(input, input.size() + (1U << 20)); // with room for the tensors
}

} // namespace plimsoll::fuzz
