// `plimsoll verify --run` as its users run it: verdicts, documents, faults that are found, refusals.
#include <algorithm>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using VerifyJson = nlohmann::ordered_json;

std::string stored(const std::string& name) { return PLIMSOLL_TEST_DATA "/tiny/" + name; }
std::string made(const std::string& name) {
  const std::string folder = scratch_folder() + "/" + name;
  test::write_tiny_folder(test::tiny_model(name), folder);
  return folder;
}

Outcome verify(const std::string& model, std::vector<std::string> more) {
  std::vector<std::string> arguments{"verify", model, "--run"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run(std::move(arguments));
}

VerifyJson verified(const std::string& model, std::vector<std::string> more, int code) {
  more.insert(more.end(), {"--format", "json"});
  const Outcome outcome = verify(model, more);
  EXPECT_EQ(outcome.code, code) << outcome.out << outcome.err;
  return VerifyJson::parse(outcome.out);
}

// Sums and verdicts of a document agree with each other.
void expect_consistent(const VerifyJson& document) {
  EXPECT_EQ(document["schema"], "plimsoll.verify/1");
  ASSERT_EQ(document["checks"].size(), 12U);
  bool over = false;
  for (const VerifyJson& device : document["devices"]) {
    ASSERT_EQ(device["categories"].size(), 7U);
    for (const VerifyJson& category : device["categories"]) {
      std::uint64_t planned = 0, left = 0;
      for (const VerifyJson& line : category["lines"]) {
        planned += line["planned_bytes"].get<std::uint64_t>();
        left += line["left_bytes"].get<std::uint64_t>();
      }
      EXPECT_EQ(category["planned_bytes"], planned);
      EXPECT_EQ(category["left_bytes"], left);
      EXPECT_EQ(category["reason"].is_null(), category["verdict"] == "within");
      over = over || category["verdict"] == "over";
    }
  }
  EXPECT_EQ(document["verdict"] == "over_plan", over);
  std::uint64_t number = 0;
  for (const VerifyJson& check : document["checks"]) EXPECT_EQ(check["check"], ++number);
  EXPECT_EQ(document["checks"][1]["verdict"] == "fail", document["verdict"] == "over_plan" || document["verdict"] == "wasted");
}

TEST(CliVerifyRun, TinyModelsAreWithinTheirPlans) {
  std::vector<std::string> models{stored("kjv"), stored("mla")};
  for (const char* const name : {"llama", "mistral", "gemma2", "gpt_oss", "mixtral", "deepseek_v3", "granite_hybrid", "qwen3_next"})
    models.push_back(made(name));
  for (std::size_t n = 0; n < models.size(); ++n) {
    if (!is_tried(n)) continue;
    const std::string& model = models[n];
    const VerifyJson document = verified(model, {"--devices", "64MiB", "--max-length", "200", "--max-batch-size", "3"}, 0);
    EXPECT_EQ(document["verdict"], "within_plan") << model;
    expect_consistent(document);
    for (const VerifyJson& category : document["devices"][0]["categories"])
      EXPECT_EQ(category["planned_bytes"], category["peak_bytes"]) << model << category["category"];
    const VerifyJson& reached = document["checks"][7]["figures"];
    EXPECT_EQ(reached["longest_tokens"], 200) << model;
    EXPECT_EQ(reached["full_requests"], 3) << model;
    EXPECT_EQ(document["checks"][11]["figures"]["allocations"], 0) << model;
  }
}

TEST(CliVerifyRun, EveryRankIsWithinItsPlan) {
  std::size_t n = 0;
  for (const char* const name : {"llama", "gpt_oss", "deepseek_v3", "granite_hybrid", "qwen3_next"}) {
    if (!is_tried(n++)) continue;
    const VerifyJson document =
        verified(made(name), {"--tp", "2", "--devices", "2x64MiB", "--max-length", "100", "--max-batch-size", "2"}, 0);
    EXPECT_EQ(document["verdict"], "within_plan") << name;
    expect_consistent(document);
    ASSERT_EQ(document["devices"].size(), 2U);
    for (const VerifyJson& device : document["devices"])
      for (const VerifyJson& category : device["categories"])
        EXPECT_EQ(category["planned_bytes"], category["peak_bytes"]) << name << category["category"];
  }
  const VerifyJson leak = verified(stored("kjv"), {"--tp", "2", "--devices", "2x64MiB", "--inject", "leak"}, 1);
  EXPECT_EQ(leak["verdict"], "over_plan");
  expect_consistent(leak);
}

// Every slot holds an adapter of the largest rank and computes, also where there are more slots than requests at once.
TEST(CliVerifyRun, AdaptersInEverySlotAreWithinThePlan) {
  std::size_t n = 0;
  for (const char* const name : {"llama", "deepseek_v3", "granite_hybrid"})
    for (const char* const slots : {"2", "5"}) {
      if (!is_tried(n++)) continue;
      const VerifyJson document =
          verified(made(name), {"--devices", "64MiB", "--max-length", "60", "--max-batch-size", "3", "--max-loras", slots}, 0);
      EXPECT_EQ(document["verdict"], "within_plan") << name << document.dump(1);
      expect_consistent(document);
      const VerifyJson& lines = document["devices"][0]["categories"][0]["lines"];
      const auto lora = std::find_if(lines.begin(), lines.end(), [](const VerifyJson& line) { return line["label"] == "lora"; });
      ASSERT_NE(lora, lines.end()) << name;
      EXPECT_GT((*lora)["planned_bytes"], 0);
      EXPECT_EQ((*lora)["planned_bytes"], (*lora)["peak_bytes"]);
      const VerifyJson& reached = document["checks"][7]["figures"];
      EXPECT_EQ(reached["adapters"], std::stoi(slots));
      EXPECT_EQ(reached["due_adapters"], std::stoi(slots));
      EXPECT_EQ(document["checks"][11]["figures"]["allocations"], 0) << name;
    }
}

TEST(CliVerifyRun, EveryInjectedFaultFailsAndIsNamed) {
  struct Row {
    const char *fault, *category, *label;
  };
  std::size_t n = 0;
  for (const char* const model : {"kjv", "mla"})
    for (const Row& row :
         {Row{"oversize", "kv_cache", "kv_cache."}, Row{"leak", "kv_cache", "kv_cache."}, Row{"double", "activation", "activation.slab"}}) {
      if (!is_tried(n++)) continue;
      const VerifyJson document = verified(stored(model), {"--devices", "64MiB", "--max-batch-size", "2", "--inject", row.fault}, 1);
      EXPECT_EQ(document["verdict"], "over_plan") << row.fault;
      EXPECT_EQ(document["injected"], row.fault);
      expect_consistent(document);
      EXPECT_EQ(document["checks"][1]["category"], row.category);
      EXPECT_THAT(document["checks"][1]["label"].get<std::string>(), HasSubstr(row.label));
      for (const VerifyJson& category : document["devices"][0]["categories"])
        EXPECT_EQ(category["verdict"], category["category"] == row.category ? "over" : "within") << row.fault << category["category"];
    }
  const Outcome text = verify(stored("kjv"), {"--devices", "64MiB", "--max-batch-size", "2", "--inject", "leak"});
  EXPECT_EQ(text.code, 1);
  EXPECT_THAT(text.out, AllOf(HasSubstr("over plan:"), HasSubstr("'kv_cache.attention' were never given back")));
}

// A wrong total of weights is refuted in both directions.
TEST(CliVerifyRun, RefutesAPlanOfOtherWeights) {
  const auto weights = [](const char* bytes) {
    const VerifyJson document = verified(stored("kjv"), {"--devices", "64MiB", "--max-batch-size", "2", "--weights-bytes", bytes}, 1);
    expect_consistent(document);
    EXPECT_EQ(document["checks"][1]["category"], "weights");
    return document["verdict"].get<std::string>();
  };
  EXPECT_EQ(weights("8000000"), "wasted");
  EXPECT_EQ(weights("1000000"), "over_plan");
}

// Where the pool does not hold the batch, requests wait, and every page is used all the same.
TEST(CliVerifyRun, TightPoolsAndSmallBatchesAreWithinTheirPlans) {
  std::size_t n = 0;
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--devices", "11MiB", "--max-batch-size", "4"}, std::vector<std::string>{"--devices", "13MiB"},
        std::vector<std::string>{"--max-length", "2"}, std::vector<std::string>{"--max-batch-size", "1", "--max-batch-input-tokens", "3"},
        std::vector<std::string>{"--set", "engine.schedule.logits=all", "--max-batch-size", "2"}}) {
    if (!is_tried(n++)) continue;
    const VerifyJson document = verified(stored("kjv"), more, 0);
    EXPECT_EQ(document["verdict"], "within_plan") << ::testing::PrintToString(more) << document.dump(1);
    expect_consistent(document);
  }
}

// What another engine plans is held against what is taken of the same; the rest is named.
TEST(CliVerifyRun, NamesWhatAnotherEngineDoesNotPlan) {
  const VerifyJson document =
      verified(stored("kjv"), {"--devices", "64MiB", "--engine", "max", "--max-batch-size", "2", "--kv-dtype", "float32"}, 0);
  expect_consistent(document);
  const VerifyJson& activation = document["devices"][0]["categories"][1];
  EXPECT_EQ(activation["verdict"], "within");
  EXPECT_GT(activation["not_planned_bytes"], 0);
  EXPECT_EQ(activation["lines"][0]["verdict"], "not_planned");
}

// Each with its own worst case at the same time; those that share experts in the same passes.
TEST(CliVerifyRun, ReplicasTogether) {
  struct Row {
    const char* model;
    std::vector<std::string> options;
    std::size_t ranks;
  };
  for (const Row& row :
       {Row{"kjv", {"--dp", "2", "--devices", "2x16MiB"}, 2}, Row{"mla", {"--dp", "2", "--ep", "2", "--devices", "2x16MiB"}, 2},
        Row{"mla", {"--dp", "2", "--tp", "2", "--ep", "4", "--devices", "4x16MiB"}, 4}}) {
    SCOPED_TRACE(::testing::PrintToString(row.options));
    std::vector<std::string> options = row.options;
    options.insert(options.end(), {"--max-length", "64", "--max-batch-size", "4"});
    const VerifyJson document = verified(stored(row.model), options, 0);
    expect_consistent(document);
    EXPECT_EQ(document["verdict"], "within_plan") << document["checks"].dump(1);
    ASSERT_EQ(document["devices"].size(), row.ranks);
    for (std::size_t rank = 0; rank < row.ranks; ++rank) {
      EXPECT_EQ(document["devices"][rank]["rank"], rank);
      for (const VerifyJson& category : document["devices"][rank]["categories"]) {
        EXPECT_EQ(category["peak_bytes"], category["planned_bytes"]) << rank << category["category"];
      }
    }
    options.insert(options.end(), {"--inject", "double"});
    EXPECT_EQ(verified(stored(row.model), options, 1)["verdict"], "over_plan");
  }
}

// Where nobody says how long a request may be it is not the planner's 131,072 tokens, which would look like a hang.
TEST(CliVerifyRun, BoundsALengthThatNobodyStates) {
  const std::string folder = scratch_folder() + "/endless";
  nlohmann::json config = nlohmann::json::parse(test::tiny_model("llama").config);
  config.erase("max_position_embeddings");
  test::write_tiny_folder(test::tiny_model_of(config.dump(), 3), folder);
  const Outcome outcome = verify(folder, {"--devices", "64MiB", "--max-batch-size", "1", "--format", "json"});
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("requests of 1024 tokens are verified"), HasSubstr("--max-length")));
  const VerifyJson document = VerifyJson::parse(outcome.out);
  for (const VerifyJson& check : document["checks"])
    if (check["name"] == "worst_case") {
      EXPECT_EQ(check["figures"]["longest_tokens"], 1024);
    }
  const Outcome said = verify(folder, {"--devices", "64MiB", "--max-batch-size", "1", "--max-length", "64"});
  EXPECT_EQ(said.code, 0) << said.out;
  EXPECT_EQ(said.err, "");
}

TEST(CliVerifyRun, Refuses) {
  struct Row {
    std::vector<std::string> arguments;
    int code;
    const char* message;
  };
  for (const Row& row : {Row{{"verify", stored("kjv"), "--run", "--devices", "5MiB"}, 1, "MiB short"},
                         Row{{"verify", stored("kjv"), "--run", "--inject", "huge"}, 2, "give oversize, leak or double"},
                         Row{{"verify", stored("kjv"), "--inject", "leak"}, 2, "give --run, too"}, Row{{"verify", "--run"}, 2, "no model"},
                         Row{{"verify", "no-such-model", "--run"}, 2, "no-such-model"}}) {
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.code, row.code) << ::testing::PrintToString(row.arguments) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr(row.message));
  }
  const VerifyJson document = verified(stored("kjv"), {"--devices", "5MiB"}, 1);
  EXPECT_EQ(document["verdict"], "does_not_fit");
  EXPECT_EQ(document["error"]["code"], "model_too_large");
  EXPECT_TRUE(document["devices"].empty());
}

TEST(CliVerifyRun, BothProgramsSayTheSameHelp) {
  const Outcome planner = run({"verify", "--help"}), runtime = run({"verify", "--run", "--help"});
  EXPECT_EQ(planner.code, 0);
  EXPECT_EQ(planner.out, runtime.out);
  EXPECT_THAT(planner.out, AllOf(HasSubstr("--run"), HasSubstr("--inject"), HasSubstr("--seed")));
}

} // namespace
} // namespace plimsoll::cli_test
