// `plimsoll run` as its users run it: text, documents, several requests, refusals before anything is taken.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/tiny_adapter.hpp"
#include "support/tiny_heads.hpp"
#include "support/tiny_vlm.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr const char* kPrompt = "And the LORD said unto ";
// What llama.cpp goes on with, from the same weights.
constexpr const char* kText = "Moses, The LORD shall bring thee up to the house of the LORD, and the LORD said unto me, The LOR";

std::string tiny(const std::string& name) { return std::string(PLIMSOLL_TEST_DATA "/tiny/") + name; }

Outcome run_model(const std::string& name, std::vector<std::string> more) {
  std::vector<std::string> arguments{"run", tiny(name)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run(std::move(arguments));
}

TEST(CliRun, PrintsTheText) {
  const Outcome outcome = run_model("kjv", {"--prompt", kPrompt});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, std::string(kText) + "\n");
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("24 prompt tokens"), HasSubstr("96 generated"), HasSubstr("kv_cache")));
  const Outcome quiet = run_model("kjv", {"--prompt", kPrompt, "--quiet", "--echo", "--max-new-tokens", "6"});
  EXPECT_EQ(quiet.out, "And the LORD said unto Moses,\n");
  EXPECT_EQ(quiet.err, "");
}

TEST(CliRun, SaysInADocumentWhatItTookOfWhatWasPlanned) {
  const Outcome outcome =
      run_model("mla", {"--devices", "64MiB", "--prompt-ids", "5,9,30,41", "--max-new-tokens", "32", "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  const Json document = Json::parse(outcome.out);
  EXPECT_EQ(document["schema"], "plimsoll.run/1");
  ASSERT_EQ(document["outputs"].size(), 1U);
  EXPECT_EQ(document["outputs"][0]["tokens"].size(), 32U);
  EXPECT_EQ(document["outputs"][0]["status"], "maximum_length");
  std::uint64_t taken = 0;
  for (const Json& usage : document["usage"]) {
    EXPECT_EQ(usage["rank"], 0);
    EXPECT_EQ(usage["planned_bytes"], usage["peak_bytes"]) << usage["category"];
    taken += usage["peak_bytes"].get<std::uint64_t>();
  }
  EXPECT_GT(taken, 901'696U); // the weights
  EXPECT_GT(document["tokens_per_second"]["generated"].get<double>(), 0);
  EXPECT_TRUE(document["error"].is_null());
}

TEST(CliRun, RanksSayWhatOneSays) {
  const Outcome two =
      run_model("kjv", {"--prompt", kPrompt, "--max-new-tokens", "6", "--tp", "2", "--devices", "2x64MiB", "--format", "json"});
  ASSERT_EQ(two.code, 0) << two.out;
  const Json document = Json::parse(two.out);
  EXPECT_EQ(document["outputs"][0]["text"], "Moses,");
  std::vector<std::uint64_t> ranks;
  for (const Json& usage : document["usage"]) {
    EXPECT_EQ(usage["peak_bytes"], usage["planned_bytes"]) << usage;
    if (usage["category"] == "signal_buffer" && usage["peak_bytes"] > 0) ranks.push_back(usage["rank"]);
  }
  EXPECT_THAT(ranks, ::testing::ElementsAre(0, 1));
  const Outcome text = run_model("kjv", {"--prompt", kPrompt, "--max-new-tokens", "1", "--tp", "2", "--devices", "2x64MiB"});
  EXPECT_THAT(text.err, AllOf(HasSubstr("rank 0  weights"), HasSubstr("rank 1  weights")));
  const Outcome refused = run_model("mla", {"--prompt-ids", "5", "--tp", "3", "--devices", "3x64MiB"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--tp"));
}

TEST(CliRun, ADraftChangesNothingButWhatIsSaidOfIt) {
  const Outcome outcome = run_model("kjv", {"--prompt", kPrompt, "--max-new-tokens", "12", "--draft", tiny("kjv"), "--num-draft-tokens",
                                            "3", "--devices", "64MiB", "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  const Json document = Json::parse(outcome.out);
  const Json& of = document["outputs"][0];
  EXPECT_EQ(of["text"], std::string(kText).substr(0, 12));
  EXPECT_EQ(of["drafted_tokens"], 9); // three steps of four tokens: as many as it may have
  EXPECT_EQ(of["accepted_tokens"], 9);
  for (const Json& usage : document["usage"]) EXPECT_EQ(usage["planned_bytes"], usage["peak_bytes"]) << usage["category"];
  const Outcome refused = run_model("kjv", {"--prompt", kPrompt, "--draft", tiny("kjv")});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--num-draft-tokens"));
}

// Without --draft the checkpoint's own head drafts; here one that knows what follows.
TEST(CliRun, AHeadOfTheModelsOwnChangesNothingButWhatIsSaidOfIt) {
  const std::string folder = scratch_folder() + "/headed";
  test::write_tiny_folder(test::tiny_head("head_glm4_moe", {.knows = true, .of_layers = 0}), folder);
  const auto outputs = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"run",       folder,  "--prompt",     kPrompt, "--max-new-tokens", "13",
                                       "--devices", "64MiB", "--max-length", "64",    "--format",         "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out);
  };
  const Json plain = outputs({}), headed = outputs({"--num-draft-tokens", "3"});
  EXPECT_EQ(headed["outputs"][0]["tokens"], plain["outputs"][0]["tokens"]);
  EXPECT_EQ(plain["outputs"][0]["drafted_tokens"], 0);
  EXPECT_EQ(headed["outputs"][0]["drafted_tokens"], 9); // one token, then three steps of four
  EXPECT_EQ(headed["outputs"][0]["accepted_tokens"], 9);
  for (const Json& usage : headed["usage"]) EXPECT_EQ(usage["planned_bytes"], usage["peak_bytes"]) << usage["category"];
  const Outcome none = run({"run", tiny("kjv"), "--prompt", kPrompt, "--num-draft-tokens", "3", "--devices", "64MiB"});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("no multi-token-prediction layers"));
}

TEST(CliRun, TakesAFileOfRequests) {
  const std::string file =
      write_scratch("requests.jsonl", "{\"prompt\": \"In the beginning God \", \"max_new_tokens\": 9}\n\n"
                                      "{\"prompt_ids\": [1, 68, 113, 103], \"id\": 77, \"max_new_tokens\": 3, \"logprobs\": 2}\n");
  const Outcome outcome = run_model("kjv", {"--requests", file, "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  const Json document = Json::parse(outcome.out);
  ASSERT_EQ(document["outputs"].size(), 2U);
  EXPECT_EQ(document["outputs"][0]["text"], "of the ch");
  EXPECT_TRUE(document["outputs"][0]["log_probabilities"].is_null());
  EXPECT_EQ(document["outputs"][1]["request"], 77);
  const Json& of = document["outputs"][1]["log_probabilities"];
  EXPECT_EQ(of["tokens"], document["outputs"][1]["tokens"]);
  for (const Json& row : of["top_log_probabilities"]) EXPECT_GE(row.size(), 2U);
  const Outcome text = run_model("kjv", {"--requests", file, "--quiet"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("--- request 0 (maximum_length)\nof the ch\n"), HasSubstr("--- request 77 (maximum_length)\n")));
}

// Requests with an adapter and without in one batch; whoever has it says what merged weights say, and its bytes are planned ones.
TEST(CliRun, RequestsGoThroughAdapters) {
  const test::TinyModel model = test::tiny_model("llama");
  const test::TinyAdapter adapter = test::tiny_adapter(model);
  const std::string file =
      write_scratch("lora.jsonl", "{\"prompt_ids\": [5, 9, 30]}\n{\"prompt_ids\": [5, 9, 30], \"adapter\": \"mine\"}\n");
  const std::string at = file.substr(0, file.rfind('/') + 1) + "lora-";
  test::write_tiny_folder(model, at + "base");
  test::write_tiny_folder(test::merged(model, adapter), at + "merged");
  test::write_tiny_adapter(adapter, at + "adapter");
  const auto tokens = [&](const std::string& folder, std::vector<std::string> more) {
    std::vector<std::string> arguments{"run", at + folder, "--devices", "64MiB", "--max-new-tokens", "6", "--format", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(std::move(arguments));
    EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
    const Json document = Json::parse(outcome.out);
    for (const Json& usage : document["usage"]) EXPECT_EQ(usage["planned_bytes"], usage["peak_bytes"]) << usage["category"];
    return document["outputs"];
  };
  const std::string lora = "mine=" + at + "adapter";
  const Json both = tokens("base", {"--requests", file, "--lora", lora, "--max-lora-rank", "4"});
  const Json merged = tokens("merged", {"--prompt-ids", "5,9,30"}), plain = tokens("base", {"--prompt-ids", "5,9,30"});
  EXPECT_EQ(both[0]["tokens"], plain[0]["tokens"]);
  EXPECT_EQ(both[1]["tokens"], merged[0]["tokens"]);
  EXPECT_NE(merged[0]["tokens"], plain[0]["tokens"]);
  EXPECT_EQ(tokens("base", {"--prompt-ids", "5,9,30", "--lora", lora, "--adapter", "mine"})[0]["tokens"], merged[0]["tokens"]);
}

// A seed is a text, whoever else is in the batch.
TEST(CliRun, DrawsTheSameFromTheSameSeed) {
  const auto drawn = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{"--prompt", kPrompt, "--temperature",    "0.9", "--top-k", "40",
                                       "--top-p",  "0.95",  "--max-new-tokens", "24",  "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_model("kjv", arguments).out;
  };
  EXPECT_EQ(drawn({"--seed", "5"}), drawn({"--seed", "5"}));
  EXPECT_NE(drawn({"--seed", "5"}), drawn({"--seed", "6"}));
}

TEST(CliRun, EchoGivesThePromptsLogProbabilities) {
  const Outcome outcome =
      run_model("kjv", {"--prompt-ids", "1,68,113,103,35", "--echo", "--logprobs", "1", "--max-new-tokens", "2", "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  const Json of = Json::parse(outcome.out)["outputs"][0]["log_probabilities"];
  ASSERT_EQ(of["tokens"].size(), 6U); // four of the prompt's five tokens follow another one
  EXPECT_EQ(of["tokens"][0], 68);
}

TEST(CliRun, RefusesBeforeAnythingIsTaken) {
  struct Row {
    std::vector<std::string> arguments;
    int code;
    const char* message;
  };
  const std::string bad = write_scratch("bad.jsonl", "{\"prompt\": \"a\"}\n{\"promt\": \"b\"}\n");
  for (const Row& row :
       {Row{{"run", tiny("kjv"), "--prompt", "a", "--devices", "5MiB"}, 1, "rank 0"},
        Row{{"run", tiny("kjv")}, 2, "one of --prompt, --prompt-ids and --requests was expected"},
        Row{{"run", tiny("kjv"), "--prompt", ""}, 2, "is empty"},
        Row{{"run", tiny("kjv"), "--prompt-ids", "5,,9"}, 2, "ids with commas between them were expected"},
        Row{{"run", tiny("kjv"), "--prompt-ids", "5,9999"}, 2, "9999"},
        Row{{"run", tiny("kjv"), "--requests", bad}, 2, "bad.jsonl: line 2: /promt"},
        Row{{"run", tiny("kjv"), "--requests", "no-such.jsonl"}, 2, "cannot be opened"},
        Row{{"run", tiny("mla"), "--prompt-ids", "5", "--dp", "2", "--ep", "3", "--devices", "2x64MiB"}, 2, "does not divide"},
        Row{{"run", "meta-llama/Llama-3.1-8B", "--prompt", "a", "--devices", "80GiB"}, 2, "there are no weights to load"},
        Row{{"run", "microsoft/Phi-3.5-vision-instruct", "--prompt", "a", "--devices", "80GiB"}, 2, ""},
        Row{{"run", tiny("kjv"), "--prompt", "a", "--dtype", "bfloat16"}, 2, "weights are loaded as they are stored"},
        Row{{"run", tiny("kjv"), "--prompt", "a", "--lora", "x=/no/such/folder"}, 2, "is no directory"},
        Row{{"run", tiny("kjv"), "--prompt", "a", "--lora", "x=" + tiny("kjv")}, 2, "adapter_config.json"},
        Row{{"run", tiny("kjv"), "--prompt", "a", "--adapter", "x"}, 2, "give --max-loras"},
        Row{{"run", tiny("kjv"), "--prompt", "a", "--max-loras", "1", "--adapter", "x"}, 2, "no adapter is called 'x'"},
        Row{{"run", tiny("kjv"), "--prompt", "a", "--engine", "max", "--max-loras", "1"}, 2, "--engine reference"},
        Row{{"run", tiny("kjv"), "--prompt", "a", "--device-backend", "tpu"}, 2, "give cpu or cuda"},
        Row{{"verify", tiny("kjv"), "--run", "--device-backend", "tpu"}, 2, "give cpu or cuda"},
        Row{{"run", "no-such-model", "--prompt", "a"}, 2, "no-such-model"}}) {
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.code, row.code) << ::testing::PrintToString(row.arguments) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr(row.message));
  }
}

TEST(CliRun, AGpuIsComputedOnOrSaidToBeMissing) {
  const Outcome outcome = run({"run", tiny("kjv"), "--prompt", "In the", "--max-new-tokens", "2", "--device-backend", "cuda"});
  if (outcome.code == 0) return;
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("--device-backend cpu"));
}

TEST(CliRun, APromptBeyondTheModelsLengthIsARequestsOwnError) {
  const std::string file =
      write_scratch("long.jsonl", "{\"prompt\": \"" + std::string(400, 'a') + "\"}\n{\"prompt\": \"b\", \"max_new_tokens\": 2}\n");
  const Outcome outcome = run_model("kjv", {"--requests", file, "--format", "json"});
  EXPECT_EQ(outcome.code, 2) << outcome.out;
  const Json document = Json::parse(outcome.out);
  ASSERT_TRUE(document.contains("outputs"));
  EXPECT_EQ(document["outputs"][1]["tokens"].size(), 2U);
  EXPECT_THAT(outcome.out, HasSubstr("256"));
}

// A model that sees, with its preprocessor, and a picture; removed at its end.
struct SeeingFolder {
  SeeingFolder() {
    std::filesystem::create_directories(path);
    test::write_tiny_folder(test::tiny_vlm(), path);
    write("preprocessor_config.json", test::tiny_preprocessor_config());
    picture("one.ppm", 16, 24);
    picture("odd.ppm", 20, 24);
  }
  ~SeeingFolder() {
    std::error_code failed;
    std::filesystem::remove_all(path, failed);
  }
  void write(const std::string& name, const std::string& bytes) const { std::ofstream(path + "/" + name, std::ios::binary) << bytes; }
  void picture(const std::string& name, std::uint32_t height, std::uint32_t width) const {
    const std::vector<std::uint8_t> rgb = test::tiny_picture(height, width, 1);
    write(name, "P6\n" + std::to_string(width) + " " + std::to_string(height) + "\n255\n" + std::string(rgb.begin(), rgb.end()));
  }
  Outcome run_with(const std::string& image) const {
    return run({"run", path, "--prompt-ids", "1,9,77,301,300,302,5,40,41", "--image", path + "/" + image, "--max-new-tokens", "12",
                "--ignore-end", "--max-length", "64", "--devices", "64MiB", "--format", "json"});
  }
  std::string path = ::testing::TempDir() + "plimsoll-seeing-" + std::to_string(::getpid());
};

TEST(CliRun, SeesImages) {
  const SeeingFolder folder;
  const Outcome outcome = folder.run_with("one.ppm");
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  const Json document = Json::parse(outcome.out);
  EXPECT_EQ(document["outputs"][0]["tokens"], (Json{159, 190, 39, 19, 90, 229, 51, 212, 51, 212, 51, 212})); // tests/data/tiny/vlm.json
  bool cached = false;
  for (const Json& usage : document["usage"]) {
    EXPECT_EQ(usage["planned_bytes"], usage["peak_bytes"]) << usage["category"];
    cached = cached || (usage["category"] == "vision_cache" && usage["peak_bytes"] > 0);
  }
  EXPECT_TRUE(cached);
}

TEST(CliRun, RefusesImagesThatItCannotShow) {
  const SeeingFolder folder;
  const Outcome odd = folder.run_with("odd.ppm");
  EXPECT_EQ(odd.code, 2);
  EXPECT_THAT(odd.out, HasSubstr("multiples of 8"));
  const Outcome none = folder.run_with("config.json");
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.out, HasSubstr("no binary PPM"));
  std::filesystem::remove(folder.path + "/preprocessor_config.json");
  EXPECT_EQ(folder.run_with("one.ppm").code, 2);
}

} // namespace
} // namespace plimsoll::cli_test
