// What a vendor teaches without code: GGUF architectures with their keys and tensor names, and linear layers that exporters leave alone.
// The folders are made here; their planners are the built-in dense family and the SDK's examples.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "plimsoll/host.hpp"
#include "support/sparse_checkpoint.hpp"
#include "unit/examples/built.hpp"
#include "unit/plugin/temporary_folder.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A vendor's folder, where there is anything in it, in front of the examples and the built-in families.
Context context_with(const TemporaryFolder& folder) {
  ContextOptions options;
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  options.plugin_paths = {kBuilt + "examples", kBuilt + "plugins"};
  if (!std::filesystem::is_empty(folder.path())) options.plugin_paths.insert(options.plugin_paths.begin(), folder.path());
  options.trust = Trust::kOpen;
  return Context::create(options).value();
}

struct Gguf {
  test::GgufWriter writer;
  std::uint64_t stored_bytes = 0;
  void tensor(const std::string& name, const std::vector<std::uint64_t>& dims) { // float16
    std::uint64_t bytes = 2;
    for (const std::uint64_t dim : dims) bytes *= dim;
    writer.tensor(name, 1, dims, bytes);
    stored_bytes += bytes;
  }
};

void expect_whole(const WeightsReport& report, std::uint64_t stored_bytes) {
  EXPECT_EQ(report.stored_bytes, stored_bytes);
  EXPECT_EQ(report.rank_bytes, std::vector<std::uint64_t>{stored_bytes});
  EXPECT_THAT(report.missing, IsEmpty());
  for (const TensorBytes& tensor : report.unclaimed) ADD_FAILURE() << "nobody claims " << tensor.name;
  for (const Mismatch& m : report.mismatched) ADD_FAILURE() << m.name << " declared " << m.declared << ", stored " << m.stored;
}

// An invented architecture with keys and names of its own is a Llama to the built-in family.
TEST(VendorGguf, PlansWithABuiltInFamily) {
  const TemporaryFolder folder;
  write_plugin(folder, "com.twist", good_manifest("com.twist") + "    gguf: gguf.json\n");
  folder.write("com.twist/gguf.json", R"({"architectures": {"twist": {"class": "LlamaForCausalLM", "model_type": "llama",
    "keys": {"intermediate_size": "ffn.width", "num_key_value_heads": {"ratio": ["attention.head_count", "attention.sharing"]}},
    "names": {"words": "model.embed_tokens", "blk.twist_gate": "mlp.gate_proj", "blk.twist_up": "mlp.up_proj",
              "blk.twist_down": "mlp.down_proj"}}}})");
  Gguf file;
  file.writer.text("general.architecture", "twist").u32("twist.block_count", 2).u32("twist.embedding_length", 64);
  file.writer.u32("twist.attention.head_count", 4).u32("twist.attention.sharing", 2).u32("twist.ffn.width", 128);
  file.writer.u32("twist.context_length", 512).u32("twist.vocab_size", 1000);
  file.tensor("words.weight", {64, 1000});
  file.tensor("output.weight", {64, 1000});
  file.tensor("output_norm.weight", {64});
  for (const std::string at : {"blk.0.", "blk.1."}) {
    file.tensor(at + "attn_q.weight", {64, 64});
    file.tensor(at + "attn_k.weight", {64, 32});
    file.tensor(at + "attn_v.weight", {64, 32});
    file.tensor(at + "attn_output.weight", {64, 64});
    file.tensor(at + "twist_gate.weight", {64, 128});
    file.tensor(at + "twist_up.weight", {64, 128});
    file.tensor(at + "twist_down.weight", {128, 64});
    file.tensor(at + "attn_norm.weight", {64});
    file.tensor(at + "ffn_norm.weight", {64});
  }
  file.writer.write(folder.path("twist.gguf"));
  const Context context = context_with(folder);
  const auto model = context.load(folder.path("twist.gguf"));
  ASSERT_TRUE(model) << model.error().where << ": " << model.error().message;
  EXPECT_EQ(model->info().family, "dense");
  EXPECT_EQ(model->info().architecture, "LlamaForCausalLM");
  const auto report = context.weights(*model, {});
  ASSERT_TRUE(report) << report.error().message;
  expect_whole(*report, file.stored_bytes);
  PlanRequest request;
  request.devices = "1x1GiB";
  const auto plan = context.plan(*model, request);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->devices.at(0).weights_bytes, file.stored_bytes);
  EXPECT_EQ(plan->kv_cache.bytes_per_token_per_device, 2U * 2 * (16 + 16) * 2); // 2 layers, 2 heads, K and V of 16, 2 bytes
}

// The same for a planner of the vendor's own; nobody else knows the names.
TEST(VendorGguf, PlansWithAPlannerOfItsOwn) {
  const TemporaryFolder folder;
  write_plugin(folder, "com.small", good_manifest("com.small") + "    gguf: words.json\n");
  folder.write("com.small/words.json", R"({"architectures": {"small": {"class": "AcmeHybridForCausalLM", "model_type": "acme_hybrid",
    "names": {"blk.norm": "norm", "blk.qkv": "self_attn.qkv_proj", "blk.out": "self_attn.o_proj", "blk.mix_in": "mixer.in_proj",
              "blk.mix_out": "mixer.out_proj", "blk.mix_decay": "mixer.decay"}}}})");
  Gguf file;
  file.writer.text("general.architecture", "small").u32("small.block_count", 4).u32("small.embedding_length", 64);
  file.writer.u32("small.attention.head_count", 4).u32("small.context_length", 512).u32("small.feed_forward_length", 128);
  file.tensor("token_embd.weight", {64, 1000});
  file.tensor("output.weight", {64, 1000});
  file.tensor("output_norm.weight", {64});
  for (const std::string number : {"0", "1", "2", "3"}) {
    const std::string at = "blk." + number + ".";
    const bool attends = number == "3";
    file.tensor(at + "norm.weight", {64});
    file.tensor(at + (attends ? "qkv.weight" : "mix_in.weight"), {64, attends ? 192U : 128U});
    file.tensor(at + (attends ? "out.weight" : "mix_out.weight"), {64, 64});
    if (!attends) file.tensor(at + "mix_decay.weight", {4});
    file.tensor(at + "ffn_gate.weight", {64, 128});
    file.tensor(at + "ffn_up.weight", {64, 128});
    file.tensor(at + "ffn_down.weight", {128, 64});
  }
  file.writer.write(folder.path("small.gguf"));
  const Context context = context_with(folder);
  const auto model = context.load(folder.path("small.gguf"));
  ASSERT_TRUE(model) << model.error().where << ": " << model.error().message;
  EXPECT_EQ(model->info().family, "com.acme.hybrid");
  const auto report = context.weights(*model, {});
  ASSERT_TRUE(report) << report.error().message;
  expect_whole(*report, file.stored_bytes);
}

TEST(VendorGguf, ABrokenFileIsNamedWhenThePluginIsInspected) {
  const TemporaryFolder folder;
  for (const char* name : {"plugin.yaml", "libplimsoll_com.acme.latent.so"})
    std::filesystem::copy_file(kBuilt + "examples/com.acme.latent/" + name, folder.path(name));
  const Context context = context_with(folder);
  EXPECT_TRUE(context.inspect_plugin(folder.path()));
  std::ofstream(folder.path("plugin.yaml"), std::ios::app) << "    gguf: gguf.json\n";
  folder.write("gguf.json", R"({"architectures": {"small": {"class": "AcmeLatentForCausalLM"}}})");
  const auto inspected = context.inspect_plugin(folder.path());
  ASSERT_FALSE(inspected);
  EXPECT_EQ(inspected.error().where, folder.path("gguf.json") + ": /architectures/small/model_type");
  EXPECT_THAT(inspected.error().message, HasSubstr("a text of 1 to 256 bytes was expected"));
}

// A vendor's exclusions hold for what its planner plans and for nothing else.
TEST(VendorExclusions, HoldForItsOwnModelsOnly) {
  const TemporaryFolder folder;
  std::filesystem::copy(kBuilt + "examples/com.acme.hybrid", folder.path("com.acme.hybrid"));
  std::ofstream(folder.path("com.acme.hybrid/plugin.yaml"), std::ios::app) << "    never_quantized: [qkv_proj, q_proj]\n";
  const TemporaryFolder nothing;
  constexpr const char* kHybrid = R"({"architectures": ["AcmeHybridForCausalLM"], "model_type": "acme_hybrid", "hidden_size": 64,
    "intermediate_size": 128, "num_attention_heads": 4, "vocab_size": 1000, "num_hidden_layers": 8, "max_position_embeddings": 512,
    "quantization_config": {"quant_method": "fp8"}})";
  constexpr const char* kLlama = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
    "intermediate_size": 128, "num_attention_heads": 4, "vocab_size": 1000, "num_hidden_layers": 2, "max_position_embeddings": 512,
    "quantization_config": {"quant_method": "fp8"}})";
  const auto weights_bytes = [](const Context& context, const char* config) {
    const auto model = context.load_config(config, "config.json");
    const auto report = model ? context.weights(*model, {}) : tl::unexpected(model.error());
    EXPECT_TRUE(report) << report.error().message;
    return report ? report->declared_bytes : 0;
  };
  const Context with = context_with(folder);
  const Context without = context_with(nothing);
  // Two layers of it: two bytes for an element, instead of one and a scale of four for all.
  EXPECT_EQ(weights_bytes(with, kHybrid) - weights_bytes(without, kHybrid), 2U * (3 * 64 * 64 - 4));
  EXPECT_EQ(weights_bytes(with, kLlama), weights_bytes(without, kLlama));
}

// Types and settings may lie in a part that the planner delegates, whatever it is called; a part that nobody plans says nothing.
TEST(VendorParts, ThatArePlannedMaySayTheTypeAndTheSettings) {
  const Context context = context_with(TemporaryFolder());
  const auto weights_bytes = [&](std::string config, const std::string& more) {
    config.insert(config.find("\"text_config\": {") + 16, more);
    const auto model = context.load_config(config, "config.json");
    EXPECT_TRUE(model) << model.error().where << ": " << model.error().message;
    return model ? context.weights(*model, {})->declared_bytes : 0;
  };
  const std::string planned = R"({"architectures": ["AcmeVLForConditionalGeneration"], "model_type": "acme_vl",
    "vision_config": {"hidden_size": 32, "num_heads": 4, "image_size": 56, "depth": 3},
    "text_config": {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
                    "vocab_size": 1000, "max_position_embeddings": 512}})";
  const std::string alone = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 1000, "max_position_embeddings": 512, "text_config": {"a": 1}})";
  const std::uint64_t bytes = weights_bytes(planned, "");
  EXPECT_EQ(weights_bytes(planned, R"("torch_dtype": "float32", )"), 2 * bytes);
  EXPECT_LT(weights_bytes(planned, R"("quantization_config": {"quant_method": "fp8"}, )"), bytes);
  EXPECT_EQ(weights_bytes(alone, R"("torch_dtype": "float32", "quantization_config": {"quant_method": "fp8"}, )"),
            weights_bytes(alone, ""));
}

} // namespace
} // namespace plimsoll::testing
