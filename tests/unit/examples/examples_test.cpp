// The SDK's example plugins, loaded as a vendor's would be: found by a path, beside the built-in families.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/json.hpp"
#include "model/declared.hpp"
#include "plimsoll/host.hpp"
#include "plugin/planner_tree.hpp"
#include "plugin/registry.hpp"

namespace plimsoll::testing {
namespace {

const std::string kBuilt = std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/";

const Registry& registry() {
  static const Registry both({kBuilt + "examples", kBuilt + "plugins"}, Trust::kOpen, {});
  return both;
}

Result<Declared> declare_config(const char* text) {
  PLIMSOLL_ASSIGN(const auto tree, PlannerTree::create(registry(), std::make_shared<const Json>(Json::parse(text)), "config.json"));
  return declare(*tree, Quantization(), *find_dtype("bfloat16"));
}

std::uint64_t parameters(const Declared& d) {
  std::uint64_t sum = 0;
  for (const WeightClass& c : d.weights) sum += c.parameters().value();
  return sum;
}

// 2 layers of 3 x 64 x 64 and a table of 1000 x 64.
TEST(MinimalC, DeclaresItsWeightsAndCache) {
  const auto d = declare_config(R"({"architectures": ["MinimalForCausalLM"], "hidden_size": 64, "num_attention_heads": 4,
    "vocab_size": 1000, "num_hidden_layers": 2})");
  ASSERT_TRUE(d.has_value()) << d.error().message;
  EXPECT_EQ(parameters(*d), 1000U * 64 + 2 * 3 * 64 * 64);
  ASSERT_EQ(d->kv.size(), 1U);
  EXPECT_EQ(d->kv[0].k_elements, 16U);
  EXPECT_EQ(d->facts.n_layers, 2U);
}

TEST(MinimalC, NamesTheKeyAtFault) {
  for (const auto& [config, pointer] :
       {std::pair{R"({"architectures": ["MinimalForCausalLM"], "num_attention_heads": 4})", "/hidden_size"},
        std::pair{R"({"architectures": ["MinimalForCausalLM"], "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 1000,
                      "num_hidden_layers": 5000})",
                  "/num_hidden_layers"}}) {
    const auto d = declare_config(config);
    ASSERT_FALSE(d.has_value());
    EXPECT_EQ(d.error().code, ErrorCode::kBadConfig);
    EXPECT_NE(d.error().where.find(pointer), std::string::npos) << d.error().where;
  }
}

constexpr const char* kAcmeVl = R"({"architectures": ["AcmeVLForConditionalGeneration"], "model_type": "acme_vl",
  "vision_config": {"hidden_size": 32, "image_size": 56, "num_hidden_layers": 3},
  "text_config": {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
                  "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 512}})";

// A block of 32: 12 x 32^2 and 9 x 32 biases. The language model is the built-in `dense`.
TEST(AcmeVl, CountsItsTowerAndDelegatesTheRest) {
  const auto d = declare_config(kAcmeVl);
  ASSERT_TRUE(d.has_value()) << d.error().message;
  std::uint64_t vision = 0, text = 0;
  for (const WeightClass& c : d->weights) (c.planner == "com.acme.vlm" ? vision : text) += c.parameters().value();
  EXPECT_EQ(vision, 3U * (12 * 32 * 32 + 9 * 32));
  EXPECT_EQ(text, 2U * (64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64) + 64 + 2 * 1000 * 64);
  EXPECT_EQ(d->vision.rows, 16U);
  EXPECT_EQ(d->vision.row_elements, 64U);
  for (const WeightClass& c : d->weights)
    if (c.label == "embedding") {
      EXPECT_EQ(c.pattern, "model.language_model.embed_tokens.weight");
    }
}

// As a host uses them: loaded and planned, parts that add up.
TEST(Examples, PlanThroughTheHost) {
  ContextOptions options;
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  options.plugin_paths = {kBuilt + "examples", kBuilt + "plugins"};
  options.trust = Trust::kOpen;
  const auto context = Context::create(options);
  ASSERT_TRUE(context);
  constexpr const char* kMinimal = R"({"architectures": ["MinimalForCausalLM"], "hidden_size": 64, "num_attention_heads": 4,
    "vocab_size": 1000, "num_hidden_layers": 2, "max_position_embeddings": 512})";
  for (const char* config : {kMinimal, kAcmeVl}) {
    const auto model = context->load_config(config, "config.json");
    ASSERT_TRUE(model) << model.error().message;
    PlanRequest request;
    request.devices = "2x1GiB";
    const auto plan = context->plan(*model, request);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_FALSE(plan->error);
    EXPECT_EQ(plan->limits.max_length, 512U);
    for (const DevicePlan& d : plan->devices) {
      EXPECT_GT(d.weights_bytes, 0U);
      EXPECT_EQ(static_cast<std::int64_t>(d.weights_bytes + d.activation_bytes + d.signal_buffer_bytes + d.vision_cache_bytes +
                                          d.overhead_bytes + d.kv_cache_bytes) +
                    d.unused_bytes,
                static_cast<std::int64_t>(d.budget_bytes));
    }
  }
}

TEST(AcmeVl, StaysShort) {
  std::ifstream in(std::string(PLIMSOLL_SOURCE_DIR) + "/sdk/examples/vlm/acme_vl.cpp");
  std::string line;
  int lines = 0;
  while (std::getline(in, line)) ++lines;
  EXPECT_GT(lines, 0);
  EXPECT_LE(lines, 50) << "its documentation promises 50 lines";
}

} // namespace
} // namespace plimsoll::testing
