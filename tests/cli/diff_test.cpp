// `plimsoll diff`: plans, requests and engines as people give them, formats, exit codes, and input that is wrong.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

std::string plan_file(const std::string& name, const std::string& devices, const std::string& format = "json") {
  const std::string path = scratch_folder() + "/" + name;
  run({"plan", data_path("llama"), "--devices", devices, "--format", format, "-o", path});
  return path;
}

TEST(CliDiff, PlansThatWereWrittenInEitherFormat) {
  const std::string a = plan_file("a.json", "80GiB"), b = plan_file("b.yaml", "60GiB", "yaml"), c = plan_file("c.json", "12GiB");
  const Outcome smaller = run({"diff", a, b, "--format", "json"});
  EXPECT_EQ(smaller.code, 0) << smaller.out << smaller.err;
  const Json document = Json::parse(smaller.out);
  std::int64_t sum = 0;
  for (const Json& change : document["changes"])
    if (change["what"] == "kv_cache_bytes") sum += change["bytes"].get<std::int64_t>();
  const auto kv = [](const std::string& path) { return Json::parse(read_text(path))["totals"]["kv_cache_bytes"].get<std::int64_t>(); };
  EXPECT_EQ(sum, kv(plan_file("b.json", "60GiB")) - kv(a));
  EXPECT_EQ(run({"diff", a, c}).code, 1);
  EXPECT_EQ(run({"diff", c, a}).code, 0);
  EXPECT_THAT(run({"diff", a, c, "--quiet"}).out, StartsWith("worse: "));
  EXPECT_EQ(run({"diff", a, a}).out.substr(0, 14), "no difference:");
  EXPECT_EQ(run({.arguments = {"diff", "-", c}, .input = read_text(a)}).code, 1);
}

TEST(CliDiff, EnginesOfOneModel) {
  const std::vector<std::string> line{"diff", "vllm@0.11.0", "vllm@0.26.1", "--model", "Qwen/Qwen3-32B", "--devices", "2xH100"};
  const Outcome outcome = run(line);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* part : {"engine", "vllm 0.11.0", "vllm 0.26.1", "KV cache: +", "budget: device memory utilization",
                           "activation: sampler", "capacity tokens"})
    EXPECT_THAT(outcome.out, HasSubstr(part));
  std::vector<std::string> markdown = line;
  markdown.insert(markdown.end(), {"--format", "markdown"});
  const std::string text = run(markdown).out;
  EXPECT_THAT(text, StartsWith("# the same verdict: fits\n"));
  EXPECT_THAT(text, HasSubstr("\n| cause | from | to | change |\n|---|---:|---:|---:|\n"));
}

TEST(CliDiff, RequestsFromFilesWithOptionsThatWin) {
  const std::string yaml = write_scratch("serve.yaml", "model: meta-llama/Llama-3.1-8B\ndevices: 1xH100\nengine: vllm\nmax_length: 8192\n");
  const std::string json =
      write_scratch("serve.json", R"({"model": "meta-llama/Llama-3.1-8B", "devices": "1xH100", "engine": "vllm", "max_length": 16384})");
  const auto changes = [](const std::vector<std::string>& line) {
    std::vector<std::string> what;
    std::vector<std::string> all = line;
    all.insert(all.end(), {"--format", "json"});
    const Json document = Json::parse(run(all).out);
    EXPECT_EQ(document["error"], Json()) << document["error"];
    for (const Json& change : document["changes"]) what.push_back(change["what"]);
    return what;
  };
  EXPECT_THAT(changes({"diff", yaml, json}), ::testing::Contains("request.max_length"));
  EXPECT_THAT(changes({"diff", yaml, json, "--max-length", "4096"}), ::testing::IsEmpty());
  // A plan that was written against one that is made now.
  const std::string plan = scratch_folder() + "/now.json";
  run({"plan", "--pipeline", yaml, "--format", "json", "-o", plan});
  EXPECT_THAT(changes({"diff", plan, yaml}), ::testing::IsEmpty());
}

// What both begin with, and what each side adds; a profile's file is an engine.
TEST(CliDiff, EnginesOfAPipelineAndProfilesOfFiles) {
  const std::string base = write_scratch("base.yaml", "model: Qwen/Qwen3-8B\ndevices: 1xH100\nengine: max\nmax_length: 8192\n");
  const Json releases = Json::parse(run({"diff", "vllm@0.11.0", "vllm@0.26.1", "--pipeline", base, "--format", "json"}).out);
  EXPECT_EQ(releases["from"]["engine"], "vllm 0.11.0");
  EXPECT_EQ(releases["to"]["engine"], "vllm 0.26.1");
  EXPECT_EQ(releases["to"]["model"], "Qwen/Qwen3-8B");
  const std::string profile = std::string(PLIMSOLL_SOURCE_DIR) + "/core/catalogue/engines/max.yaml";
  EXPECT_THAT(run({"diff", "max", profile, "--pipeline", base}).out, StartsWith("no difference: fits"));
  EXPECT_THAT(run({"compare", "--pipeline", base, "/nonexistent"}).err, HasSubstr("cannot read"));
}

struct Wrong {
  std::vector<std::string> arguments;
  std::string part, place; // of the message
};

TEST(CliDiff, WhatIsWrongIsNamed) {
  const std::string good = plan_file("good.json", "80GiB");
  const std::string fit = write_scratch("fit.json", R"({"schema": "plimsoll.fit/1"})");
  const std::string half = write_scratch("half.json", R"({"schema": "plimsoll.plan/1", "verdict": "fits", "model": 3})");
  const std::string option = write_scratch("option.json", R"({"model": "x", "tpp": 8})");
  const std::string list = write_scratch("list.yaml", "- a\n- b\n");
  const std::string broken = write_scratch("broken.json", "{\"schema\": ");
  const std::vector<Wrong> all{{{"diff"}, "two are compared", "A B"},
                               {{"diff", good}, "two are compared", "A B"},
                               {{"diff", "-", "-"}, "name a file", "A B"},
                               {{"diff", good, good, good}, "not expected", "command line"},
                               {{"diff", good, good, "--tp", "2"}, "both are plans", "command line"},
                               {{"diff", good, "nowhere.json"}, "cannot read", "nowhere.json"},
                               {{"diff", good, "./nowhere"}, "cannot read", "nowhere"},
                               {{"diff", good, scratch_folder()}, "cannot read", scratch_folder()},
                               {{"diff", good, fit}, "plimsoll.fit/1", fit + "#/schema"},
                               {{"diff", half, good}, "expected", half + "#/model"},
                               {{"diff", good, broken}, "", broken},
                               {{"diff", good, option}, "tpp", option + "#/tpp"},
                               {{"diff", good, list}, "", list},
                               {{"diff", "vllm", "max", "--engine", "vllm"}, "A and B name the engines", "--engine"},
                               {{"diff", "vllm", "sglang", "--devices", "H100"}, "no model for vllm", "--model"},
                               {{"diff", "vllm", "nogine", "--model", "Qwen/Qwen3-8B", "--devices", "H100"}, "nogine", "nogine: "},
                               {{"diff", "vllm", "vllm@0.11.0", "--model", "no/model", "--devices", "H100"}, "no/model", ""}};
  for (const Wrong& wrong : all) {
    const Outcome outcome = run(wrong.arguments);
    EXPECT_EQ(outcome.code, 2) << ::testing::PrintToString(wrong.arguments) << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr(wrong.part)) << ::testing::PrintToString(wrong.arguments);
    EXPECT_THAT(outcome.err, HasSubstr(wrong.place)) << ::testing::PrintToString(wrong.arguments);
    EXPECT_EQ(outcome.out, "");
    std::vector<std::string> json = wrong.arguments;
    json.insert(json.end(), {"--format", "json"});
    const Json document = Json::parse(run(json).out);
    EXPECT_EQ(document["schema"], "plimsoll.diff/1");
    EXPECT_EQ(document["error"]["code"], wrong.part == "no/model" ? document["error"]["code"] : Json("bad_request"));
  }
}

// Texts of documents reach no terminal and no table as they are.
TEST(CliDiff, TextsOfStrangersAreTamed) {
  Json document = Json::parse(read_text(plan_file("tame.json", "80GiB")));
  document["model"]["path"] = "a\x1b[2J|b\n<b>";
  const std::string hostile = write_scratch("hostile.json", document.dump());
  const std::string good = plan_file("good.json", "80GiB");
  EXPECT_THAT(run({"diff", good, hostile}).out, HasSubstr("a?[2J|b?<b>"));
  const std::string markdown = run({"diff", good, hostile, "--format", "markdown"}).out;
  EXPECT_THAT(markdown, HasSubstr("a?[2J\\|b?&lt;b>"));
}

} // namespace
} // namespace plimsoll::cli_test
