// Repositories that are laid out in other ways than config.json and one complete set of shards.
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

using test::SparseTensor;
using ::testing::HasSubstr;

constexpr const char* kLlama = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1024, "max_position_embeddings": 2048,
  "torch_dtype": "bfloat16"})";

PlanRequest small_request() {
  PlanRequest request;
  request.devices = "1x1GiB";
  request.max_length = 256;
  request.max_batch_size = 1;
  return request;
}

Result<Plan> plan_of(const std::string& path, const PlanRequest& request = small_request()) {
  const auto& context = test::built_context();
  Result<Model> model = context.load(path);
  if (!model) return tl::unexpected(std::move(model.error()));
  return context.plan(*model, request);
}

// Plans from the configuration, and says what lies there that is not read.
TEST(Repositories, WithoutTensorsThatAreReadSaySo) {
  struct Row {
    const char *file, *text, *said;
  };
  for (const Row& row :
       {Row{"model.safetensors.index.json",
            R"({"metadata": {"total_size": 3385856}, "weight_map": {"lm_head.weight": "model-00001-of-00001.safetensors"}})",
            "none of the shards that it names (3.23 MiB in all)"},
        Row{"pytorch_model.bin", "PK", ".bin files ('pytorch_model.bin' first), which are not read"},
        Row{"pytorch_model-00001-of-00002.bin", "PK", "which are not read"}}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "config.json", kLlama);
    test::write_text(folder / row.file, row.text);
    for (const std::string& path : {folder.path(), folder / "config.json"}) {
      const Result<Plan> plan = plan_of(path);
      ASSERT_TRUE(plan) << row.file << ": " << plan.error().message;
      EXPECT_EQ(plan->model.weights_source, WeightsSource::kConfig) << row.file;
      ASSERT_FALSE(plan->warnings.empty()) << row.file;
      EXPECT_EQ(plan->warnings.front().code, WarningCode::kMissingTensors);
      EXPECT_THAT(plan->warnings.front().message, HasSubstr(row.said));
    }
  }
  const test::TemporaryDirectory alone;
  test::write_text(alone / "config.json", kLlama);
  EXPECT_TRUE(plan_of(alone.path())->warnings.empty());
}

// Some shards of an index are no checkpoint, and no configuration either.
TEST(Repositories, WithSomeShardsAreRefused) {
  const test::TemporaryDirectory folder;
  test::write_text(folder / "config.json", kLlama);
  test::write_text(folder / "model.safetensors.index.json",
                   R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
  test::write_safetensors(folder / "model-00001-of-00002.safetensors", {{"a", "BF16", {4}}});
  EXPECT_EQ(plan_of(folder.path()).error().code, ErrorCode::kBadCheckpoint);
}

// As the safetensors library does: bytes between tensors or behind them are a damaged file.
TEST(Repositories, WhoseFilesHaveHolesAreRefused) {
  for (const char* header :
       {R"({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}, "b": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]}})",
        R"({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}})"}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "config.json", kLlama);
    const std::string start = test::safetensors_start_of(header);
    test::write_sparse(folder / "model.safetensors", start, start.size() + 12);
    const Result<Plan> plan = plan_of(folder.path());
    ASSERT_FALSE(plan) << header;
    EXPECT_EQ(plan.error().code, ErrorCode::kBadCheckpoint);
    EXPECT_THAT(plan.error().message, HasSubstr("bytes of the file belong to no tensor"));
    EXPECT_THAT(plan.error().where, HasSubstr("model.safetensors"));
  }
}

// Mistral's own format: params.json, and tensors under its own names, which count as they are stored.
TEST(Repositories, InMistralsFormatArePlanned) {
  const test::TemporaryDirectory folder;
  const std::string params =
      R"({"dim": 256, "n_layers": 2, "head_dim": 64, "hidden_dim": 512, "n_heads": 4, "n_kv_heads": 2, "norm_eps": 1e-05,
    "vocab_size": 1024, "rope_theta": 1000000.0})";
  test::write_text(folder / "params.json", params);
  const Plan declared = plan_of(folder.path()).value();
  EXPECT_EQ(declared.model.architecture, "MistralForCausalLM");
  EXPECT_EQ(declared.kv_cache.bytes_per_token_per_device, 2U * 2 * 64 * 2 * 2);
  EXPECT_EQ(declared.limits.max_length, 256U);
  std::vector<SparseTensor> tensors{
      {"tok_embeddings.weight", "BF16", {1024, 256}}, {"norm.weight", "BF16", {256}}, {"output.weight", "BF16", {1024, 256}}};
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    for (const char* name : {"attention.wq.weight", "attention.wo.weight"}) tensors.push_back({layer + name, "BF16", {256, 256}});
    for (const char* name : {"attention.wk.weight", "attention.wv.weight"}) tensors.push_back({layer + name, "BF16", {128, 256}});
    for (const char* name : {"feed_forward.w1.weight", "feed_forward.w3.weight"}) tensors.push_back({layer + name, "BF16", {512, 256}});
    tensors.push_back({layer + "feed_forward.w2.weight", "BF16", {256, 512}});
    for (const char* name : {"attention_norm.weight", "ffn_norm.weight"}) tensors.push_back({layer + name, "BF16", {256}});
  }
  test::write_safetensors(folder / "consolidated.safetensors", tensors);
  const Plan stored = plan_of(folder.path()).value();
  EXPECT_EQ(stored.model.weights_source, WeightsSource::kSafetensors);
  EXPECT_EQ(stored.devices.front().weights_bytes, declared.devices.front().weights_bytes);
  // A tower's tensors, which count as they are.
  test::write_text(folder / "params.json", params.substr(0, params.size() - 1) + R"(, "vision_encoder": {"hidden_size": 64}})");
  tensors.push_back({"vision_encoder.patch_conv.weight", "BF16", {64, 3, 14, 14}});
  tensors.push_back({"vision_language_adapter.w_in.weight", "BF16", {256, 64}});
  test::write_safetensors(folder / "consolidated.safetensors", tensors);
  std::uint64_t all = 0;
  for (const SparseTensor& tensor : tensors) all += test::sparse_tensor_bytes(tensor);
  EXPECT_EQ(plan_of(folder.path()).value().devices.front().weights_bytes, all);
}

TEST(Repositories, InMistralsFormatMeanWhatTheirKeysSay) {
  struct Row {
    const char *more, *architecture;
    std::uint64_t bytes_per_token;
  };
  for (
      const Row& row :
      {Row{R"("sliding_window": [4096, null])", "MistralForCausalLM", 2U * 2 * 64 * 2 * 2},
       Row{R"("moe": {"num_experts": 8, "num_experts_per_tok": 2})", "MixtralForCausalLM", 2U * 2 * 64 * 2 * 2},
       Row{R"("q_lora_rank": 128, "kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32, "moe": {"num_experts": 8,
               "num_experts_per_tok": 2, "expert_hidden_dim": 128, "num_shared_experts": 1, "first_k_dense_replace": 1, "route_every_n": 1,
               "routed_scale": 1.0, "num_expert_groups": 1, "num_expert_groups_per_tok": 1})",
           "DeepseekV3ForCausalLM", (64U + 16) * 2 * 2}}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "params.json", std::string(R"({"dim": 256, "n_layers": 2, "head_dim": 64, "hidden_dim": 512, "n_heads": 4,
      "n_kv_heads": 2, "norm_eps": 1e-05, "vocab_size": 1024, "rope_theta": 1000000.0, )") +
                                                 row.more + "}");
    const Result<Plan> plan = plan_of(folder.path());
    ASSERT_TRUE(plan) << row.more << ": " << plan.error().message << " at " << plan.error().where;
    EXPECT_EQ(plan->model.architecture, row.architecture);
    EXPECT_EQ(plan->kv_cache.bytes_per_token_per_device, row.bytes_per_token) << row.more;
  }
  struct Bad {
    const char *params, *where;
    ErrorCode code;
  };
  for (const Bad& bad : {Bad{R"({"n_layers": 2, "n_heads": 4})", "/dim", ErrorCode::kBadConfig},
                         Bad{R"({"dim": "256", "n_layers": 2, "n_heads": 4})", "/dim", ErrorCode::kBadConfig},
                         Bad{R"([])", "params.json", ErrorCode::kBadConfig},
                         Bad{R"({"dim": 256, "n_layers": 2, "n_heads": 4, "quantization": {"qformat_weight": "int3"}})", "/qformat_weight",
                             ErrorCode::kBadConfig},
                         Bad{R"({"dim": 256, "n_layers": 2, "n_heads": 4, "multimodal": {"whisper_model_args": {}}})", "params.json",
                             ErrorCode::kUnsupportedArchitecture},
                         Bad{R"({"dim": 256, "n_layers": 2, "n_heads": 4, "vision_encoder": {"mm_projector_id": "patch_merge"}})",
                             "/vision_encoder", ErrorCode::kUnsupportedArchitecture}}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "params.json", bad.params);
    const Result<Plan> plan = plan_of(folder.path());
    ASSERT_FALSE(plan) << bad.params;
    EXPECT_EQ(plan.error().code, bad.code) << bad.params;
    EXPECT_THAT(plan.error().where, HasSubstr(bad.where)) << bad.params;
  }
}

// Towers count as a config.json of the same model has them: Mistral Small 3.1 and Pixtral 12B to the parameter.
TEST(Repositories, InMistralsFormatWithTowersAndNoTensors) {
  struct Row {
    const char *params, *architecture;
    std::uint64_t parameters;
  };
  for (const Row& row :
       {Row{R"({"dim": 5120, "n_layers": 40, "head_dim": 128, "hidden_dim": 32768, "n_heads": 32, "n_kv_heads": 8, "norm_eps": 1e-05,
              "vocab_size": 131072, "rope_theta": 1000000000.0, "max_seq_len": 131072, "vision_encoder": {"hidden_size": 1024,
              "num_channels": 3, "max_image_size": 1540, "patch_size": 14, "rope_theta": 10000.0, "intermediate_size": 4096,
              "num_hidden_layers": 24, "num_attention_heads": 16, "adapter_bias": false, "mm_projector_id": "patch_merge",
              "spatial_merge_size": 2, "add_pre_mm_projector_layer_norm": true, "image_token_id": 10, "image_size": 1540}})",
            "Mistral3ForConditionalGeneration", 24'011'361'280},
        Row{R"({"dim": 5120, "n_layers": 40, "head_dim": 128, "hidden_dim": 14336, "n_heads": 32, "n_kv_heads": 8, "norm_eps": 1e-05,
              "vocab_size": 131072, "rope_theta": 1000000000.0, "max_seq_len": 131072, "vision_encoder": {"hidden_size": 1024,
              "num_channels": 3, "image_size": 1024, "patch_size": 16, "rope_theta": 10000.0, "intermediate_size": 4096,
              "num_hidden_layers": 24, "num_attention_heads": 16, "image_token_id": 10}})",
            "LlavaForConditionalGeneration", 12'682'739'712}}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "params.json", row.params);
    const Result<Model> model = test::built_context().load(folder.path());
    ASSERT_TRUE(model) << row.architecture << ": " << model.error().where << ": " << model.error().message;
    EXPECT_EQ(model->info().architecture, row.architecture);
    EXPECT_EQ(model->info().parameters, row.parameters);
    PlanRequest request = small_request();
    request.devices = "1xH200";
    const Result<Plan> plan = test::built_context().plan(*model, request);
    ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
    EXPECT_GT(plan->devices.front().vision_cache_bytes, 0U);
  }
}

// Ears too: Voxtral Mini Realtime, whose encoder looks back like a decoder, and its cache with it, whether tensors lie beside the file or
// not.
TEST(Repositories, InMistralsFormatThatHear) {
  const std::string params = R"({"dim": 3072, "n_layers": 26, "head_dim": 128, "hidden_dim": 9216, "n_heads": 32, "n_kv_heads": 8,
    "norm_eps": 1e-05, "vocab_size": 131072, "rope_theta": 1000000.0, "max_seq_len": 131072, "tied_embeddings": true,
    "ada_rms_norm_t_cond": true, "ada_rms_norm_t_cond_dim": 32, "multimodal": {"whisper_model_args": {"encoder_args": {
    "audio_encoding_args": {"num_mel_bins": 128, "window_size": 400, "sampling_rate": 16000, "hop_length": 160}, "dim": 1280,
    "n_layers": 32, "head_dim": 64, "hidden_dim": 5120, "n_heads": 32, "vocab_size": 131072, "causal": true, "sliding_window": 750,
    "pos_embed": "rope"}, "downsample_args": {"downsample_factor": 4}}}})";
  const test::TemporaryDirectory folder;
  test::write_text(folder / "params.json", params);
  const Result<Model> model = test::built_context().load(folder.path());
  ASSERT_TRUE(model) << model.error().where << ": " << model.error().message;
  EXPECT_EQ(model->info().architecture, "VoxtralRealtimeGeneration");
  EXPECT_EQ(model->info().parameters, 4'429'679'360U);
  const auto hears = [&] {
    PlanRequest request = small_request();
    request.devices = "1xH200";
    const Result<Plan> plan = plan_of(folder.path(), request);
    if (!plan) return plan.error().where + ": " + plan.error().message;
    const bool found = std::any_of(plan->kv_cache.groups.begin(), plan->kv_cache.groups.end(),
                                   [](const KvGroupPlan& group) { return group.label == "attention.audio"; });
    return std::string(found ? "" : "no cache of what is heard");
  };
  EXPECT_EQ(hears(), "");
  test::write_safetensors(folder / "consolidated.safetensors", {{"layers.0.attention.wq.weight", "BF16", {4096, 3072}}});
  EXPECT_EQ(hears(), "");
}

// What an engine saved rank by rank: each rank's files are its weights, and no other number of ranks loads them.
TEST(Repositories, SavedByRanksPlanForThatManyRanks) {
  const test::TemporaryDirectory folder;
  test::write_text(folder / "config.json", kLlama);
  const std::vector<SparseTensor> part{{"model.layers.0.self_attn.qkv_proj.weight", "BF16", {256, 256}},
                                       {"model.norm.weight", "BF16", {256}}};
  const std::vector<SparseTensor> more{{"model.layers.1.mlp.gate_up_proj.weight", "BF16", {512, 256}}};
  test::write_safetensors(folder / "model-rank-0-part-0.safetensors", part);
  test::write_safetensors(folder / "model-rank-0-part-1.safetensors", more);
  test::write_safetensors(folder / "model-rank-1-part-0.safetensors", part);
  const std::uint64_t first = (256 * 256 + 256 + 512 * 256) * 2, second = (256 * 256 + 256) * 2;
  PlanRequest request = small_request();
  request.devices = "2x1GiB";
  request.tp = 2;
  const Result<Plan> plan = plan_of(folder.path(), request);
  ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
  EXPECT_EQ(plan->model.weights_source, WeightsSource::kSafetensors);
  EXPECT_EQ(plan->devices.at(0).weights_bytes, first);
  EXPECT_EQ(plan->devices.at(1).weights_bytes, second);
  EXPECT_TRUE(plan->warnings.empty());
  const Result<Model> model = test::built_context().load(folder.path());
  const Result<WeightsReport> report = test::built_context().weights(*model, request);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->stored_bytes, first + second);
  EXPECT_THAT(report->rank_bytes, ::testing::ElementsAre(first, second));
  request.devices = "4x1GiB";
  request.dp = 2;
  EXPECT_EQ(plan_of(folder.path(), request)->devices.at(2).weights_bytes, first);
  for (const std::uint32_t tp : {1U, 4U}) {
    request.devices = std::to_string(tp) + "x1GiB";
    request.dp = {};
    request.tp = tp;
    const Result<Plan> other = plan_of(folder.path(), request);
    ASSERT_FALSE(other) << tp;
    EXPECT_THAT(other.error().message, HasSubstr("cut for 2 ranks"));
    EXPECT_EQ(other.error().where, "--tp");
    EXPECT_FALSE(test::built_context().weights(*model, request));
  }
  request.tp = 2;
  request.quantize = {"fp8"};
  EXPECT_THAT(plan_of(folder.path(), request).error().message, HasSubstr("cut for its ranks"));
}

TEST(Repositories, SavedByRanksOfWhichSomeAreMissingAreRefused) {
  for (const auto& [there, missing] : {std::pair("model-rank-1-part-0.safetensors", "model-rank-0-part-0.safetensors"),
                                       std::pair("model-rank-0-part-1.safetensors", "model-rank-0-part-0.safetensors")}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "config.json", kLlama);
    test::write_safetensors(folder / there, {{"a", "BF16", {4}}});
    const Result<Plan> plan = plan_of(folder.path());
    ASSERT_FALSE(plan) << there;
    EXPECT_EQ(plan.error().code, ErrorCode::kBadCheckpoint);
    EXPECT_THAT(plan.error().message, HasSubstr(std::string("lacks ") + missing));
  }
  const test::TemporaryDirectory folder;
  test::write_text(folder / "config.json", kLlama);
  test::write_text(folder / "model-rank-0-part-0.safetensors", "short");
  EXPECT_EQ(plan_of(folder.path()).error().code, ErrorCode::kBadCheckpoint);
}

// As engines load it: what the index promises beside what is there is said, and counts once at most.
TEST(Repositories, WhoseIndexNamesAnAbsentTensorArePlanned) {
  const test::TemporaryDirectory folder;
  test::write_text(folder / "config.json", kLlama);
  std::vector<SparseTensor> tensors{
      {"model.embed_tokens.weight", "BF16", {1024, 256}}, {"model.norm.weight", "BF16", {256}}, {"lm_head.weight", "BF16", {1024, 256}}};
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    for (const char* name : {"self_attn.q_proj.weight", "self_attn.o_proj.weight"}) tensors.push_back({layer + name, "BF16", {256, 256}});
    for (const char* name : {"self_attn.k_proj.weight", "self_attn.v_proj.weight"}) tensors.push_back({layer + name, "BF16", {128, 256}});
    for (const char* name : {"mlp.gate_proj.weight", "mlp.up_proj.weight"}) tensors.push_back({layer + name, "BF16", {512, 256}});
    tensors.push_back({layer + "mlp.down_proj.weight", "BF16", {256, 512}});
    for (const char* name : {"input_layernorm.weight", "post_attention_layernorm.weight"}) tensors.push_back({layer + name, "BF16", {256}});
  }
  std::map<std::string, std::string> map;
  std::uint64_t stored = 0;
  for (const SparseTensor& tensor : tensors) {
    map[tensor.name] = "model.safetensors";
    stored += test::sparse_tensor_bytes(tensor);
  }
  map["model.layers.0.self_attn.rotary_emb.inv_freq"] = "model.safetensors";
  test::write_safetensors(folder / "model.safetensors", tensors);
  test::write_text(folder / "model.safetensors.index.json", test::index_text(map, stored));
  const Result<Plan> plan = plan_of(folder.path());
  ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
  EXPECT_EQ(plan->devices.front().weights_bytes, stored);
  ASSERT_EQ(plan->warnings.size(), 1U);
  EXPECT_EQ(plan->warnings.front().code, WarningCode::kMissingTensors);
  EXPECT_THAT(plan->warnings.front().message, HasSubstr("'model.layers.0.self_attn.rotary_emb.inv_freq'"));
}

// Parts that stand in repositories of their own: as if they were written out, and named where they are not here.
TEST(Repositories, WhosePartsAreOtherModels) {
  const test::TemporaryDirectory folder;
  const auto write = [&](const std::string& text, const std::string& audio) {
    test::write_text(folder / "config.json",
                     R"({"architectures": ["UltravoxModel"], "model_type": "ultravox", "hidden_size": 4096, "projector_act": "swiglu",
      "projector_ln_mid": true, "stack_factor": 8, "torch_dtype": "bfloat16", "text_model_id": ")" +
                         text + R"(", "audio_model_id": ")" + audio + "\"}");
  };
  const auto& context = test::built_context();
  write("meta-llama/Llama-3.1-8B-Instruct", "openai/whisper-large-v3");
  const Result<Model> model = context.load(folder.path());
  ASSERT_TRUE(model) << model.error().where << ": " << model.error().message;
  EXPECT_EQ(model->info().parameters, context.load("fixie-ai/ultravox-v0_5-llama-3_1-8b")->info().parameters);
  write("nobody/of-that-name", "openai/whisper-large-v3");
  const Result<Model> none = context.load(folder.path());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kBadConfig);
  EXPECT_THAT(none.error().where, HasSubstr("/text_model_id"));
  EXPECT_THAT(none.error().message, HasSubstr("nobody/of-that-name"));
}

// An adapter is its base, with room for the adapter.
TEST(Repositories, OfAdaptersAreTheirBase) {
  const test::TemporaryDirectory folder;
  const auto write = [&](const std::string& base) {
    test::write_text(folder / "adapter_config.json",
                     R"({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"],
      "base_model_name_or_path": ")" +
                         base + "\"}");
  };
  write("meta-llama/Llama-3.1-8B");
  PlanRequest request = small_request();
  request.devices = "1xH100";
  request.engine = "vllm";
  const Plan plan = plan_of(folder.path(), request).value();
  request.loras = {folder.path()};
  const Plan same = plan_of("meta-llama/Llama-3.1-8B", request).value();
  EXPECT_EQ(plan.devices.front().weights_bytes, same.devices.front().weights_bytes);
  EXPECT_GT(plan.devices.front().weights_bytes, 16060522496U);
  EXPECT_EQ(plan.model.path, folder.path());
  EXPECT_EQ(plan.request.max_lora_rank, 8U);
  write("nobody/of-that-name");
  const Result<Plan> none = plan_of(folder.path(), request);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("this is a LoRA adapter of nobody/of-that-name"));
  test::write_text(folder / "adapter_config.json", R"({"peft_type": "LORA", "r": 8})");
  EXPECT_THAT(plan_of(folder.path(), request).error().where, HasSubstr("/base_model_name_or_path"));
}

// By its name too, where the cache has it.
TEST(Repositories, OfAdaptersInTheCacheAreTheirBase) {
  const test::TemporaryDirectory cache;
  const std::string repository = cache / "models--someone--their-lora", snapshot = repository + "/snapshots/abc123";
  test::write_text(snapshot + "/adapter_config.json", R"({"peft_type": "LORA", "r": 16, "lora_alpha": 16, "target_modules": ["q_proj"],
      "base_model_name_or_path": "meta-llama/Llama-3.1-8B"})");
  test::write_text(repository + "/refs/main", "abc123");
  test::built_context();                                  // names a cache that is not there
  const char* const before = std::getenv("HF_HUB_CACHE"); // NOLINT(concurrency-mt-unsafe): one thread
  const std::string kept = before == nullptr ? "" : before;
  setenv("HF_HUB_CACHE", cache.path().c_str(), 1); // NOLINT(concurrency-mt-unsafe)
  PlanRequest request = small_request();
  request.devices = "1xH100";
  request.engine = "vllm";
  const Result<Plan> plan = plan_of("someone/their-lora", request);
  if (before == nullptr) unsetenv("HF_HUB_CACHE"); // NOLINT(concurrency-mt-unsafe)
  else setenv("HF_HUB_CACHE", kept.c_str(), 1);    // NOLINT(concurrency-mt-unsafe)
  ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
  EXPECT_EQ(plan->model.path, "someone/their-lora");
  EXPECT_EQ(plan->request.max_lora_rank, 16U);
  EXPECT_GT(plan->devices.front().weights_bytes, 16060522496U);
}

} // namespace
} // namespace plimsoll
