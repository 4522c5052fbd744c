// Every architecture that llama.cpp loads (tests/data/gguf_architectures.jsonl: what the loader asks of a small file of each, and what it
// keeps of it): the device and the host hold what is stored and loaded, to the byte, caches and states are the loader's, and nothing is
// left to warn of. Figures come from the loader's shapes and rules, not from what the planners declare.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <sstream>

#include "support/source_gguf.hpp"
#include "unit/weights/gguf_cases.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

PlanRequest request_of_llama_cpp(std::uint64_t length) {
  PlanRequest request;
  request.engine = "llama.cpp";
  request.devices = "1x900GiB";
  request.max_length = length;
  request.max_batch_size = 1;
  return request;
}

std::uint64_t weights_on_host(const Plan& plan) {
  std::uint64_t sum = 0;
  for (const Item& item : plan.items)
    if (item.memory == MemoryKind::kHost && item.category == Category::kWeights) sum += item.bytes.front();
  return sum;
}

// Of these the smallest file that the loader takes is not what the class declares: it goes without the gate of Granite's experts.
const std::set<std::string> kOtherwise{"olmoe", "gpt-oss", "granitemoe"};

class GgufArchitectures : public ::testing::TestWithParam<GgufCase> {
protected:
  void SetUp() override {
    gguf_file_of(GetParam()).write(directory_ / "model.gguf");
    model_ = loaded(directory_ / "model.gguf");
  }
  test::TemporaryDirectory directory_;
  std::optional<Model> model_;
};

TEST_P(GgufArchitectures, TakeWhatTheLoaderTakes) {
  const GgufCase& c = GetParam();
  const auto plan = test::built_context().plan(*model_, request_of_llama_cpp(16384));
  ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
  EXPECT_EQ(plan->devices[0].weights_bytes, c.bytes("device_bytes"));
  EXPECT_EQ(weights_on_host(*plan), c.bytes("host_bytes"));
  EXPECT_EQ(plan->devices[0].kv_cache_bytes, c.bytes("cache_bytes") + c.bytes("state_bytes"));
  for (const Warning& warning : plan->warnings) {
    const bool of_tensors = warning.code == WarningCode::kMissingTensors || warning.code == WarningCode::kMismatchedTensors ||
                            (warning.code == WarningCode::kUnclaimedTensors && model_->info().family == "gguf");
    EXPECT_FALSE(of_tensors && !kOtherwise.contains(c.text("architecture"))) << warning.message;
  }
}

// For whoever splits it: no rank counts more than is stored, and together they never hold less.
TEST_P(GgufArchitectures, OneRankAndWhatIsNotLoadedAreWhatIsStored) {
  for (const auto& [tp, pp] : {std::pair(1U, 1U), std::pair(2U, 1U), std::pair(1U, 2U)}) {
    PlanRequest request;
    request.tp = tp;
    request.pp = pp;
    const auto report = test::built_context().weights(*model_, request);
    ASSERT_TRUE(report) << report.error().where << ": " << report.error().message;
    std::uint64_t not_loaded = 0, sum = 0;
    for (const NotLoaded& part : report->not_loaded) not_loaded += part.bytes;
    for (const std::uint64_t bytes : report->rank_bytes) sum += bytes;
    EXPECT_EQ(not_loaded, GetParam().bytes("not_loaded_bytes"));
    if (tp * pp == 1) {
      EXPECT_EQ(sum + not_loaded, report->stored_bytes);
    }
    EXPECT_GE(sum + not_loaded, report->stored_bytes) << tp << " x " << pp;
  }
}

// What the file's own names say goes to the host by them too.
TEST_P(GgufArchitectures, GiveTensorsToTheHostByTheirNames) {
  PlanRequest request = request_of_llama_cpp(4096);
  request.tensor_overrides = {"\\.ffn_(up|gate|down)=CPU"};
  const bool has_some = std::any_of(GetParam().file["tensors"].begin(), GetParam().file["tensors"].end(), [](const Json& row) {
    return row[0].get<std::string>().find(".ffn_up") != std::string::npos && row[0].get<std::string>().starts_with("blk.");
  });
  if (!has_some) return;
  const auto plan = test::built_context().plan(*model_, request);
  ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
  EXPECT_GT(weights_on_host(*plan), GetParam().bytes("host_bytes"));
  EXPECT_LT(plan->devices[0].weights_bytes, GetParam().bytes("device_bytes"));
}

std::string gguf_case_name(const ::testing::TestParamInfo<GgufCase>& info) {
  std::string name = info.param.text("id");
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, GgufArchitectures, ::testing::ValuesIn(gguf_cases()), gguf_case_name);

// Models of true sizes, of which a file of their embedding alone says what their caches take.
TEST(GgufCaches, OfPublishedModels) {
  struct Row {
    const char *name, *architecture, *keys;
    std::uint64_t length, cache_bytes;
  };
  const Row rows[] = {
      {"MiniCPM3-4B keeps keys and values of all heads", "minicpm3",
       R"({"block_count": 62, "embedding_length": 2560, "attention.head_count": 40, "attention.head_count_kv": 40, "attention.key_length": 96,
           "attention.value_length": 64, "attention.q_lora_rank": 768, "attention.kv_lora_rank": 256, "rope.dimension_count": 32})",
       32768, 26'004'684'800},
      {"DeepSeek-V2-Lite with its up-projection whole", "deepseek2",
       R"({"block_count": 27, "embedding_length": 2048, "attention.head_count": 16, "attention.head_count_kv": 16, "attention.key_length": 192,
           "attention.value_length": 128, "attention.kv_lora_rank": 512, "rope.dimension_count": 64, "leading_dense_block_count": 1,
           "feed_forward_length": 10944, "expert_count": 64, "expert_used_count": 6, "expert_feed_forward_length": 1408, "expert_shared_count": 2})",
       32768, 9'059'696'640},
      {"and absorbed: 27 x 576 x 2 B a token", "deepseek2",
       R"({"block_count": 27, "embedding_length": 2048, "attention.head_count": 16, "attention.head_count_kv": 1, "attention.key_length": 576,
           "attention.value_length": 512, "attention.key_length_mla": 192, "attention.value_length_mla": 128, "attention.kv_lora_rank": 512,
           "rope.dimension_count": 64, "leading_dense_block_count": 1, "feed_forward_length": 10944, "expert_count": 64,
           "expert_used_count": 6, "expert_feed_forward_length": 1408, "expert_shared_count": 2})",
       32768, 1'019'215'872},
      {"EXAONE 4 32B with the layer that predicts: 65 layers have no windows", "exaone4",
       R"({"block_count": 65, "nextn_predict_layers": 1, "embedding_length": 5120, "attention.head_count": 40, "attention.head_count_kv": 8,
           "attention.key_length": 128, "attention.value_length": 128, "attention.sliding_window": 4096})",
       32768, 8'724'152'320},
      {"and without: 16 layers of 32,768 cells, 48 of 4,608", "exaone4",
       R"({"block_count": 64, "feed_forward_length": 27392, "embedding_length": 5120, "attention.head_count": 40, "attention.head_count_kv": 8,
           "attention.key_length": 128, "attention.value_length": 128, "attention.sliding_window": 4096})",
       32768, 3'053'453'312},
      {"DeepSeek-V3.2 keeps its indexer's keys in the cache's type, of all 62 layers", "deepseek32",
       R"({"block_count": 62, "nextn_predict_layers": 1, "embedding_length": 7168, "attention.head_count": 128, "attention.head_count_kv": 1,
           "attention.key_length": 576, "attention.value_length": 512, "attention.key_length_mla": 192, "attention.value_length_mla": 128,
           "attention.kv_lora_rank": 512, "rope.dimension_count": 64, "attention.indexer.key_length": 128, "attention.indexer.head_count": 64})",
       32768, 2'860'515'328},
      // 43 windows of 768 cells; a row for every 4 tokens in 21 layers, of the indexer too, for every 128 in 20; what waits for them.
      {"DeepSeek-V4-Flash keeps rows of 512 elements and no values", "deepseek4",
       R"({"block_count": 43, "embedding_length": 4096, "attention.head_count": 64, "attention.head_count_kv": 1, "attention.key_length": 512,
           "attention.value_length": 512, "attention.q_lora_rank": 1024, "rope.dimension_count": 64, "attention.sliding_window": 128,
           "attention.indexer.key_length": 128, "attention.indexer.head_count": 64, "attention.compress_ratios": [0, 0, 4, 128, 4, 128, 4, 128,
           4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4,
           128, 4]})",
       131072,
       43ULL * 768 * 1024 + 21ULL * 32768 * (1024 + 256) + 20ULL * 1024 * 1024 + 21ULL * (2 * 1024 * 8 + 2 * 256 * 8) * 4 +
           20ULL * 2 * 512 * 128 * 4},
      {"GLM-4.5-Air keeps 47 layers", "glm4moe",
       R"({"block_count": 47, "nextn_predict_layers": 1, "embedding_length": 4096, "attention.head_count": 96, "attention.head_count_kv": 8,
           "attention.key_length": 128, "attention.value_length": 128})",
       32768, 6'308'233'216},
      {"a window of Phi-3 is switched off: 32 x 2 x 32 x 96 x 2 B a token", "phi3",
       R"({"block_count": 32, "embedding_length": 3072, "attention.head_count": 32, "attention.head_count_kv": 32, "feed_forward_length": 8192,
           "attention.sliding_window": 2047})",
       4096, 1'610'612'736},
      {"Qwen3-Next: 12 layers cache, 36 keep 2,195,456 B", "qwen3next",
       R"({"block_count": 48, "embedding_length": 2048, "attention.head_count": 16, "attention.head_count_kv": 2, "attention.key_length": 256,
           "attention.value_length": 256, "expert_count": 512, "expert_used_count": 10, "expert_feed_forward_length": 512, "ssm.conv_kernel": 4, "ssm.inner_size": 4096, "ssm.state_size": 128, "ssm.group_count": 16,
           "ssm.time_step_rank": 32})",
       4096, 12ULL * 4096 * 2 * 2 * 256 * 2 + 36ULL * 2'195'456},
  };
  const test::TemporaryDirectory directory;
  for (const Row& row : rows) {
    test::GgufWriter writer = gguf_with_keys(row.architecture, Json::parse(row.keys));
    add_half_tensor(writer, "token_embd.weight", {Json::parse(row.keys)["embedding_length"].get<std::uint64_t>(), 1000});
    writer.write(directory / "model.gguf");
    const auto plan = test::built_context().plan(loaded(directory / "model.gguf"), request_of_llama_cpp(row.length));
    ASSERT_TRUE(plan) << row.name << ": " << plan.error().message;
    EXPECT_EQ(plan->devices[0].kv_cache_bytes, row.cache_bytes) << row.name;
  }
}

// Without flash attention every layer's values take the rows of the widest: here 4 heads of 32 in the last two layers, 2 in the others.
TEST(GgufCaches, HaveValuesAsWideAsTheWidestLayersWithoutFlashAttention) {
  const test::TemporaryDirectory directory;
  test::GgufWriter writer =
      gguf_with_keys("openelm", Json::parse(R"({"block_count": 4, "embedding_length": 256, "attention.head_count": [4, 4, 8, 8],
                                 "attention.head_count_kv": [2, 2, 4, 4], "attention.key_length": 32, "attention.value_length": 32})"));
  add_half_tensor(writer, "token_embd.weight", {256, 1000});
  writer.write(directory / "model.gguf");
  const Model model = loaded(directory / "model.gguf");
  PlanRequest request = request_of_llama_cpp(4096);
  const auto usual = test::built_context().plan(model, request);
  ASSERT_TRUE(usual) << usual.error().message;
  EXPECT_EQ(usual->devices[0].kv_cache_bytes, 4096ULL * 32 * (2 + 2 + 2 + 2 + 4 + 4 + 4 + 4) * 2);
  request.engine_overrides["flash_attention"] = "false";
  const auto without = test::built_context().plan(model, request);
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_EQ(without->devices[0].kv_cache_bytes, 4096ULL * 32 * (2 + 4 + 2 + 4 + 4 + 4 + 4 + 4) * 2);
}

// A window key that a loader passes by means nothing; where one acts on it, caches are no larger than without.
TEST(GgufCaches, HaveWindowsOnlyWhereTheLoaderHas) {
  std::map<std::string, std::set<std::uint64_t>> caches; // with and without the key
  const test::TemporaryDirectory directory;
  for (const GgufCase& c : gguf_cases()) {
    if (c.text("id") != c.text("architecture")) continue;
    for (const bool given : {false, true}) {
      GgufCase changed = c;
      changed.file["keys"].erase("attention.sliding_window");
      if (given) changed.file["keys"]["attention.sliding_window"] = 512;
      gguf_file_of(changed).write(directory / "model.gguf");
      const auto plan = test::built_context().plan(loaded(directory / "model.gguf"), request_of_llama_cpp(16384));
      ASSERT_TRUE(plan) << c.text("id") << ": " << plan.error().message;
      caches[c.text("id")].insert(plan->devices[0].kv_cache_bytes);
    }
  }
  std::set<std::string> differ;
  for (const auto& [name, sizes] : caches)
    if (sizes.size() > 1) differ.insert(name);
  EXPECT_EQ(differ,
            (std::set<std::string>{"afmoe", "cohere2", "cohere2moe", "deepseek4", "exaone-moe", "exaone4", "gemma2", "gemma3", "gemma3n",
                                   "gemma4", "gpt-oss", "laguna", "lfm2", "mellum", "mimo2", "olmo2", "plamo3", "smallthinker", "step35"}));
}

// Each architecture that a family teaches has a case, and what is not planned says so.
TEST(GgufFamilies, HaveACaseForEachArchitecture) {
  std::set<std::string> taught, tested;
  for (const GgufWords& words : test::source_gguf().families)
    for (const auto& [name, meanings] : words.architectures) taught.insert(name);
  for (const GgufCase& c : gguf_cases()) tested.insert(c.text("architecture"));
  EXPECT_EQ(taught, tested);
  const auto readme = read_text_file(PLIMSOLL_SOURCE_DIR "/README.md", 1 << 20, ErrorCode::kInternal);
  ASSERT_TRUE(readme);
  EXPECT_THAT(*readme, HasSubstr("of any of " + std::to_string(tested.size()) + " architectures"));
  const auto guide = read_text_file(PLIMSOLL_SOURCE_DIR "/plugins/gguf/README.md", 1 << 20, ErrorCode::kInternal);
  ASSERT_TRUE(guide);
  const test::TemporaryDirectory directory;
  std::ifstream left_out(PLIMSOLL_TEST_DATA "/gguf_not_planned.jsonl");
  std::size_t listed = taught.size();
  for (std::string line; std::getline(left_out, line); ++listed) {
    const Json row = Json::parse(line);
    const std::string name = row["architecture"];
    EXPECT_FALSE(taught.contains(name)) << name;
    EXPECT_THAT(*guide, HasSubstr("| `" + name + "` | " + row["why"].get<std::string>() + " |"));
    if (name == "gptj") continue; // a model_type too
    test::GgufWriter writer = gguf_with_keys(name, Json::parse(R"({"block_count": 2, "embedding_length": 64, "attention.head_count": 4})"));
    add_half_tensor(writer, "token_embd.weight", {64, 100});
    writer.write(directory / "model.gguf");
    const auto model = test::built_context().load(directory / "model.gguf");
    ASSERT_FALSE(model) << name;
    EXPECT_EQ(model.error().code, ErrorCode::kUnsupportedArchitecture) << name;
  }
  EXPECT_EQ(listed, 138U); // that llama.cpp lists at 3018a11, 2026-07-29
}

// What a family plans it can run too, where a file is as converters write them: most of these go without what a loader does not insist on.
TEST(GgufFamilies, DescribeTheFilesThatTheyPlan) {
  std::set<std::string> whole{"cohere2",    "exaone4",   "exaone4-small",      "glm4",      "lfm2",       "lfm2moe",
                              "minimax-m2", "qwen3next", "qwen3next-interval", "qwen35moe", "qwen3vlmoe", "smollm3"};
  const test::TemporaryDirectory directory;
  for (const GgufCase& c : gguf_cases()) {
    const std::string architecture = c.text("architecture"), id = c.text("id");
    if (whole.erase(id) == 0) continue;
    test::GgufWriter writer = gguf_file_of(c);
    for (const char* key : {"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"})
      writer.f32(architecture + "." + key, 1e-5F);
    if (architecture == "cohere2") writer.f32("cohere2.logit_scale", 0.5F);
    writer.write(directory / "model.gguf");
    const Model model = loaded(directory / "model.gguf");
    EXPECT_NE(model.info().family, "gguf") << id;
    PlanRequest run;
    run.engine = "reference";
    run.devices = "cpu=900GiB";
    run.max_length = 256;
    const auto program = test::built_context().program(model, run, 0);
    EXPECT_TRUE(program) << id << ": " << program.error().message;
  }
  EXPECT_EQ(whole, std::set<std::string>{});
}

// A header that was fetched alone plans as the whole file does, and says so.
TEST(GgufHeaders, PlanWithoutTheirTensors) {
  const test::TemporaryDirectory directory;
  for (const GgufCase& c : gguf_cases()) {
    if (c.text("id") != "llama" && c.text("id") != "glm4moe") continue;
    const test::GgufWriter writer = gguf_file_of(c);
    test::write_text(directory / "model.gguf", writer.start());
    const Model model = loaded(directory / "model.gguf");
    const auto plan = test::built_context().plan(model, request_of_llama_cpp(16384));
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->devices[0].weights_bytes, c.bytes("device_bytes"));
    const auto says =
        std::find_if(plan->warnings.begin(), plan->warnings.end(), [](const Warning& w) { return w.code == WarningCode::kMissingTensors; });
    ASSERT_NE(says, plan->warnings.end());
    EXPECT_THAT(says->message, HasSubstr("before their tensors do"));
    PlanRequest run;
    run.engine = "reference";
    run.devices = "cpu=900GiB";
    const auto program = test::built_context().program(model, run, 0);
    EXPECT_FALSE(program);
  }
}

// No figure of a plan may leave the buffers of expert parallelism out.
TEST(GgufExperts, AreNotSpreadOverRanks) {
  const test::TemporaryDirectory directory;
  for (const GgufCase& c : gguf_cases()) {
    if (c.text("id") != "glm4moe") continue;
    gguf_file_of(c).write(directory / "model.gguf");
    PlanRequest request;
    request.devices = "2x900GiB";
    request.max_length = 4096;
    EXPECT_TRUE(test::built_context().plan(loaded(directory / "model.gguf"), request));
    request.ep = 2;
    const auto plan = test::built_context().plan(loaded(directory / "model.gguf"), request);
    ASSERT_TRUE(!plan || plan->error);
    EXPECT_THAT(plan ? plan->error->message : plan.error().message, HasSubstr("expert parallelism"));
  }
}

// Files that no loader takes are refused with what is wrong, not planned.
TEST(GgufHeaders, AreRefusedWhereTheyContradictThemselves) {
  struct Row {
    const char *architecture, *keys, *says;
  };
  const Row rows[] = {
      {"bloom", R"({"block_count": 4, "embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": [1, 2]})",
       "has 2 entries; one for each of the 4 layers was expected"},
      {"mimo2", R"({"block_count": 4, "embedding_length": 64, "attention.head_count": 4, "attention.sliding_window": 8,
                    "attention.sliding_window_pattern": [1, 0, 1]})",
       "has 3 entries; one for each of the 4 layers was expected"},
      {"mamba", R"({"block_count": 4, "embedding_length": 64})", "a number above 0 was expected, found nothing"},
      {"plamo2", R"({"block_count": 4, "embedding_length": 64, "attention.head_count_kv": [0, 0, 0, 0]})", "key is missing"},
      {"jamba",
       R"({"block_count": 4, "embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": [0, 2], "ssm.conv_kernel": 4,
                    "ssm.inner_size": 128, "ssm.state_size": 16, "ssm.time_step_rank": 4})",
       "(a GGUF file has it under 'jamba.attention.head_count_kv')"},
      {"mamba2", R"({"block_count": 4, "embedding_length": 64, "ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 16,
                    "ssm.time_step_rank": 4, "ssm.group_count": 3})",
       "(a GGUF file has it under 'mamba2.ssm.group_count')"},
      {"mamba2", R"({"block_count": 4, "embedding_length": 64, "ssm.conv_kernel": 4, "ssm.inner_size": 130, "ssm.state_size": 16,
                    "ssm.time_step_rank": 4, "ssm.group_count": 1})",
       "(a GGUF file has it under 'mamba2.ssm.inner_size', 'mamba2.ssm.time_step_rank')"},
      {"nanbeige", R"({"block_count": 4, "embedding_length": 64, "attention.head_count": 4, "num_loops": 1000000})", "at most 64"},
      {"bloom", R"({"block_count": 400000, "embedding_length": 64, "attention.head_count": 4})", "1 to 4096 layers"},
      {"lfm2", R"({"block_count": 2, "embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": [0, 1]})",
       "a number above 0 was expected, found nothing"},
  };
  const test::TemporaryDirectory directory;
  for (const Row& row : rows) {
    test::GgufWriter writer = gguf_with_keys(row.architecture, Json::parse(row.keys));
    add_half_tensor(writer, "token_embd.weight", {64, 100});
    writer.write(directory / "model.gguf");
    const auto model = test::built_context().load(directory / "model.gguf");
    ASSERT_FALSE(model) << row.keys;
    EXPECT_EQ(model.error().code, ErrorCode::kBadConfig) << row.keys;
    EXPECT_THAT(model.error().message, HasSubstr(row.says)) << row.keys;
  }
}

} // namespace
} // namespace plimsoll::testing
