// What a stranger's folder does to everybody else's plans: nothing. Folders that are refused, on every search path at once, and good ones
// that claim what is built in without being preferred.
#include <filesystem>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr const char* kModels[] = {"meta-llama/Llama-3.1-8B",          "deepseek-ai/DeepSeek-V3",    "Qwen/Qwen3-8B",
                                   "meta-llama/Llama-3.1-70B",         "openai/gpt-oss-20b",         "google/gemma-3-27b-it",
                                   "Qwen/Qwen3-Next-80B-A3B-Instruct", "mistralai/Mixtral-8x7B-v0.1"};

// A folder whose manifest is `head`, with one fault, and claims all that it can.
struct Stranger {
  const char* name;
  const char* head;
  mode_t mode = 0644; // of the manifest
};
constexpr const char* kClaims = R"(
aliases: {llama: qwen3, LlamaForCausalLM: qwen3, deepseek_v3: llama}
types: {bfloat8: {bytes: 1}}
families:
  - id: dense
    aspects: [embedding, attention, ffn, head]
    signal_buffers: always
    architectures: [LlamaForCausalLM, DeepseekV3ForCausalLM, Qwen3ForCausalLM, Qwen2_5_VLForConditionalGeneration]
    model_types: [llama, qwen3, deepseek_v3, gemma3_text]
    class_defaults: {llama: {head_dim: 1, sliding_window: 128}, qwen3: {num_key_value_heads: 1}}
)";
constexpr const char* kGood = "schema: plimsoll.plugin/1\nversion: 1.0.0\nvendor: S\nabi: {major: 1, minor: 0, min_host_minor: 0}\n";
const Stranger kRefused[] = {
    {"major",
     "schema: plimsoll.plugin/1\nid: dense\nversion: 1.0.0\nvendor: S\nabi: {major: 9, minor: 0, min_host_minor: 0}\nlibrary: l.so"},
    {"minor",
     "schema: plimsoll.plugin/1\nid: dense\nversion: 1.0.0\nvendor: S\nabi: {major: 1, minor: 9, min_host_minor: 9}\nlibrary: l.so"},
    {"no_library", "id: a1\nlibrary: missing.so\n"},
    {"escapes", "id: a2\nlibrary: ../l.so\n"},
    {"absolute", "id: a3\nlibrary: /etc/passwd\n"},
    {"misspelt", "id: a4\nlibrari: l.so\n"},
    {"version",
     "schema: plimsoll.plugin/1\nid: a5\nversion: banana\nvendor: S\nabi: {major: 1, minor: 0, min_host_minor: 0}\nlibrary: l.so"},
    {"doubled", "id: a6\nlibrary: l.so\nlibrary: l.so\n"},
    {"no_schema", "id: a7\nlibrary: l.so\nschema: plimsoll.plugin/2\n"},
    {"writable", "id: a8\nlibrary: l.so\n", 0666},
    {"id", "id: \"../x\"\nlibrary: l.so\n"},
    {"number", "id: 7\nlibrary: l.so\n"},
    {"bomb", "id: &a [x, x, x, x, x, x, x, x]\nlibrary: [*a, *a, *a, *a]\n"},
    {"not_yaml", "{{{{\n"},
    {"empty", ""},
};

std::string write_strangers(const std::string& place) {
  const std::string root = scratch_folder() + "/" + place;
  for (const Stranger& stranger : kRefused) {
    const std::string folder = place + "/" + stranger.name;
    std::filesystem::create_directories(scratch_folder() + "/" + folder);
    const std::string head = stranger.head;
    const bool whole = head.find("schema: plimsoll.plugin/1") != std::string::npos || head.size() < 6;
    write_scratch(folder + "/plugin.yaml", (whole ? "" : kGood) + head + kClaims);
    write_scratch(folder + "/l.so", "no library at all");
    std::filesystem::permissions(root + "/" + stranger.name + "/plugin.yaml", static_cast<std::filesystem::perms>(stranger.mode));
  }
  return root;
}

Outcome plan(const char* model, const std::vector<std::string>& environment, const std::vector<std::string>& more = {}) {
  Invocation invocation;
  invocation.arguments = {"plan", model, "--devices", "8xH200", "--format", "json"};
  invocation.arguments.insert(invocation.arguments.end(), more.begin(), more.end());
  invocation.environment = environment;
  return run(invocation);
}

TEST(CliStrangers, ThatAreRefusedChangeNoBuiltInPlan) {
  const std::string in_path = write_strangers("refused"), data = write_strangers("data/plimsoll/plugins");
  const std::vector<std::string> environment{"PLIMSOLL_PLUGIN_PATH=" + in_path + ":relative/path",
                                             "XDG_DATA_HOME=" + scratch_folder() + "/data", "HF_HUB_CACHE=/nonexistent"};
  for (const char* model : kModels) {
    const Outcome alone = plan(model, {"HF_HUB_CACHE=/nonexistent"}), beside = plan(model, environment);
    EXPECT_EQ(alone.code, 0) << model << alone.out;
    EXPECT_EQ(beside.code, alone.code) << model;
    EXPECT_EQ(beside.out, alone.out) << model;
  }
  Invocation list;
  list.arguments = {"plugins", "--format", "json"};
  list.environment = environment;
  const Json plugins = Json::parse(run(list).out)["plugins"];
  std::size_t refused = 0;
  for (const Json& plugin : plugins)
    if (plugin["status"] == "refused") {
      ++refused;
      EXPECT_NE(plugin["reason"], "") << plugin["directory"];
      EXPECT_TRUE(plugin["architectures"].empty()) << plugin["directory"];
    }
  EXPECT_EQ(refused, 2 * std::size(kRefused));
}

TEST(CliStrangers, OneByOneOnTheCommandLineAreErrorsThatNameFolderAndReason) {
  const std::string root = write_strangers("single");
  for (const Stranger& stranger : kRefused) {
    const Outcome outcome = run({"plan", "meta-llama/Llama-3.1-8B", "--devices", "1xH100", "--plugin-path", root + "/" + stranger.name});
    EXPECT_EQ(outcome.code, 3) << stranger.name << outcome.err << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr(root + "/" + stranger.name)) << stranger.name;
    EXPECT_THAT(outcome.err, HasSubstr("plugin refused: ")) << stranger.name;
    EXPECT_THAT(outcome.err, ::testing::Not(HasSubstr("check your configuration"))) << stranger.name;
  }
}

// A plugin without code that is right, but claims what is built in: listed, and of effect only where it is preferred.
TEST(CliStrangers, ThatAreGoodReplaceOnlyWhatTheyArePreferredFor) {
  std::filesystem::create_directories(scratch_folder() + "/claims/com.acme.names");
  write_scratch("claims/com.acme.names/plugin.yaml", "schema: plimsoll.plugin/1\nid: com.acme.names\nversion: 1.0.0\nvendor: Acme\n"
                                                     "replaces: [LlamaForCausalLM]\naliases: {LlamaForCausalLM: qwen3, llama: qwen3}\n");
  const std::string names = scratch_folder() + "/claims";
  const std::vector<std::string> cache{"HF_HUB_CACHE=/nonexistent"};
  const Outcome alone = plan(kModels[0], cache), beside = plan(kModels[0], cache, {"--plugin-path", names});
  EXPECT_EQ(beside.code, 0) << beside.err;
  EXPECT_EQ(beside.out, alone.out);
  const Outcome preferred = plan(kModels[0], cache, {"--plugin-path", names, "--prefer", "com.acme.names"});
  ASSERT_EQ(preferred.code, 0) << preferred.err << preferred.out;
  const Json document = Json::parse(preferred.out);
  EXPECT_EQ(document["model"]["planners"][0]["as"], "qwen3");
  EXPECT_EQ(document["model"]["planners"][0]["aliased_by"], "com.acme.names");
  EXPECT_EQ(document["model"]["planners"][0]["replaces"], "dense");
  EXPECT_THAT(document["warnings"].dump(), HasSubstr("com.acme.names 1.0.0 in "));
  EXPECT_THAT(document["warnings"].dump(), HasSubstr("plugin_replaces"));
}

} // namespace
} // namespace plimsoll::cli_test
