// gguf.json, which strangers write: any bytes are words, or an error with a message and a place; words can be used on any metadata.
#include <cstdlib>

#include "checkpoint/gguf_config.hpp"
#include "checkpoint/gguf_names.hpp"
#include "fuzz/fuzz.hpp"
#include "support/source_gguf.hpp"

namespace plimsoll::fuzz {

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  for (const char* file : {"/core/catalogue/gguf.json", "/plugins/gguf/gguf.json", "/plugins/mla/gguf.json"})
    out.push_back(read_text_file(PLIMSOLL_SOURCE_DIR + std::string(file), 1 << 20, ErrorCode::kInternal).value());
  return out;
}

void fuzz_one(std::string_view input) {
  const auto root = parse_json(std::string(input), "f", ErrorCode::kPluginFailed);
  if (!root) return;
  const auto words = read_gguf_words(*root, &test::source_gguf().common, "f");
  if (!words) {
    if (words.error().message.empty() || !words.error().where.starts_with("f: ")) std::abort();
    return;
  }
  std::string name;
  for (const auto& [architecture, meanings] : words->architectures) {
    GgufMetadata metadata;
    metadata.values["general.architecture"] = architecture;
    for (const char* key : {".block_count", ".embedding_length", ".expert_count"}) metadata.values[architecture + key] = 3;
    metadata.values[architecture + ".attention.head_count_kv"] = Json::array({0, 2, 0});
    for (const GgufArchitecture& meaning : meanings) {
      const GgufArchitecture whole = gguf_architecture(architecture, &meaning, test::source_gguf().common);
      const auto config = gguf_config(metadata, {}, whole, "f");
      if (config && !config->contains("model_type")) std::abort();
      for (const char* stored : {"token_embd.weight", "blk.0.attn_q.weight", "blk.1.ffn_up.2.bias", "blk."})
        GgufNames(whole.names).translate(stored, name);
    }
  }
}

} // namespace plimsoll::fuzz
