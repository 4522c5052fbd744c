// Plans, their formats and exit codes, and what happens when the output cannot be written.
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

std::vector<std::string> plan_of(const std::string& devices, std::vector<std::string> more = {}) {
  std::vector<std::string> out{"plan", data_path("llama"), "--devices", devices};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(CliPlan, FitsInEveryFormatAndSaysTheSame) {
  const Outcome json = run(plan_of("80GiB", {"--format", "json"}));
  ASSERT_EQ(json.code, 0) << json.out << json.err;
  const Json document = Json::parse(json.out);
  EXPECT_THAT(document["verdict"].get<std::string>(), AnyOf("fits", "tight"));
  EXPECT_EQ(document["model"]["parameters"], 8030261248U);
  EXPECT_EQ(document["totals"]["weights_bytes"], 16060522496U);
  std::int64_t sum = 0;
  for (const char* part : {"weights_bytes", "activation_bytes", "signal_buffer_bytes", "vision_cache_bytes", "overhead_bytes",
                           "kv_cache_bytes", "unused_bytes"})
    sum += document["devices"][0][part].get<std::int64_t>();
  EXPECT_EQ(sum, document["devices"][0]["budget_bytes"].get<std::int64_t>());
  const Outcome yaml = run(plan_of("80GiB", {"--format", "yaml"}));
  EXPECT_EQ(yaml.code, 0);
  EXPECT_EQ(YAML::Load(yaml.out)["totals"]["weights_bytes"].as<std::uint64_t>(), 16060522496U);
  const Outcome table = run(plan_of("80GiB"));
  EXPECT_EQ(table.code, 0);
  EXPECT_THAT(table.out, AnyOf(StartsWith("fits:"), StartsWith("tight:")));
  EXPECT_THAT(table.out, HasSubstr("14.96"));
  EXPECT_THAT(table.out, Not(HasSubstr("\x1b")));
}

// The documented sizes of one sequence's state: in the model's type, and as the checkpoint asks.
TEST(CliPlan, KeepsRecurrentStateInTheEnginesType) {
  for (const auto& [engine, bytes] : {std::pair("max", 78446592U), std::pair("vllm", 153944064U)}) {
    const Outcome outcome = run({"plan", "Qwen/Qwen3.6-27B", "--devices", "1xH200", "--engine", engine, "--format", "json"});
    ASSERT_EQ(outcome.code, 0) << outcome.out;
    std::uint64_t sum = 0;
    const Json document = Json::parse(outcome.out);
    for (const Json& group : document["kv_cache"]["groups"]) sum += group["state_bytes_per_sequence"].get<std::uint64_t>();
    EXPECT_EQ(sum, bytes) << engine;
  }
}

TEST(CliPlan, EqualInputGivesIdenticalBytes) {
  for (const std::string format : {"json", "yaml", "table"})
    EXPECT_EQ(run(plan_of("2x80GiB", {"--format", format})).out, run(plan_of("2x80GiB", {"--format", format})).out);
}

TEST(CliPlan, DoesNotFitIsExitCodeOneWithTheShortfall) {
  const Outcome json = run(plan_of("8GiB", {"--format", "json"}));
  EXPECT_EQ(json.code, 1) << json.out << json.err;
  const Json document = Json::parse(json.out);
  EXPECT_EQ(document["verdict"], "does_not_fit");
  EXPECT_LT(document["devices"][0]["unused_bytes"].get<std::int64_t>(), 0);
  EXPECT_FALSE(document["error"].is_null());
  const Json& reason = document["devices"][0]["reasons"][0]; // what is short of the budget before there is a KV cache
  EXPECT_EQ(reason["limit"], "budget");
  EXPECT_EQ(reason["limit_bytes"], document["devices"][0]["budget_bytes"]);
  EXPECT_EQ(reason["bytes"].get<std::int64_t>(), -document["devices"][0]["unused_bytes"].get<std::int64_t>());
  EXPECT_FALSE(Json::parse(run(plan_of("80GiB", {"--format", "json"})).out)["devices"][0].contains("reasons"));
  const Outcome table = run(plan_of("8GiB"));
  EXPECT_EQ(table.code, 1);
  EXPECT_THAT(table.out, StartsWith("does not fit:"));
  EXPECT_THAT(table.out, HasSubstr("short by"));
}

// One figure is short in the sentence; what the whole device has is said beside it.
TEST(CliPlan, OneShortfallInTheVerdict) {
  Invocation wide;
  wide.arguments = {"plan", "deepseek-ai/DeepSeek-V3", "--devices", "8xH100", "--engine", "vllm", "--ep", "8", "--quiet"};
  wide.environment = {"COLUMNS=200"};
  const Outcome outcome = run(wide);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("8 of 8 devices are short"));
  EXPECT_THAT(outcome.out, HasSubstr("is short by 12.55 GiB;"));
  EXPECT_THAT(outcome.out, HasSubstr("of a budget of 72.85 GiB: 12.55 GiB"));
  EXPECT_THAT(outcome.out, HasSubstr("78.58 GiB free\n"));
}

// What a length and a batch need: given as the KV cache's size it is enough, and a byte less is not.
TEST(CliPlan, TheKvThatIsNeededIsSaidBesideWhatIsSetAside) {
  for (const std::string model : {"meta-llama/Llama-3.1-8B", "google/gemma-2-9b-it", "deepseek-ai/DeepSeek-V2-Lite"}) {
    const std::vector<std::string> asked{"plan",         model, "--devices",        "H200", "--engine", "vllm",
                                         "--max-length", "8K",  "--max-batch-size", "8"};
    const auto with = [&](std::vector<std::string> more) {
      std::vector<std::string> arguments = asked;
      arguments.insert(arguments.end(), more.begin(), more.end());
      return run(arguments);
    };
    const Json document = Json::parse(with({"--format", "json"}).out);
    const auto needed = document["kv_cache"]["needed_bytes_per_device"].get<std::uint64_t>();
    EXPECT_LT(needed, document["devices"][0]["kv_cache_bytes"].get<std::uint64_t>()) << model;
    EXPECT_THAT(with({}).out, HasSubstr("--kv-cache-bytes " + std::to_string(needed)));
    const auto held = [&](std::uint64_t bytes) {
      return Json::parse(with({"--format", "json", "--kv-cache-bytes", std::to_string(bytes)}).out)["limits"]["max_batch_at_max_length"];
    };
    EXPECT_EQ(held(needed), 8) << model;
    EXPECT_EQ(held(needed - 1), 7) << model;
  }
  EXPECT_FALSE(Json::parse(run(plan_of("80GiB", {"--format", "json"})).out)["kv_cache"].contains("needed_bytes_per_device"));
}

TEST(CliPlan, EqualRanksAreOneRow) {
  const Outcome outcome = run(plan_of("8x80GiB"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("0-7"));
}

TEST(CliPlan, LocaleAndColourAreRespected) {
  const auto with = [](std::vector<std::string> more, std::vector<std::string> environment) {
    Invocation request;
    request.arguments = plan_of("80GiB", std::move(more));
    request.environment = std::move(environment);
    return run(request).out;
  };
  EXPECT_THAT(with({}, {"LANG=C.UTF-8"}), HasSubstr("\u2588"));
  EXPECT_THAT(with({}, {"LANG=C.UTF-8", "LC_ALL=C"}), Not(HasSubstr("\u2588")));
  EXPECT_THAT(with({}, {}), HasSubstr("WWW"));
  EXPECT_THAT(with({"--color", "always"}, {"NO_COLOR=1"}), HasSubstr("\x1b["));
  EXPECT_THAT(with({"--color", "auto"}, {}), Not(HasSubstr("\x1b[")));
}

TEST(CliPlan, QuietSaysTheVerdictAlone) {
  const Outcome outcome = run(plan_of("80GiB", {"--quiet"}));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, Not(HasSubstr("Devices")));
  EXPECT_EQ(outcome.err, "");
}

TEST(CliPlan, ModelsThatAreNoneNameTheFile) {
  const auto config = [](const std::string& name, const std::string& text) {
    const std::string folder = scratch_folder() + "/" + name;
    std::filesystem::create_directories(folder);
    return write_scratch(name + "/config.json", text);
  };
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{
           {"empty", ""},
           {"cut", "{\"architectures\": ["},
           {"list", "[]"},
           {"object", "{}"},
           {"number", "1e400"},
           {"deep", std::string(100'000, '[')},
           {"nothing_known", "{\"architectures\": [\"NothingForCausalLM\"], \"model_type\": \"nothing\"}"},
           {"negative", "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": -1}"},
           {"huge", "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 18446744073709551615}"}}) {
    const Outcome outcome = run({"plan", config(name, text), "--devices", "80GiB", "--format", "json"});
    EXPECT_EQ(outcome.code, 2) << name << outcome.out << outcome.err;
    const Json document = Json::parse(outcome.out, nullptr, false);
    ASSERT_FALSE(document.is_discarded()) << name << outcome.out;
    EXPECT_EQ(document["verdict"], "error") << name;
    EXPECT_FALSE(document["error"]["message"].get<std::string>().empty());
    EXPECT_THAT(document["error"]["where"].get<std::string>() + document["error"]["message"].get<std::string>(), HasSubstr(name)) << name;
  }
  for (const std::string model : {"/nonexistent/model", "/", "/dev/null", "no/such-model", "../..", ""}) {
    const Outcome outcome = run({"plan", model, "--devices", "80GiB"});
    EXPECT_EQ(outcome.code, 2) << model << outcome.out;
    EXPECT_THAT(outcome.err, StartsWith("plimsoll: error: ")) << model;
  }
}

TEST(CliPlan, NoControlCharacterOfAModelReachesTheTerminal) {
  const std::string folder = scratch_folder() + "/esc\x1b[31m";
  const Outcome outcome = run({"plan", folder, "--devices", "80GiB"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, Not(HasSubstr("\x1b")));
}

TEST(CliOutput, AFileIsWrittenWholeOrNotAtAll) {
  const std::string expected = run(plan_of("80GiB", {"--format", "json"})).out;
  const std::string path = write_scratch("plan.json", "old");
  chmod(path.c_str(), 0640);
  const Outcome outcome = run(plan_of("80GiB", {"--format", "json", "-o", path}));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(read_text(path), expected);
  struct stat state {};
  ASSERT_EQ(stat(path.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777U, 0640U);
  for (const auto& entry : std::filesystem::directory_iterator(scratch_folder()))
    EXPECT_THAT(entry.path().filename().string(), Not(StartsWith("plan.json.")));
  for (const std::string& bad : {std::string("/nonexistent/plan.json"), scratch_folder()}) {
    const Outcome refused = run(plan_of("80GiB", {"-o", bad}));
    EXPECT_EQ(refused.code, 2) << bad;
    EXPECT_THAT(refused.err, HasSubstr("-o " + bad));
  }
}

// What cannot be written leaves what was there, and nothing else: neither a signal nor a half-written file beside it.
TEST(CliOutput, AFileThatCannotGrowIsAnErrorAndLeavesNothing) {
  const std::string folder = scratch_folder() + "/limited";
  std::filesystem::create_directory(folder);
  const std::string path = folder + "/plan.json";
  std::ofstream(path) << "old";
  Invocation limited;
  limited.arguments = plan_of("8x80GiB", {"--tp", "8", "--format", "json", "-o", path});
  limited.most_file_bytes = 4096;
  const Outcome outcome = run(limited);
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("File too large"));
  EXPECT_THAT(outcome.out, HasSubstr("-o " + path));
  EXPECT_EQ(read_text(path), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()), 1);
  const Outcome full = run(plan_of("80GiB", {"-o", "/dev/full"}));
  EXPECT_EQ(full.code, 2);
  EXPECT_THAT(full.err, HasSubstr("No space left"));
  EXPECT_THAT(full.err, HasSubstr("-o /dev/full"));
}

TEST(CliOutput, AFullDiskIsAnErrorAndAClosedPipeIsNot) {
  Invocation full;
  full.arguments = plan_of("80GiB");
  full.out_path = "/dev/full";
  const Outcome outcome = run(full);
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.err, HasSubstr("No space left"));
  full.arguments.insert(full.arguments.end(), {"--format", "json"});
  EXPECT_EQ(run(full).code, 4);
  Invocation closed;
  closed.arguments = plan_of("80GiB");
  closed.closed_pipe = true;
  EXPECT_EQ(run(closed).code, 0);
  EXPECT_EQ(run(closed).err, "");
}

TEST(CliExplain, EveryItemOfThePlanIsShown) {
  const Outcome json = run({"explain", data_path("llama"), "--devices", "2x80GiB", "--format", "json"});
  ASSERT_EQ(json.code, 0) << json.out << json.err;
  const Json document = Json::parse(json.out);
  std::uint64_t weights = 0;
  for (const Json& item : document["items"])
    if (item["category"] == "weights") weights += item["bytes"].get<std::uint64_t>();
  EXPECT_EQ(weights, document["totals"]["weights_bytes"].get<std::uint64_t>());
  const Outcome table = run({"explain", data_path("llama"), "--devices", "2x80GiB"});
  EXPECT_EQ(table.code, 0);
  EXPECT_THAT(table.out, HasSubstr("Ranks 0-1"));
}

TEST(CliWeights, ClassesAndRanks) {
  const Outcome json = run({"weights", data_path("llama"), "--devices", "2x80GiB", "--format", "json"});
  ASSERT_EQ(json.code, 0) << json.out << json.err;
  const Json document = Json::parse(json.out);
  EXPECT_EQ(document["schema"], "plimsoll.weights/1");
  EXPECT_EQ(document["declared_bytes"], 16060522496U);
  EXPECT_EQ(document["ranks"].size(), 2U);
  EXPECT_THAT(run({"weights", data_path("llama"), "--devices", "2x80GiB"}).out, HasSubstr("Classes"));
  const Json failure = Json::parse(run({"weights", "/nonexistent", "--format", "json"}).out);
  EXPECT_EQ(failure["schema"], "plimsoll.weights/1");
  EXPECT_FALSE(failure["error"].is_null());
}

TEST(CliLists, AreDocuments) {
  for (const std::string name : {"plugins", "devices", "models"}) {
    const Outcome json = run({name, "--format", "json"});
    EXPECT_EQ(json.code, 0) << name << json.out << json.err;
    const Json document = Json::parse(json.out);
    EXPECT_EQ(document["schema"], "plimsoll." + name + "/1");
    EXPECT_TRUE(document["error"].is_null());
    EXPECT_EQ(run({name}).code, 0) << name;
    EXPECT_FALSE(YAML::Load(run({name, "--format", "yaml"}).out)["schema"].as<std::string>().empty());
  }
  EXPECT_EQ(run({"plugins", "inspect", "/nonexistent"}).code == 0, false);
  EXPECT_EQ(run({"plugins", "inspect"}).code, 2);
  EXPECT_EQ(run({"plugins", "remove", "x"}).code, 2);
}

} // namespace
} // namespace plimsoll::cli_test
