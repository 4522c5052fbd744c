// GGUF files of models whose elements converters lay out anew: the same probabilities as of the safetensors that they were made of, on one
// rank and on several; blocks that are unpacked and laid out; and files that leave out, or contradict, what a model needs.
#include <array>
#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "generation/tiny_models.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_bytes.hpp"
#include "support/tiny_gguf.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll::testing {
namespace {

using nlohmann::json;
using test::TemporaryDirectory;
using test::TinyModel;
using test::TinyTensor;
using ::testing::HasSubstr;

constexpr double kSameFile = 2e-5, kOtherRanks = 2e-4; // of log-probabilities

// A tiny model, with what its configuration says otherwise: what a GGUF file of it can say.
struct FileCase {
  const char *model, *change = "{}";
  std::uint32_t most_ranks = 4; // that its groups of heads divide among
  const char* variant = "";
};
void PrintTo(const FileCase& c, std::ostream* out) { *out << c.model; }

constexpr FileCase kFiles[]{
    {"mamba"},
    {"falcon_mamba", R"({"mixer_rms_eps": 1e-05})"},
    {"mamba2"},
    {"jamba"},
    {"bamba"},
    {"falcon_h1"},
    {"nemotron_h", "{}", 2},
    {"nemotron_h_moe"},
    {"nemotron_h_latent"},
    {"granitemoe"},
    {"granite_hybrid"},
    {"granite_hybrid_moe"},
    {"lfm2"},
    {"lfm2_moe"},
    {"qwen3_next"},
    {"qwen3_next", R"({"gguf_projections": "apart"})", 4, "_apart"},
    {"qwen3_5_moe"},
    {"kimi_linear"},
    {"exaone4", R"({"sliding_window": null, "layer_types": ["full_attention", "full_attention", "full_attention"]})"},
    {"olmo3", R"({"num_hidden_layers": 4, "rope_scaling": {"attention_factor": null},
      "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]})"},
    {"smollm3", R"({"num_hidden_layers": 5, "no_rope_layers": null})"},
    {"glm4"},
    {"cohere2", R"({"num_hidden_layers": 4,
      "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]})"},
    {"starcoder2", R"({"sliding_window": null})"},
    {"phi"},
    {"minimax_m2"},
    {"qwen3_vl_moe"},
};

TinyModel changed(const char* name, const char* change) {
  json config = json::parse(test::tiny_model(name).config);
  const json changes = json::parse(change);
  for (const auto& [key, value] : changes.items())
    if (value.is_object()) config[key].merge_patch(value);
    else config[key] = value;
  return test::tiny_model_of(config.dump(), 3);
}

std::vector<TextGenerationRequest> prompts() {
  std::vector<TextGenerationRequest> out;
  for (const std::size_t tokens : {3U, 37U}) {
    TextGenerationRequest& request = out.emplace_back();
    for (std::size_t i = 0; i < tokens; ++i) request.prompt_tokens.push_back(static_cast<Token>(3 + (i * 37 + tokens) % 250));
    request.max_new_tokens = 4;
    request.ignore_end = true;
    request.log_probabilities = 5;
  }
  return out;
}

PlanRequest ranks(std::uint32_t tp) {
  PlanRequest request = request_of(128);
  request.devices = std::to_string(tp) + "x256MiB";
  request.tp = tp;
  return request;
}

// What it generates, and that it took what was planned.
std::vector<TextGenerationOutput> generated(const std::string& path, std::uint32_t tp) {
  auto pipeline = pipeline_of(path, ranks(tp));
  if (!pipeline) {
    ADD_FAILURE() << pipeline.error().where << ": " << pipeline.error().message;
    return {};
  }
  auto outputs = pipeline->generate(prompts());
  if (!outputs) {
    ADD_FAILURE() << outputs.error().message;
    return {};
  }
  for (const Arena& arena : pipeline->model().arenas())
    for (const Usage& usage : arena.usage())
      EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << "rank " << arena.rank() << ", " << usage.label;
  return std::move(*outputs);
}

void expect_alike(const std::vector<TextGenerationOutput>& a, const std::vector<TextGenerationOutput>& b, double tolerance) {
  ASSERT_FALSE(a.empty());
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_FALSE(a[i].error || b[i].error);
    EXPECT_EQ(a[i].tokens, b[i].tokens);
    ASSERT_TRUE(a[i].log_probabilities && b[i].log_probabilities);
    for (std::size_t step = 0; step < a[i].tokens.size(); ++step)
      for (std::size_t k = 0; k < 5; ++k)
        EXPECT_NEAR(a[i].log_probabilities->top[step][k].second, b[i].log_probabilities->top[step][k].second, tolerance)
            << "prompt " << i << ", step " << step;
  }
}

class GgufFiles : public ::testing::TestWithParam<FileCase> {
protected:
  TemporaryDirectory folder_;
};

TEST_P(GgufFiles, SayWhatTheirSafetensorsSay) {
  const TinyModel model = changed(GetParam().model, GetParam().change);
  test::write_tiny_folder(model, folder_.path());
  test::write_tiny_gguf(model, folder_ / "file.gguf");
  const auto expected = generated(folder_.path(), 1);
  for (const std::uint32_t tp : {1U, 2U, 4U}) {
    if (tp > GetParam().most_ranks) continue;
    SCOPED_TRACE(tp);
    expect_alike(generated(folder_ / "file.gguf", tp), expected, tp == 1 ? kSameFile : kOtherRanks);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GgufFiles, ::testing::ValuesIn(kFiles),
                         [](const auto& info) { return std::string(info.param.model) + info.param.variant; });

// ---- Blocks ----

float half_at(const std::string& bytes, std::size_t at) {
  const auto bits = static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at]) | static_cast<unsigned char>(bytes[at + 1]) << 8);
  const float magnitude = std::ldexp(static_cast<float>((bits & 0x3ff) | ((bits >> 10 & 31) != 0 ? 0x400 : 0)),
                                     std::max<int>(static_cast<int>(bits >> 10 & 31), 1) - 25);
  return (bits >> 15) != 0 ? -magnitude : magnitude;
}

// Drawn blocks of a type, and what they mean.
struct Drawn {
  std::string bytes;
  std::vector<float> values;
};
class Blocks8 { // q8_0: a scale and 32 numbers
public:
  static constexpr std::uint32_t kType = 8;
  static constexpr std::uint64_t kElements = 32, kBytes = 34;
  static void fix(std::string& block) { block.replace(0, 2, half(0.0015F)); }
  static void unpack(const std::string& block, std::vector<float>& out) {
    for (std::size_t i = 0; i < kElements; ++i)
      out.push_back(half_at(block, 0) * static_cast<float>(static_cast<signed char>(block[2 + i])));
  }
  static std::string half(float value) { return test::tiny_bytes({&value, 1}, test::TinyFormat::kF16); }
};
class Blocks4 { // q4_k: two scales, eight of 6 bits for each of them, 256 numbers of 4 bits
public:
  static constexpr std::uint32_t kType = 12;
  static constexpr std::uint64_t kElements = 256, kBytes = 144;
  static void fix(std::string& block) { block.replace(0, 4, Blocks8::half(0.0004F) + Blocks8::half(0.003F)); }
  static void unpack(const std::string& block, std::vector<float>& out) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(block[i])); };
    for (std::size_t group = 0; group < 8; ++group) {
      const unsigned scale = group < 4 ? byte(4 + group) & 63U : (byte(8 + group) & 15U) | (byte(group) >> 6 << 4);
      const unsigned least = group < 4 ? byte(8 + group) & 63U : byte(8 + group) >> 4 | (byte(4 + group) >> 6 << 4);
      for (std::size_t i = 0; i < 32; ++i) {
        const unsigned pair = byte(16 + group / 2 * 32 + i), number = group % 2 == 0 ? pair & 15U : pair >> 4;
        out.push_back(half_at(block, 0) * static_cast<float>(scale * number) - half_at(block, 2) * static_cast<float>(least));
      }
    }
  }
};

template <class Blocks>
std::optional<Drawn> drawn(const TinyTensor& tensor) {
  const bool matrix = tensor.shape.size() >= 2 && tensor.name.ends_with(".weight") && tensor.name.find("norm") == std::string::npos &&
                      tensor.name.find("conv") == std::string::npos && tensor.name.find("_inp") == std::string::npos;
  if (!matrix || tensor.shape.back() % Blocks::kElements != 0) return std::nullopt;
  Drawn out;
  std::uint64_t state = std::hash<std::string>()(tensor.name);
  for (std::uint64_t i = 0; i < tensor.values.size() / Blocks::kElements; ++i) {
    std::string block;
    for (std::uint64_t b = 0; b < Blocks::kBytes; ++b) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      block += static_cast<char>(state >> 56);
    }
    Blocks::fix(block);
    Blocks::unpack(block, out.values);
    out.bytes += block;
  }
  return out;
}

struct PackedCase {
  const char *model, *change, *blocks;
};
void PrintTo(const PackedCase& c, std::ostream* out) { *out << c.model << " in " << c.blocks; }

class PackedGgufFiles : public ::testing::TestWithParam<PackedCase> {
protected:
  template <class Blocks>
  static test::PackTensor packed(bool plain, std::size_t& count) {
    return [plain, &count](const TinyTensor& tensor) -> std::optional<test::PackedTensor> {
      const std::optional<Drawn> draw = drawn<Blocks>(tensor);
      if (!draw) return std::nullopt;
      ++count;
      if (plain) return test::PackedTensor{0, test::tiny_bytes(draw->values, test::TinyFormat::kF32)};
      return test::PackedTensor{Blocks::kType, draw->bytes};
    };
  }
  TemporaryDirectory folder_;
};

TEST_P(PackedGgufFiles, SayWhatTheirBlocksMean) {
  const TinyModel model = changed(GetParam().model, GetParam().change);
  std::size_t count = 0;
  for (const bool plain : {false, true}) {
    const auto pack = std::string(GetParam().blocks) == "q8_0" ? packed<Blocks8>(plain, count) : packed<Blocks4>(plain, count);
    test::write_tiny_gguf(model, folder_ / (plain ? "plain.gguf" : "packed.gguf"), pack);
  }
  ASSERT_GT(count, 8U); // of both files
  const auto expected = generated(folder_ / "plain.gguf", 1);
  for (const std::uint32_t tp : {1U, 2U}) {
    SCOPED_TRACE(tp);
    expect_alike(generated(folder_ / "packed.gguf", tp), expected, tp == 1 ? kSameFile : kOtherRanks);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PackedGgufFiles,
                         ::testing::Values(PackedCase{"mamba", "{}", "q8_0"}, PackedCase{"mamba2", "{}", "q8_0"},
                                           PackedCase{"jamba", "{}", "q8_0"}, PackedCase{"falcon_h1", "{}", "q8_0"},
                                           PackedCase{"granite_hybrid_moe", "{}", "q8_0"}, PackedCase{"nemotron_h_moe", "{}", "q8_0"},
                                           PackedCase{"lfm2", "{}", "q8_0"}, PackedCase{"kimi_linear", "{}", "q8_0"},
                                           PackedCase{"qwen3_next", R"({"gguf_projections": "apart"})", "q8_0"},
                                           PackedCase{"qwen3_5_moe", "{}", "q8_0"},
                                           PackedCase{"mamba2", R"({"hidden_size": 256, "num_heads": 32, "head_dim": 16})", "q4_k"},
                                           PackedCase{"lfm2", R"({"hidden_size": 256, "intermediate_size": 256})", "q4_k"},
                                           PackedCase{"qwen3_5_moe", R"({"hidden_size": 256, "linear_value_head_dim": 64})", "q4_k"}),
                         [](const auto& info) { return std::string(info.param.model) + "_" + info.param.blocks; });

} // namespace
} // namespace plimsoll::testing
