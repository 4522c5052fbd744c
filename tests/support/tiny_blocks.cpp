#include "support/tiny_blocks.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>

#include "support/sparse_checkpoint.hpp"
#include "support/tiny_bytes.hpp"
#include "support/tiny_vocabulary.hpp"

namespace plimsoll::test {
namespace {

constexpr std::uint64_t kHidden = 256, kFfn = 512, kLayers = 2, kVocab = 320, kNowhere = UINT64_MAX;

// Where a block keeps its scale and its minimum, and numbers for them with which its elements lie around 0 with a width of about 1/16.
struct BlockForm {
  const char* name;
  std::uint32_t gguf_type;
  std::uint64_t elements, bytes, scale_at, minimum_at;
  float scale, minimum;
};
constexpr std::array kForms{
    BlockForm{"q4_0", 2, 32, 18, 0, kNowhere, 0.013F, 0},       BlockForm{"q4_1", 3, 32, 20, 0, 2, 0.013F, -0.0975F},
    BlockForm{"q5_0", 6, 32, 22, 0, kNowhere, 0.0065F, 0},      BlockForm{"q5_1", 7, 32, 24, 0, 2, 0.0065F, -0.1F},
    BlockForm{"q8_0", 8, 32, 34, 0, kNowhere, 0.00085F, 0},     BlockForm{"q2_k", 10, 256, 84, 80, 82, 0.005F, 0.0075F},
    BlockForm{"q3_k", 11, 256, 110, 108, kNowhere, 0.0014F, 0}, BlockForm{"q4_k", 12, 256, 144, 0, 2, 0.0004F, 0.003F},
    BlockForm{"q5_k", 13, 256, 176, 0, 2, 0.0002F, 0.003F},     BlockForm{"q6_k", 14, 256, 210, 208, kNowhere, 0.000044F, 0},
    BlockForm{"mxfp4", 39, 32, 17, kNowhere, kNowhere, 0, 0}};

class BlockWriter {
public:
  explicit BlockWriter(const BlockForm& form) : form_(form) {}

  void matrix(const std::string& name, std::uint64_t out, std::uint64_t in) {
    std::string bytes;
    for (std::uint64_t i = 0; i < out * in / form_.elements; ++i) bytes += block();
    keep(name, form_.gguf_type, {in, out}, bytes);
  }
  void norm(const std::string& name) { keep(name, 0, {kHidden}, tiny_bytes(std::vector<float>(kHidden, 1.0F), TinyFormat::kF32)); }
  GgufWriter& file() { return file_; }
  std::string bytes() const { return file_.start() + data_; }

private:
  std::string block() {
    std::string out;
    for (std::uint64_t i = 0; i < form_.bytes; ++i) {
      state_ = state_ * 6364136223846793005U + 1442695040888963407U;
      out += static_cast<char>(state_ >> 56);
    }
    const auto put = [&](std::uint64_t at, float value) {
      if (at != kNowhere) out.replace(at, 2, tiny_bytes({&value, 1}, TinyFormat::kF16));
    };
    put(form_.scale_at, form_.scale);
    put(form_.minimum_at, form_.minimum);
    if (form_.gguf_type == 39) out[0] = 121; // a power of two: 2^-6
    return out;
  }
  void keep(const std::string& name, std::uint32_t type, const std::vector<std::uint64_t>& dims, const std::string& bytes) {
    file_.tensor(name, type, dims, bytes.size());
    data_ += bytes;
    data_.resize((data_.size() + 31) / 32 * 32, '\0');
  }

  const BlockForm& form_;
  GgufWriter file_;
  std::string data_;
  std::uint64_t state_ = 88172645463325252U;
};

} // namespace

std::vector<std::string> block_type_names() {
  std::vector<std::string> out;
  for (const BlockForm& form : kForms) out.emplace_back(form.name);
  return out;
}

void write_block_gguf(const std::string& type, const std::string& path) {
  const auto form = std::find_if(kForms.begin(), kForms.end(), [&](const BlockForm& f) { return type == f.name; });
  if (form == kForms.end()) throw std::runtime_error("no blocks of " + type + " can be written");
  BlockWriter out(*form);
  out.file().text("general.architecture", "llama").u32("llama.context_length", 256).u32("llama.embedding_length", kHidden);
  out.file().u32("llama.block_count", kLayers).u32("llama.feed_forward_length", kFfn).u32("llama.vocab_size", kVocab);
  out.file().u32("llama.attention.head_count", 4).u32("llama.attention.head_count_kv", 2).u32("llama.rope.dimension_count", 64);
  out.file().f32("llama.attention.layer_norm_rms_epsilon", 1e-5F).f32("llama.rope.freq_base", 10000);
  write_tiny_vocabulary(kVocab, out.file());
  out.matrix("token_embd.weight", kVocab, kHidden);
  out.norm("output_norm.weight");
  out.matrix("output.weight", kVocab, kHidden);
  for (std::uint64_t layer = 0; layer < kLayers; ++layer) {
    const std::string at = "blk." + std::to_string(layer) + ".";
    for (const char* name : {"attn_norm.weight", "ffn_norm.weight"}) out.norm(at + name);
    out.matrix(at + "attn_q.weight", kHidden, kHidden);
    out.matrix(at + "attn_k.weight", kHidden / 2, kHidden);
    out.matrix(at + "attn_v.weight", kHidden / 2, kHidden);
    out.matrix(at + "attn_output.weight", kHidden, kHidden);
    out.matrix(at + "ffn_gate.weight", kFfn, kHidden);
    out.matrix(at + "ffn_up.weight", kFfn, kHidden);
    out.matrix(at + "ffn_down.weight", kHidden, kFfn);
  }
  write_text(path, out.bytes());
}

} // namespace plimsoll::test
