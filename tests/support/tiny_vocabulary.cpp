#include "support/tiny_vocabulary.hpp"

#include <cstdio>
#include <string>
#include <vector>

#include "support/tiny_bytes.hpp"

namespace plimsoll::test {
namespace {

constexpr std::uint64_t kSpecial = 3, kBytes = 256; // <unk>, <s>, </s>, then every byte

} // namespace

void write_tiny_vocabulary(std::uint64_t n_tokens, GgufWriter& file) {
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>"};
  std::string types, scores;
  for (std::uint64_t i = 0; i < n_tokens; ++i) {
    if (i >= kSpecial) {
      char text[16];
      const bool byte = i < kSpecial + kBytes;
      std::snprintf(text, sizeof text, byte ? "<0x%02X>" : "t%u", static_cast<unsigned>(byte ? i - kSpecial : i));
      tokens.emplace_back(text);
    }
    types += little_endian(i == 0 ? 2 : i < kSpecial ? 3 : i < kSpecial + kBytes ? 6 : 1, 4);
    const float score = i < kSpecial + kBytes ? 0.0F : -static_cast<float>(i);
    scores += tiny_bytes({&score, 1}, TinyFormat::kF32);
  }
  file.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", tokens);
  const std::string array = little_endian(9, 4), length = little_endian(tokens.size(), 8);
  file.raw("tokenizer.ggml.scores", array + little_endian(6, 4) + length + scores);
  file.raw("tokenizer.ggml.token_type", array + little_endian(5, 4) + length + types);
  file.u32("tokenizer.ggml.unknown_token_id", 0).u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
}

} // namespace plimsoll::test
