// The SDK's examples, loaded as a vendor's would be: found by a path, beside the built-in families. Every figure is worked out here by
// hand; bfloat16 unless said otherwise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/json.hpp"
#include "plimsoll/host.hpp"
#include "unit/examples/built.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kGib = 1ULL << 30;

Context context_with(std::vector<std::string> plugin_paths) {
  ContextOptions options;
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  options.plugin_paths = std::move(plugin_paths);
  options.trust = Trust::kOpen;
  return Context::create(options).value();
}
const Context& context() {
  static const Context all = context_with({kBuilt + "examples", kBuilt + "plugins"});
  return all;
}

Model loaded(const Json& config, const Context& with = context()) {
  auto model = with.load_config(config.dump(), "config.json");
  if (!model) ADD_FAILURE() << model.error().where << ": " << model.error().message;
  return model.value();
}

PlanRequest on(const std::string& devices, const std::string& engine = "max") {
  PlanRequest request;
  request.devices = devices;
  request.engine = engine;
  return request;
}

// The plan's parts are the budget.
Plan planned(const Json& config, const PlanRequest& request) {
  const auto plan = context().plan(loaded(config), request);
  if (!plan) ADD_FAILURE() << plan.error().where << ": " << plan.error().message;
  for (const DevicePlan& d : plan.value().devices)
    EXPECT_EQ(static_cast<std::int64_t>(d.weights_bytes + d.activation_bytes + d.signal_buffer_bytes + d.workspace_bytes +
                                        d.vision_cache_bytes + d.overhead_bytes + d.kv_cache_bytes) +
                  d.unused_bytes,
              static_cast<std::int64_t>(d.budget_bytes));
  EXPECT_FALSE(plan->error);
  return *plan;
}

std::vector<std::uint64_t> rank_bytes(const Json& config, const PlanRequest& request) {
  const auto report = context().weights(loaded(config), request);
  if (!report) ADD_FAILURE() << report.error().message;
  return report.value().rank_bytes;
}

std::uint64_t bytes_of(const Plan& plan, std::string_view label, std::size_t rank = 0) {
  for (const Item& item : plan.items)
    if (item.label == label) return item.bytes.at(rank);
  return 0;
}

std::uint64_t signal_bytes(const Json& config, const std::string& devices, const std::string& engine) {
  return planned(config, on(devices, engine)).devices.at(0).signal_buffer_bytes;
}

// A configuration with one key changed, or left out where `value` is null, and what is said of it.
struct Bad {
  const char* pointer;
  Json value;
  const char* says;
};
void expect_refused(const Json& sound, const std::vector<Bad>& cases) {
  for (const Bad& bad : cases) {
    Json config = sound;
    config[Json::json_pointer(bad.pointer)] = bad.value;
    const auto model = context().load_config(config.dump(), "config.json");
    ASSERT_FALSE(model) << bad.pointer << bad.value;
    EXPECT_EQ(model.error().code, ErrorCode::kBadConfig) << bad.pointer;
    EXPECT_EQ(model.error().where, std::string("config.json: ") + bad.pointer);
    EXPECT_THAT(model.error().message, HasSubstr(bad.says)) << bad.pointer;
  }
}

std::size_t lines_of(const std::string& file) {
  std::ifstream in(std::string(PLIMSOLL_SOURCE_DIR) + "/sdk/examples/" + file);
  std::string line;
  std::size_t lines = 0;
  while (std::getline(in, line)) ++lines;
  EXPECT_GT(lines, 0U) << file;
  return lines;
}

// What their documentation promises.
TEST(Examples, StayShort) {
  EXPECT_LE(lines_of("vlm/acme_vl.cpp"), 40U);
  EXPECT_LE(lines_of("hybrid/acme_hybrid.cpp"), 40U + 50U); // the second half is how it runs
  EXPECT_LE(lines_of("latent_c/acme_latent.c"), 60U);
}

// ---- vlm ---------------------------------------------------------------------------------------------------

// Patches of 14 x 14 and films of 8 frames are the manifest's class defaults.
const Json& vl() {
  static const Json config =
      Json::parse(R"({"architectures": ["AcmeVLForConditionalGeneration"], "model_type": "acme_vl", "torch_dtype": "bfloat16",
    "vision_config": {"hidden_size": 32, "num_heads": 4, "image_size": 56, "depth": 3},
    "text_config": {"model_type": "acme_text", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
                    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 1000,
                    "max_position_embeddings": 512}})");
  return config;
}
constexpr std::uint64_t kPatches = 32 * 3 * 2 * 14 * 14 + 32; // a convolution of five dimensions and its bias
constexpr std::uint64_t kBlock = 2 * 32                       // norm
                                 + 3 * 32 * 32 + 3 * 32       // q, k, v
                                 + 32 * 32 + 32               // their projection
                                 + 128 * 32 + 128             // up
                                 + 32 * 128 + 32;             // down
constexpr std::uint64_t kTower = kPatches + 3 * kBlock + 64 * 32 + 64;
// Qwen3: q, k, v, o, a norm of 16 on queries and one on keys, three matrices of the FFN, two norms; embedding and head apart.
constexpr std::uint64_t kTextNorms = 2 * (2 * 16 + 2 * 64) + 64;
constexpr std::uint64_t kText = 2 * (64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 128 * 64) + kTextNorms + 2 * 1000 * 64;

TEST(AcmeVl, CountsItsTowerAndDelegatesTheRest) {
  // Alone, without com.acme.alias: nobody knows the type of its text part.
  const Context alone = context_with({kBuilt + "examples/com.acme.vlm", kBuilt + "plugins"});
  EXPECT_FALSE(alone.load_config(vl().at("text_config").dump(), "text"));
  const Model model = loaded(vl(), alone);
  EXPECT_EQ(model.info().parameters, kTower + kText);
  EXPECT_EQ(model.info().parameters, 279808U);
  ASSERT_EQ(model.info().planners.size(), 2U);
  EXPECT_EQ(model.info().planners[0].id, "com.acme.vlm");
  EXPECT_THAT(model.info().planners[0].aspects, ElementsAre("vision"));
  EXPECT_EQ(model.info().planners[1].id, "dense");
  EXPECT_EQ(model.info().planners[1].as, "qwen3");
  const auto report = alone.weights(model, {});
  ASSERT_TRUE(report) << report.error().message;
  std::uint64_t tower = 0, text = 0;
  for (const WeightClassInfo& c : report->classes) {
    (c.planner == "com.acme.vlm" ? tower : text) += c.parameters;
    if (c.label == "embedding") {
      EXPECT_EQ(c.pattern, "model.language_model.embed_tokens.weight");
    }
    if (c.label == "vision.patches") {
      EXPECT_THAT(c.shape, ElementsAre(32U, 3U, 2U, 14U, 14U));
    }
  }
  EXPECT_EQ(tower, kTower);
  EXPECT_EQ(text, kText);
  EXPECT_EQ(report->declared_bytes, 2 * (kTower + kText));
}

// Some engines keep the tower whole on every rank, others cut it in heads and rows. Norms and what is added after a cut are whole.
TEST(AcmeVl, SpreadsOverTheRanks) {
  EXPECT_THAT(rank_bytes(vl(), on("1x8GiB")), ElementsAre(2 * (kTower + kText)));
  const std::uint64_t text = (kText - kTextNorms) / 2 + kTextNorms;
  EXPECT_THAT(rank_bytes(vl(), on("2x8GiB")), ElementsAre(2 * (kTower + text), 2 * (kTower + text)));
  constexpr std::uint64_t kWhole = 2 * 32 + 32 + 32; // norm, and the biases of proj and down
  const std::uint64_t tower = kPatches + 3 * ((kBlock - kWhole) / 2 + kWhole) + 64 * 32 + 64;
  EXPECT_THAT(rank_bytes(vl(), on("2x8GiB", "tensorrt-llm")), Each(2 * (tower + text)));
  const Plan plan = planned(vl(), on("2x8GiB"));
  EXPECT_EQ(plan.devices.at(1).weights_bytes, 357888U);
  EXPECT_EQ(plan.limits.max_length, 512U);
}

// 2 layers of 2 heads with 16 keys and 16 values.
TEST(AcmeVl, CachesAsItsLanguageModelDoes) {
  const Plan one = planned(vl(), on("1x8GiB")), two = planned(vl(), on("2x8GiB"));
  EXPECT_EQ(one.kv_cache.bytes_per_token_per_device, 2U * 2 * 32 * 2);
  EXPECT_EQ(two.kv_cache.bytes_per_token_per_device, 2U * 1 * 32 * 2);
  ASSERT_EQ(one.kv_cache.groups.size(), 1U);
  EXPECT_EQ(one.kv_cache.groups[0].page_bytes_per_device, 128U * 256);
}

// An image is 4 x 4 patches, a film 4 of those: rows of 64 values, 128 B. max keeps blocks of 128 rows, vllm a row for each token.
TEST(AcmeVl, KeepsImagesAndFilms) {
  const Plan plan = planned(vl(), on("1x8GiB"));
  ASSERT_EQ(plan.entries.size(), 2U);
  const EntryPlan &image = plan.entries[0], &film = plan.entries[1];
  EXPECT_EQ(image.modality, Modality::kImage);
  EXPECT_EQ(image.rows, 16U);
  EXPECT_EQ(image.entry_bytes, 16U * 128);
  EXPECT_EQ(image.most_per_request, 8U);
  EXPECT_EQ(film.modality, Modality::kVideo);
  EXPECT_EQ(film.rows, 8U / 2 * 16);
  EXPECT_EQ(film.entry_bytes, 64U * 128);
  EXPECT_EQ(film.most_per_request, 1U);
  EXPECT_GT(image.entries, 0U);
  EXPECT_EQ(bytes_of(plan, "vision_cache"), image.entries * 128 * 128); // one cache for both, an entry a block
  EXPECT_EQ(film.entries, image.entries);
  EXPECT_EQ(plan.vision_entry_bytes, film.entry_bytes);

  PlanRequest request = on("1x8GiB", "vllm");
  request.max_batch_input_tokens = 1000;
  const Plan vllm = planned(vl(), request);
  EXPECT_EQ(vllm.devices[0].vision_cache_bytes, 1000U * 128);
  EXPECT_EQ(vllm.entries.at(0).entries, 1000U / 16);
  EXPECT_EQ(vllm.entries.at(1).entries, 1000U / 64);
}

TEST(AcmeVl, HasSignalBuffersBetweenRanks) {
  EXPECT_EQ(signal_bytes(vl(), "1x8GiB", "max"), 0U);
  EXPECT_EQ(signal_bytes(vl(), "2x8GiB", "max"), 294387728U); // one, of the engine's size
  EXPECT_EQ(signal_bytes(vl(), "2x8GiB", "vllm"), 0U);
}

TEST(AcmeVl, NamesTheKeyAtFault) {
  expect_refused(vl(), {{"/vision_config/hidden_size", nullptr, "key is missing"},
                        {"/vision_config/num_heads", 0, "is 0; a positive number was expected"},
                        {"/vision_config/num_heads", 5, "is 5; a divisor of 32 was expected"},
                        {"/vision_config/patch_size", 15, "is 15; a divisor of 56 was expected"},
                        {"/vision_config/depth", 5000, "1 to 4096 layers"},
                        {"/vision_config/image_size", "large", "has another type or range"},
                        {"/text_config", nullptr, "an object with the part's configuration was expected"},
                        {"/text_config/num_attention_heads", 0, "is 0"}});
}

// ---- latent_c ----------------------------------------------------------------------------------------------

const Json& latent() {
  static const Json config =
      Json::parse(R"({"architectures": ["AcmeLatentForCausalLM"], "torch_dtype": "bfloat16", "hidden_size": 256, "num_attention_heads": 4,
    "kv_lora_rank": 192, "vocab_size": 1000, "num_hidden_layers": 2, "max_position_embeddings": 512})");
  return config;
}
// Rows of acme_q3: 128 inputs are 48 B and a float16, the last of them filled up.
constexpr std::uint64_t q3(std::uint64_t rows, std::uint64_t inputs) { return rows * ((inputs + 127) / 128) * (48 + 2); }

TEST(AcmeLatent, StoresItsProjectionsInAFormatOfItsOwn) {
  const Model model = loaded(latent());
  EXPECT_EQ(model.info().parameters, 2U * 1000 * 256 + 2U * (4 * 192 * 256 + 192 * 256 + 256 * 4 * 192));
  const auto report = context().weights(model, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->declared_bytes, 2U * 1000 * 256 * 2 + 2 * (q3(768, 256) + q3(192, 256) + q3(256, 768)));
  EXPECT_EQ(report->declared_bytes, 1369600U);
  EXPECT_THAT(rank_bytes(latent(), on("1x8GiB")), ElementsAre(1369600U));
}

// The down projection is on both ranks; o_proj is cut along its inputs, 384 each.
TEST(AcmeLatent, SpreadsOverTheRanks) {
  const std::uint64_t half = 2U * 500 * 256 * 2 + 2 * (q3(384, 256) + q3(192, 256) + q3(256, 384));
  EXPECT_EQ(half, 704000U);
  EXPECT_THAT(rank_bytes(latent(), on("2x8GiB")), ElementsAre(half, half));
  EXPECT_EQ(planned(latent(), on("2x8GiB")).devices.at(1).weights_bytes, half);
  // 2 heads of 64: 128 inputs are a block, and each half of them too, filled up.
  Json small = latent();
  small.update({{"num_attention_heads", 2}, {"kv_lora_rank", 64}});
  EXPECT_THAT(rank_bytes(small, on("1x8GiB")), ElementsAre(1024000U + 2 * (q3(128, 256) + q3(64, 256) + q3(256, 128))));
  EXPECT_THAT(rank_bytes(small, on("2x8GiB")), Each(512000U + 2 * (q3(64, 256) + q3(64, 256) + q3(256, 128))));
}

// acme_lat5: 64 values are 42 B, the last of them filled up. A latent is on every rank.
TEST(AcmeLatent, CachesInATypeOfItsOwn) {
  for (const char* devices : {"1x8GiB", "2x8GiB"}) {
    const Plan plan = planned(latent(), on(devices));
    EXPECT_EQ(plan.kv_cache.bytes_per_token_per_device, 2U * (192 / 64) * 42);
    ASSERT_EQ(plan.kv_cache.groups.size(), 1U);
    EXPECT_EQ(plan.kv_cache.groups[0].kind, CacheKind::kLatent);
    EXPECT_EQ(plan.kv_cache.groups[0].page_bytes_per_device, 128U * 252);
    ASSERT_GT(plan.kv_geometry.n_groups(), 0U);
    EXPECT_EQ(plan.kv_geometry.group(0, 0).k_dtype, "acme_lat5");
  }
  Json odd = latent();
  odd["kv_lora_rank"] = 100;
  EXPECT_EQ(planned(odd, on("1x8GiB")).kv_cache.bytes_per_token_per_device, 2U * 2 * 42);
  EXPECT_EQ(signal_bytes(latent(), "2x8GiB", "max"), 0U); // never
}

TEST(AcmeLatent, NamesTheKeyAtFault) {
  constexpr const char* kSays = "is missing, 0, too large or no number";
  expect_refused(latent(), {{"/hidden_size", nullptr, kSays},
                            {"/num_attention_heads", 0, kSays},
                            {"/kv_lora_rank", "wide", kSays},
                            {"/vocab_size", -1, kSays},
                            {"/num_hidden_layers", 1025, kSays}});
  const auto plan = context().plan(loaded(latent()), on("8x8GiB")); // 8 ranks for 4 heads
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kBadRequest);
}

// ---- hybrid ------------------------------------------------------------------------------------------------

// A state of 16 and sounds of 3,000 frames are the manifest's class defaults.
const Json& hybrid() {
  static const Json config =
      Json::parse(R"({"architectures": ["AcmeHybridForCausalLM"], "model_type": "acme_hybrid", "torch_dtype": "bfloat16", "hidden_size": 64,
    "num_attention_heads": 4, "head_dim": 16, "intermediate_size": 128, "vocab_size": 1000, "num_hidden_layers": 8, "max_position_embeddings": 512})");
  return config;
}
constexpr std::uint64_t kHybridNorms = 8 * 64 + 64;
constexpr std::uint64_t kHybrid = 2 * (3 * 64 * 64 + 64 * 64)       // attention in layers 3 and 7
                                  + 6 * (2 * 64 * 64 + 64 * 64 + 4) // mixers in the others
                                  + 8 * 3 * 128 * 64                // FFNs
                                  + 2 * 1000 * 64 + kHybridNorms;

TEST(AcmeHybrid, CountsItsMixersAndDelegatesTheRest) {
  const Model model = loaded(hybrid());
  EXPECT_EQ(model.info().parameters, kHybrid);
  EXPECT_EQ(model.info().parameters, 431704U);
  const auto report = context().weights(model, {});
  ASSERT_TRUE(report) << report.error().message;
  std::uint64_t delegated = 0, attention = 0, mixers = 0;
  for (const WeightClassInfo& c : report->classes) {
    if (c.planner == "dense") delegated += c.parameters;
    if (c.label.starts_with("attention.")) attention += c.parameters;
    if (c.label.starts_with("mixer.")) mixers += c.parameters;
  }
  EXPECT_EQ(delegated, 8U * 3 * 128 * 64 + 2 * 1000 * 64 + 64);
  EXPECT_EQ(attention, 2U * 4 * 64 * 64);
  EXPECT_EQ(mixers, 6U * (3 * 64 * 64 + 4));
  EXPECT_EQ(report->declared_bytes, 2 * kHybrid);
}

TEST(AcmeHybrid, SpreadsOverTheRanks) {
  EXPECT_THAT(rank_bytes(hybrid(), on("1x8GiB")), ElementsAre(2 * kHybrid));
  const std::uint64_t half = 2 * ((kHybrid - kHybridNorms) / 2 + kHybridNorms);
  EXPECT_THAT(rank_bytes(hybrid(), on("2x8GiB")), ElementsAre(half, half));
  EXPECT_EQ(planned(hybrid(), on("2x8GiB")).devices.at(1).weights_bytes, half);
}

// Attention: 2 layers of 4 heads with 16 keys and 16 values. State: 6 layers of 64 x 16.
TEST(AcmeHybrid, CachesAttentionAndState) {
  for (const std::uint64_t tp : {1U, 2U}) {
    const Plan plan = planned(hybrid(), on(std::to_string(tp) + "x8GiB"));
    EXPECT_EQ(plan.kv_cache.bytes_per_token_per_device, 2U * 4 * 32 * 2 / tp);
    ASSERT_EQ(plan.kv_cache.groups.size(), 2U);
    const KvGroupPlan &attention = plan.kv_cache.groups[0], &mixer = plan.kv_cache.groups[1];
    EXPECT_EQ(attention.layers, 2U);
    EXPECT_EQ(attention.page_bytes_per_device, 128U * 512 / tp);
    EXPECT_EQ(mixer.kind, CacheKind::kState);
    EXPECT_EQ(mixer.layers, 6U);
    EXPECT_EQ(mixer.state_bytes_per_sequence, 6U * 64 * 16 * 2 / tp);
    EXPECT_EQ(bytes_of(plan, "kv_cache.mixer"), plan.limits.max_batch_size * 2 * mixer.state_bytes_per_sequence); // two rows a request
  }
}

// Three sites of 1 GiB, on one rank too; an engine without signal buffers has none.
TEST(AcmeHybrid, AlwaysHasSignalBuffers) {
  for (const char* devices : {"1x8GiB", "2x8GiB"}) {
    EXPECT_EQ(signal_bytes(hybrid(), devices, "max"), 3 * kGib);
    for (const char* engine : {"vllm", "sglang", "tensorrt-llm", "llama.cpp"}) {
      const Plan plan = planned(hybrid(), on(devices, engine));
      for (const Item& item : plan.items) EXPECT_NE(item.category, Category::kSignalBuffer) << engine;
    }
  }
}

// 1,500 rows of 64 values; 12 blocks of 128 rows under max. What is no image is cached by no documented rule.
TEST(AcmeHybrid, KeepsSounds) {
  const Plan plan = planned(hybrid(), on("1x8GiB"));
  ASSERT_EQ(plan.entries.size(), 1U);
  EXPECT_EQ(plan.entries[0].modality, Modality::kAudio);
  EXPECT_EQ(plan.entries[0].entry_bytes, 1500U * 64 * 2);
  EXPECT_GT(plan.entries[0].entries, 0U);
  EXPECT_EQ(plan.entries[0].entries, bytes_of(plan, "audio_cache") / (128 * 128) / 12);
  const auto is_bound = [](const Warning& warning) { return warning.code == WarningCode::kEntryRuleIsABound; };
  EXPECT_TRUE(std::any_of(plan.warnings.begin(), plan.warnings.end(), is_bound));
}

// 64 x 16 values of each request: of the batch that is asked for, and of the one that the host decides.
TEST(AcmeHybrid, HasAWorkspaceOfEveryRequest) {
  for (const char* engine : {"max", "vllm"}) {
    PlanRequest request = on("2x8GiB", engine);
    const Plan decided = planned(hybrid(), request);
    EXPECT_GT(decided.limits.max_batch_size, 1U);
    EXPECT_EQ(decided.devices.at(1).workspace_bytes, decided.limits.max_batch_size * 64 * 16 * 2) << engine;
    request.max_batch_size = 7;
    const Plan asked = planned(hybrid(), request);
    EXPECT_EQ(bytes_of(asked, "mixer.scan", 1), 7U * 64 * 16 * 2) << engine;
  }
}

TEST(AcmeHybrid, NamesTheKeyAtFault) {
  expect_refused(hybrid(), {{"/hidden_size", nullptr, "key is missing"},
                            {"/num_attention_heads", 0, "is 0"},
                            {"/num_attention_heads", 5, "is 5; a divisor of 64 was expected"},
                            {"/state_size", 0, "is 0"},
                            {"/audio_config/max_frames", "long", "has another type or range"},
                            {"/num_hidden_layers", 0, "1 to 4096 layers"},
                            {"/intermediate_size", nullptr, "key is missing"}});
}

// ---- alias -------------------------------------------------------------------------------------------------

// A model_type and a class that nobody knows, planned as what they stand for.
TEST(AcmeAlias, PlansAKnownModelUnderANewName) {
  const Context without = context_with({kBuilt + "plugins"});
  Json known = vl().at("text_config");
  known["model_type"] = "qwen3";
  for (const char* named : {R"({"architectures": ["AcmeForCausalLM"]})", R"({"model_type": "acme_text"})",
                            R"({"architectures": ["AcmeForCausalLM"], "model_type": "acme_text"})"}) {
    Json config = vl().at("text_config");
    config.erase("model_type");
    config.update(Json::parse(named));
    EXPECT_FALSE(without.load_config(config.dump(), "config.json")) << named;
    const Model model = loaded(config);
    EXPECT_EQ(model.info().parameters, kText);
    ASSERT_EQ(model.info().planners.size(), 1U);
    EXPECT_EQ(model.info().planners[0].id, "dense");
    EXPECT_EQ(model.info().planners[0].as, "qwen3");
    EXPECT_EQ(model.info().planners[0].aliased_by, "com.acme.alias");
    const Plan plan = planned(config, on("2x8GiB")), expected = planned(known, on("2x8GiB"));
    EXPECT_EQ(plan.devices[0].weights_bytes, expected.devices[0].weights_bytes);
    EXPECT_EQ(plan.kv_cache.pages, expected.kv_cache.pages);
  }
}

} // namespace
} // namespace plimsoll::testing
