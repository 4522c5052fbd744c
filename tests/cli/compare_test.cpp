// plimsoll compare: logs and records, formats, exit codes, and the accuracy over the public starts.
#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <yaml-cpp/yaml.h>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

std::string log_path(const std::string& name) { return std::string(PLIMSOLL_TEST_DATA) + "/logs/" + name; }
const std::string kStarts = std::string(PLIMSOLL_TEST_DATA) + "/engine_starts.jsonl";

Json line_of(const Json& document, const std::string& figure) {
  for (const Json& line : document["lines"])
    if (line["figure"] == figure) return line;
  return {};
}

TEST(CliCompare, ShowsPredictedBesidePrinted) {
  const Outcome outcome = run({"compare", log_path("vllm_v1.log"), "--devices", "A100-80GB", "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  const Json document = Json::parse(outcome.out);
  EXPECT_EQ(document["schema"], "plimsoll.compare/1");
  EXPECT_EQ(document["engine"], "vllm");
  EXPECT_EQ(document["engine_version"], "0.10.1.1");
  EXPECT_EQ(document["model"], "Qwen/Qwen2-7B-Instruct");
  EXPECT_EQ(document["verdict"], "within");
  EXPECT_TRUE(document["error"].is_null());
  const Json tokens = line_of(document, "kv_tokens");
  EXPECT_EQ(tokens["printed"], 464848);
  EXPECT_EQ(tokens["predicted"], 464848);
  EXPECT_EQ(tokens["ratio"], 1.0);
  EXPECT_EQ(tokens["status"], "consistent"); // it follows from the printed memory
  EXPECT_TRUE(tokens["within"].is_null());
  EXPECT_EQ(line_of(document, "available_kv_bytes")["status"], "within");
  EXPECT_EQ(line_of(document, "available_kv_bytes")["within"], true);
  EXPECT_EQ(line_of(document, "start")["printed"], "started");
  EXPECT_EQ(line_of(document, "start")["predicted"], "fits");
  EXPECT_EQ(document["figures"],
            Json::parse(R"({"judged": 3, "within": 3, "beyond": 0, "known_outliers": 0, "consistent": 2, "shown": 0})"));
  EXPECT_EQ(tokens["place"], log_path("vllm_v1.log") + ":7");
  EXPECT_NEAR(line_of(document, "weights_bytes")["ratio"].get<double>(), 1, 0.01);
  EXPECT_EQ(line_of(document, "max_concurrency")["rounding"], 0.005);
  const Outcome yaml = run({"compare", log_path("vllm_v1.log"), "--devices", "A100-80GB", "--format", "yaml"});
  EXPECT_EQ(yaml.code, 0);
  EXPECT_EQ(YAML::Load(yaml.out)["lines"].size(), document["lines"].size());
  const Outcome table = run({"compare", log_path("vllm_v1.log"), "--devices", "A100-80GB"});
  EXPECT_EQ(table.code, 0);
  EXPECT_THAT(table.out, StartsWith("within "));
  EXPECT_THAT(table.out, HasSubstr("464,848"));
  EXPECT_THAT(table.out, HasSubstr("3 judged: 3 within, 0 beyond; 2 consistent with other printed figures, 0 only shown"));
  EXPECT_THAT(table.out, Not(HasSubstr("\x1b")));
}

using Statuses = std::vector<std::pair<const char*, const char*>>; // of figures

struct LogCase {
  const char* name;
  const char* log;
  std::vector<std::string> options;
  const char* verdict;
  Statuses statuses;
};
void PrintTo(const LogCase& row, std::ostream* out) { *out << row.name; }
class CliCompareLogs : public ::testing::TestWithParam<LogCase> {};

TEST_P(CliCompareLogs, HaveTheirVerdict) {
  const LogCase& row = GetParam();
  std::vector<std::string> arguments{"compare", log_path(row.log), "--format", "json"};
  arguments.insert(arguments.end(), row.options.begin(), row.options.end());
  const Outcome outcome = run(arguments);
  const Json document = Json::parse(outcome.out);
  EXPECT_EQ(document["verdict"], row.verdict) << outcome.out << outcome.err;
  const std::string verdict = row.verdict;
  EXPECT_EQ(outcome.code, verdict == "within" ? 0 : verdict == "beyond" ? 1 : 2);
  for (const auto& [figure, status] : row.statuses) {
    const Json line = line_of(document, figure);
    EXPECT_EQ(line.is_null() ? "no line" : line["status"], status) << figure << ": " << outcome.out;
  }
  for (const Json& line : document["lines"])
    EXPECT_TRUE(line["status"] != "shown" || !line["note"].get<std::string>().empty()) << line << " is shown without a reason";
}

const std::string kLlama = "meta-llama/Llama-3.1-8B";

INSTANTIATE_TEST_SUITE_P(
    All, CliCompareLogs,
    ::testing::Values(
        LogCase{"v0",
                "vllm_v0.log",
                {},
                "within",
                {{"weights_bytes", "within"}, {"available_kv_bytes", "within"}, {"kv_blocks", "consistent"}}},
        LogCase{"v0_old", "vllm_v0_old.log", {}, "within", {{"max_concurrency", "consistent"}}},
        LogCase{
            "v1", "vllm_v1.log", {}, "within", {{"weights_bytes", "within"}, {"available_kv_bytes", "shown"}, {"kv_tokens", "consistent"}}},
        LogCase{"v1_ranks", "vllm_v1_ranks.log", {}, "within", {{"kv_tokens", "consistent"}}},
        LogCase{"v1_refused",
                "vllm_refused.log",
                {},
                "within",
                {{"start", "consistent"}, {"needed_kv_bytes", "within"}, {"estimated_max_length", "consistent"}}},
        // What the configuration says of an unquantised model tells nothing of its weights in 4 bits: shown, with the reason.
        LogCase{"arguments",
                "vllm_arguments.log",
                {"--model", "Qwen/Qwen3.6-27B", "--devices", "2xRTX-3090", "--engine", "vllm@0.24.0"},
                "nothing_judged",
                {{"available_kv_bytes", "shown"}, {"kv_tokens", "consistent"}, {"max_concurrency", "consistent"}}},
        // The block is the plan's own choice, and what follows is held against the printed one.
        LogCase{"hybrid",
                "vllm_hybrid.log",
                {"--model", "Qwen/Qwen3.6-27B", "--set", "engine.prefix_caching=true"},
                "within",
                {{"start", "within"},
                 {"weights_bytes", "within"},
                 {"available_kv_bytes", "within"},
                 {"block_tokens", "within"},
                 {"kv_tokens", "consistent"},
                 {"max_concurrency", "consistent"}}},
        LogCase{"hybrid_of_another_block",
                "vllm_hybrid.log",
                {"--model", "Qwen/Qwen3.6-27B", "--set", "engine.prefix_caching=true", "--set", "engine.state_dtype=bfloat16"},
                "beyond",
                {{"block_tokens", "beyond"}}},
        LogCase{"free_memory", "vllm_free_memory.log", {}, "within", {{"start", "within"}}},
        LogCase{"state_blocks",
                "vllm_state_blocks.log",
                {"--model", "Qwen/Qwen3.6-27B"},
                "nothing_judged",
                {{"start", "consistent"}, {"kv_blocks", "shown"}}},
        LogCase{"out_of_memory", "vllm_out_of_memory.log", {}, "within", {{"start", "within"}, {"refused_bytes", "shown"}}},
        LogCase{
            "sglang", "sglang.log", {}, "within", {{"weights_bytes", "within"}, {"kv_tokens", "within"}, {"kv_cache_bytes", "consistent"}}},
        LogCase{"sglang_hybrid", "sglang_hybrid.log", {}, "within", {{"state_bytes", "consistent"}}},
        LogCase{"sglang_latent", "sglang_latent.log", {}, "within", {{"kv_cache_bytes", "consistent"}}},
        LogCase{"sglang_dictionary",
                "sglang_dictionary.log",
                {"--model", "deepseek-ai/DeepSeek-V4-Flash"},
                "beyond",
                {{"weights_bytes", "beyond"}}},
        LogCase{"sglang_fraction", "sglang_fraction.log", {}, "beyond", {{"start", "within"}, {"weights_bytes", "beyond"}}},
        LogCase{"tensorrt_llm",
                "tensorrt_llm.log",
                {"--model", kLlama},
                "within",
                {{"kv_blocks", "within"}, {"kv_tokens", "consistent"}, {"kv_cache_bytes", "consistent"}}},
        LogCase{"tensorrt_llm_no_memory", "tensorrt_llm_no_memory.log", {"--model", kLlama}, "nothing_judged", {{"start", "shown"}}},
        LogCase{"tensorrt_llm_refused",
                "tensorrt_llm_no_memory.log",
                {"--model", "Qwen/Qwen3-32B", "--device-memory-utilization", "0.9"},
                "within",
                {{"start", "within"}}},
        LogCase{
            "llama_cpp", "llama_cpp.log", {"--model", kLlama}, "within", {{"kv_cache_bytes", "within"}, {"compute_buffer_bytes", "shown"}}},
        LogCase{
            "llama_cpp_windows", "llama_cpp_windows.log", {"--model", "google/gemma-2-2b-it"}, "within", {{"kv_cache_bytes", "within"}}},
        LogCase{"llama_cpp_recurrent", "llama_cpp_recurrent.log", {"--model", "Qwen/Qwen3.6-27B"}, "within", {{"state_bytes", "within"}}},
        LogCase{"llama_cpp_sequences",
                "llama_cpp_sequences.log",
                {"--model", "Qwen/Qwen3.6-27B", "--devices", "24GiB", "--sequences", "3"},
                "within",
                {{"state_bytes", "within"}}},
        LogCase{"llama_cpp_slots",
                "llama_cpp_sequences.log",
                {"--model", "Qwen/Qwen3.6-27B"},
                "nothing_judged",
                {{"state_bytes", "consistent"}}},
        LogCase{
            "llama_cpp_no_memory", "llama_cpp_no_memory.log", {"--model", kLlama, "--devices", "12GiB"}, "within", {{"start", "within"}}},
        LogCase{"llama_cpp_unknown_memory", "llama_cpp_no_memory.log", {"--model", kLlama}, "nothing_judged", {{"start", "shown"}}},
        LogCase{
            "llama_cpp_would_fit", "llama_cpp_no_memory.log", {"--model", kLlama, "--devices", "64GiB"}, "beyond", {{"start", "beyond"}}},
        LogCase{"ik_llama_cpp", "ik_llama_cpp.log", {"--model", "deepseek-ai/DeepSeek-R1"}, "within", {{"kv_cache_bytes", "within"}}},
        LogCase{"llama_cpp_old", "llama_cpp_old.log", {"--model", "Qwen/Qwen3-0.6B"}, "within", {{"compute_buffer_bytes", "shown"}}}),
    [](const auto& info) { return std::string(info.param.name); });

// A log that does not match the plan is not passed because it matches itself.
TEST(CliCompare, CannotFlatter) {
  const std::string head = "INFO 04-02 [core.py:58] Initializing a V1 LLM engine (v0.8.5.post1) with config: model='" + kLlama +
                           "', dtype=torch.bfloat16, max_seq_len=131072, tensor_parallel_size=1, kv_cache_dtype=auto\n";
  const std::string tokens = write_scratch("tokens.log", head + "GPU KV cache size: 100,000 tokens\n"
                                                                "Maximum concurrency for 131,072 tokens per request: 0.76x\n");
  // 100,000 tokens are blocks of 16, and 0.76 of a request: that is all that can be said without the card.
  const Json alone = Json::parse(run({"compare", tokens, "--format", "json"}).out);
  EXPECT_EQ(alone["verdict"], "nothing_judged");
  EXPECT_EQ(line_of(alone, "kv_tokens")["status"], "consistent");
  EXPECT_EQ(line_of(alone, "max_concurrency")["status"], "consistent");
  EXPECT_EQ(run({"compare", tokens}).code, 2);
  const Outcome card = run({"compare", tokens, "--devices", "H100", "--device-memory-utilization", "0.9", "--format", "json"});
  EXPECT_EQ(card.code, 1);
  EXPECT_EQ(line_of(Json::parse(card.out), "kv_tokens")["status"], "beyond");
  EXPECT_GT(line_of(Json::parse(card.out), "kv_tokens")["predicted"], 400'000);
  EXPECT_THAT(Json::parse(card.out)["note"].get<std::string>(), HasSubstr("assumed, as the log does not print it: --max-batch-size"));
  // Tokens that no number of blocks comes to are not consistent even with themselves.
  EXPECT_EQ(run({"compare", write_scratch("odd.log", head + "GPU KV cache size: 100,001 tokens\n")}).code, 1);
  // A fraction that is not printed is not taken for granted, unless the arguments were.
  const std::string memory = "Available KV cache memory: 30.00 GiB\nGPU KV cache size: 245,760 tokens\n";
  const std::string printed = write_scratch("memory.log", head + memory);
  const Outcome unknown = run({"compare", printed, "--devices", "H100", "--format", "json"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_EQ(line_of(Json::parse(unknown.out), "available_kv_bytes")["status"], "shown");
  EXPECT_THAT(line_of(Json::parse(unknown.out), "available_kv_bytes")["note"].get<std::string>(), HasSubstr("--device-memory-utilization"));
  EXPECT_EQ(run({"compare", printed, "--devices", "H100", "--device-memory-utilization", "0.9"}).code, 1);
  const std::string arguments = "INFO 04-02 [api_server.py] non-default args: {'model': '" + kLlama + "'}\n";
  EXPECT_EQ(run({"compare", write_scratch("arguments.log", arguments + head + memory), "--devices", "H100"}).code, 1);
}

// What a start was given and a plan cannot say is never planned as something else.
TEST(CliCompare, SaysWhatItCannotPlan) {
  const auto compared = [](const std::string& argument) {
    const std::string text = "INFO [api_server.py] non-default args: {'model': 'meta-llama/Llama-3.1-8B', 'max_model_len': 8192, " +
                             argument +
                             "}\nvLLM API server version 0.10.1\nAvailable KV cache memory: 50.00 GiB\nGPU KV cache size: 409,600 tokens\n";
    return Json::parse(run({"compare", write_scratch("given.log", text), "--devices", "H100", "--format", "json"}).out);
  };
  const Json offloaded = compared("'cpu_offload_gb': 10.0");
  EXPECT_EQ(line_of(offloaded, "available_kv_bytes")["status"], "shown");
  EXPECT_THAT(line_of(offloaded, "available_kv_bytes")["note"].get<std::string>(), HasSubstr("not planned: cpu_offload_gb=10.0"));
  EXPECT_EQ(line_of(offloaded, "kv_tokens")["status"], "consistent");
  const Json pictured = compared("'limit_mm_per_prompt': {'image': 0}");
  EXPECT_EQ(line_of(pictured, "available_kv_bytes")["status"], "shown");
  EXPECT_EQ(line_of(pictured, "kv_tokens")["status"], "consistent");
  const Json drafted = compared("'speculative_config': {'method': 'eagle3', 'model': 'some/draft', 'num_speculative_tokens': 3}");
  EXPECT_EQ(line_of(drafted, "kv_tokens")["status"], "shown");
  EXPECT_THAT(line_of(drafted, "kv_tokens")["note"].get<std::string>(), HasSubstr("not planned: draft=some/draft"));
  EXPECT_EQ(drafted["model"], "meta-llama/Llama-3.1-8B");
  EXPECT_TRUE(drafted["error"].is_null());
}

TEST(CliCompare, AnswersARefusedStart) {
  const auto compared = [](const std::string& log, std::vector<std::string> options) {
    options.insert(options.begin(), {"compare", log_path(log), "--format", "json"});
    return Json::parse(run(options).out);
  };
  const Json free = compared("vllm_free_memory.log", {});
  EXPECT_THAT(line_of(free, "start")["printed"].get<std::string>(), StartsWith("refused: Free memory on device cuda:0 (30.12/79.19 GiB)"));
  EXPECT_THAT(line_of(free, "start")["predicted"].get<std::string>(), StartsWith("refused: vllm starts only where 0.9"));
  ASSERT_FALSE(free["advice"].empty());
  const auto fraction = std::find_if(free["advice"].begin(), free["advice"].end(),
                                     [](const Json& advice) { return advice["options"].contains("device_memory_utilization"); });
  EXPECT_NE(fraction, free["advice"].end()) << free["advice"].dump(1);
  const Json blocks = compared("vllm_state_blocks.log", {"--model", "Qwen/Qwen3.6-27B"});
  EXPECT_EQ(blocks["advice"][0]["option"], "--max-batch-size");
  EXPECT_EQ(blocks["advice"][0]["value"], 856);
  const Json longest = compared("vllm_refused.log", {});
  EXPECT_EQ(longest["advice"][0]["option"], "--max-length");
  EXPECT_EQ(longest["advice"][0]["value"], 87808);
  EXPECT_THAT(run({"compare", log_path("vllm_refused.log")}).out, HasSubstr("would start with --max-length 87808"));
  // What fails after the engine serves is no start.
  const std::string served = "INFO:     Application startup complete.\nERROR torch.OutOfMemoryError: CUDA out of memory.\n";
  const Outcome later = run(
      {"compare", write_scratch("served.log", read_text(log_path("vllm_v1.log")) + served), "--devices", "A100-80GB", "--format", "json"});
  EXPECT_EQ(line_of(Json::parse(later.out), "start")["printed"], "started");
  EXPECT_EQ(later.code, 0) << later.out;
}

TEST(CliCompare, ProposesNamesForAModelOfItsOwn) {
  const Outcome outcome = run({"compare", log_path("vllm_arguments.log")});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, HasSubstr("Qwen/Qwen3.6-27B"));
  EXPECT_THAT(outcome.out, HasSubstr("--model"));
}

// A plan with the saved profile leaves the KV memory that the log printed, to half of its last place.
TEST(CliCompare, SavesWhatALogMeasured) {
  struct Saved {
    const char* log;
    std::vector<std::string> compared, planned;
    double printed_gib;
  };
  for (const Saved& row :
       {Saved{"vllm_v0.log",
              {},
              {"Qwen/Qwen2.5-0.5B-Instruct", "--devices", "x=23.55GiB", "--device-memory-utilization", "0.22", "--max-length", "8192"},
              2.79},
        Saved{"vllm_v1.log",
              {"--devices", "A100-80GB"},
              {"Qwen/Qwen2-7B-Instruct", "--devices", "A100-80GB", "--device-memory-utilization", "0.5", "--max-length", "16384",
               "--max-batch-size", "256", "--max-batch-input-tokens", "2048"},
              24.83},
        Saved{"vllm_hybrid.log",
              {"--model", "Qwen/Qwen3.6-27B"},
              {"Qwen/Qwen3.6-27B", "--devices", "x=94.97GiB:94.43GiB", "--device-memory-utilization", "0.9", "--max-length", "8192",
               "--max-batch-size", "256", "--max-batch-input-tokens", "8192"},
              31.24}}) {
    const std::string profile = scratch_folder() + "/measured.yaml";
    std::vector<std::string> compare{"compare", log_path(row.log), "--save-profile", profile};
    compare.insert(compare.end(), row.compared.begin(), row.compared.end());
    EXPECT_LE(run(compare).code, 1) << row.log;
    std::vector<std::string> plan{"plan", "--engine", profile, "--format", "json"};
    plan.insert(plan.end(), row.planned.begin(), row.planned.end());
    const Outcome outcome = run(plan);
    ASSERT_EQ(outcome.code, 0) << row.log << outcome.out << outcome.err << read_text(profile);
    const Json document = Json::parse(outcome.out);
    const Json& device = document["devices"][0];
    const double left = device["kv_cache_bytes"].get<double>() + device["unused_bytes"].get<double>();
    EXPECT_NEAR(left / 1073741824, row.printed_gib, 0.005) << row.log;
    EXPECT_TRUE(
        std::any_of(document["items"].begin(), document["items"].end(), [](const Json& item) { return item["basis"] == "measured"; }));
  }
  // One start, something measured, a place to write to; a file that was there stays whole.
  const std::string kept = write_scratch("kept.yaml", "kept\n");
  EXPECT_EQ(run({"compare", log_path("vllm_v1.log"), log_path("vllm_v0.log"), "--save-profile", kept}).code, 2);
  EXPECT_EQ(run({"compare", log_path("llama_cpp_old.log"), "--model", "Qwen/Qwen3-0.6B", "--save-profile", kept}).code, 2);
  EXPECT_EQ(run({"compare", log_path("vllm_arguments.log"), "--model", "Qwen/Qwen3.6-27B", "--devices", "2xRTX-3090", "--engine",
                 "vllm@0.24.0", "--save-profile", kept})
                .code,
            2);
  EXPECT_EQ(read_text(kept), "kept\n");
  EXPECT_EQ(
      run({"compare", log_path("vllm_v1.log"), "--devices", "A100-80GB", "--save-profile", scratch_folder() + "/no/such/folder"}).code, 2);
}

// Printed for three devices together, 149.62 MiB on one of them.
TEST(CliCompare, AddsUpTheStatesOfDealtLayers) {
  const std::string log = write_scratch("dealt.log", "I llama_memory_recurrent: size =  448.88 MiB (     3 cells,  65 layers,  3 seqs  0 "
                                                     "rs_seq), R (f32):   16.88 MiB, S (f32):  432.00 MiB\n");
  for (const char* devices : {"3x24GiB", "80GiB", "24GiB,80GiB"}) {
    const Outcome outcome =
        run({"compare", log, "--model", "Qwen/Qwen3.6-27B", "--engine", "llama.cpp", "--devices", devices, "--sequences", "3"});
    EXPECT_EQ(outcome.code, 0) << devices << outcome.out << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("448.88 MiB  448.88 MiB  1.0000"));
  }
}

TEST(CliCompare, SaysWhatIsBeyond) {
  std::string text = read_text(log_path("vllm_v1.log"));
  text.replace(text.find("464,848"), 7, "460,848");
  const std::string path = write_scratch("beyond.log", text);
  const Outcome table = run({"compare", path});
  EXPECT_EQ(table.code, 1);
  EXPECT_THAT(table.out, StartsWith("beyond "));
  EXPECT_THAT(table.out, HasSubstr("460,848"));
  const Outcome json = run({"compare", path, "--format", "json"});
  EXPECT_EQ(json.code, 1);
  const Json document = Json::parse(json.out);
  EXPECT_EQ(document["verdict"], "beyond");
  EXPECT_EQ(line_of(document, "kv_tokens")["within"], false);
  EXPECT_EQ(line_of(document, "kv_tokens")["status"], "beyond");
  EXPECT_EQ(line_of(document, "max_concurrency")["status"], "consistent");
  EXPECT_EQ(run({"compare", path, "--tolerance", "0.05"}).code, 0);
  EXPECT_EQ(run({"compare", path, "--tolerance", "0.001"}).code, 1);
}

TEST(CliCompare, OptionsWinOverTheLog) {
  EXPECT_EQ(run({"compare", log_path("vllm_v1.log"), "--max-length", "8192"}).code, 1); // twice the requests
  EXPECT_EQ(run({"compare", log_path("vllm_v1.log"), "--model", "Qwen/Qwen3-8B"}).code, 1);
  const Outcome engine = run({"compare", log_path("vllm_v1.log"), "--engine", "vllm@0.12.0", "--format", "json"});
  EXPECT_EQ(engine.code, 0) << engine.out;
}

TEST(CliCompare, ReadsStandardInputAndSeveralLogs) {
  Invocation piped;
  piped.arguments = {"compare", "-"};
  piped.input = read_text(log_path("vllm_v1.log"));
  EXPECT_EQ(run(piped).code, 0);
  const Outcome both = run({"compare", log_path("vllm_v1.log"), log_path("vllm_refused.log"), "--format", "json"});
  EXPECT_EQ(both.code, 0) << both.out;
  const Json document = Json::parse(both.out);
  EXPECT_EQ(document["starts"].size(), 2U);
  EXPECT_EQ(document["starts"][1]["lines"].size(), 4U);
}

TEST(CliCompare, RefusesWhatItCannotRead) {
  const auto expect = [](const std::vector<std::string>& arguments, const std::string& message) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.out;
    EXPECT_THAT(outcome.err + outcome.out, HasSubstr(message));
  };
  expect({"compare"}, "no log");
  expect({"compare", "/nonexistent"}, "cannot read");
  expect({"compare", scratch_folder()}, "is a folder");
  expect({"compare", write_scratch("other.log", "nothing of an engine\n")}, "no line is one that a known engine prints");
  expect({"compare", write_scratch("other.jsonl", "{\"engine\": \"vllm\"}\nnot json\n")}, "other.jsonl:2");
  expect({"compare", log_path("vllm_v1.log"), "--tolerance", "two"}, "--tolerance");
  expect({"compare", log_path("vllm_v1.log"), "--model", "no/such-model"}, "no/such-model");
  expect({"compare", log_path("vllm_v1.log"), "--format", "xml"}, "xml");
  expect({"compare", log_path("llama_cpp_old.log")}, "--model");
  const Outcome json = run({"compare", "/nonexistent", "--format", "json"});
  EXPECT_EQ(json.code, 2);
  EXPECT_EQ(Json::parse(json.out)["schema"], "plimsoll.compare/1");
}

TEST(CliCompare, LetsNoRecordDriveTheTerminal) {
  const Outcome outcome =
      run({"compare", write_scratch("escape.jsonl",
                                    "{\"id\": \"\\u001b[31mred\", \"engine\": \"vllm\", \"not_compared\": \"\\u001b]0;x\\u0007\"}\n")});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
}

TEST(CliCompare, NamesRecordsByTheirKeyAndListsWhatItCannotPlan) {
  const std::string rest =
      "\"weight_dtype\": \"awq-int4\", \"kv_dtype\": \"bfloat16 or float16\", \"max_model_len\": 8192, \"block_size\": 16, "
      "\"measured\": {\"available_kv_gib\": 6.5, \"kv_tokens\": 70944, \"max_concurrency\": 8.66}}\n";
  std::string text;
  for (const char* begin : {R"j({"engine": "vllm (V1)", "model": "someone/quantised", "model_key": "qwen3-30b-a3b", "tp": 1, )j",
                            R"j({"engine": "vllm (V1)", "model": "someone/else", "model_key": "unheard-of", "tp": 1, )j",
                            R"j({"engine": "vllm (V1)", "model": "Qwen/Qwen3-8B", "gpu_count": 8, "tp": null, )j"})
    text += begin + rest;
  const Outcome outcome = run({"compare", write_scratch("keys.jsonl", text), "--format", "json"});
  EXPECT_EQ(outcome.code, 2) << outcome.out << outcome.err;
  const Json starts = Json::parse(outcome.out)["starts"];
  ASSERT_EQ(starts.size(), 3U);
  EXPECT_EQ(starts[0]["verdict"], "nothing_judged");
  EXPECT_EQ(starts[0]["figures"]["consistent"], 2);
  EXPECT_EQ(starts[0]["model"], "Qwen/Qwen3-30B-A3B");
  EXPECT_EQ(starts[1]["verdict"], "nothing_judged");
  EXPECT_THAT(starts[1]["note"].get<std::string>(), HasSubstr("key"));
  EXPECT_EQ(starts[2]["verdict"], "nothing_judged");
  EXPECT_THAT(starts[2]["note"].get<std::string>(), HasSubstr("8 devices"));
}

// The targets, over every public start. A figure that misses them is a bug or a known outlier with its reason.
TEST(CliCompare, MeetsTheTargetsOverThePublicStarts) {
  const Outcome outcome = run({"compare", kStarts, "--format", "json"});
  ASSERT_LE(outcome.code, 1) << outcome.err;
  const Json document = Json::parse(outcome.out);
  ASSERT_GE(document["starts"].size(), 118U);
  const Json& summary = document["summary"];
  EXPECT_EQ(summary["error"], 0);
  const auto sum = [&](const char* kind, std::initializer_list<const char*> keys) {
    int out = 0;
    for (const char* key : keys) out += summary[kind][key].get<int>();
    return out;
  };
  EXPECT_EQ(sum("kv", {"within", "consistent", "known_outliers"}), summary["kv"]["figures"]);
  EXPECT_GE(sum("kv", {"within", "consistent"}), 0.95 * summary["kv"]["figures"].get<double>());
  EXPECT_GE(summary["kv"]["figures"], 120);
  EXPECT_LE(summary["weights"]["median"], 0.01);
  EXPECT_LE(summary["weights"]["worst"], 0.03);
  EXPECT_GE(sum("weights", {"within"}), 15);
  EXPECT_LE(summary["available_kv"]["median"], 0.03);
  EXPECT_LE(summary["available_kv"]["p95"], 0.08);
  EXPECT_GE(sum("available_kv", {"within"}), 15);
  EXPECT_GE(sum("starts", {"fits_started", "does_not_fit_refused"}), 25);
  for (const Json& start : document["starts"])
    for (const Json& line : start["lines"])
      EXPECT_TRUE(line["status"] != "beyond" || line["known_outlier"] == true) << start["id"] << ": " << line.dump();
}

// What is called a known outlier is one: where a rule now reproduces the figure the record has to say so.
TEST(CliCompare, NoRecordCallsAFigureAnOutlierThatIsNone) {
  const Json starts = Json::parse(run({"compare", kStarts, "--format", "json"}).out)["starts"];
  std::istringstream records(read_text(kStarts));
  std::size_t at = 0;
  for (std::string text; std::getline(records, text); ++at) {
    const Json record = Json::parse(text);
    ASSERT_EQ(starts.at(at)["id"], record["id"]);
    const Json& lines = starts[at]["lines"];
    const auto outliers = std::count_if(lines.begin(), lines.end(), [](const Json& line) { return line["known_outlier"] == true; });
    EXPECT_EQ(static_cast<std::size_t>(outliers), record.value("known_outliers", Json::array()).size())
        << record["id"] << ": " << lines.dump();
  }
}

TEST(CliCompare, AccuracyRecordIsTrue) {
  const std::string path = scratch_folder() + "/accuracy.md";
  ASSERT_LE(run({"compare", kStarts, "--format", "markdown", "-o", path}).code, 1);
  EXPECT_EQ(read_text(path), read_text(PLIMSOLL_SOURCE_DIR "/tests/ACCURACY.md"))
      << "write it anew: plimsoll compare tests/data/engine_starts.jsonl --format markdown -o tests/ACCURACY.md";
}

} // namespace
} // namespace plimsoll::cli_test
