// The tables of flags: those that ship are whole, their settings are ours, and an author's mistakes name their line.
#include "flags/flag_table.hpp"

#include <gmock/gmock.h>
#include <set>
#include <yaml-cpp/yaml.h>

#include "engine/profile.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

const std::string kShipped = PLIMSOLL_SOURCE_DIR "/core/catalogue";

// What settings.hpp turns into options.
const std::set<std::string> kWords{"model",      "hub_model",       "draft",        "draft_method", "draft_steps",
                                   "draft_topk", "expert_parallel", "attention_dp", "gpus",         "lora_enabled",
                                   "kv_dtype_k", "kv_dtype_v",      "config"};

bool is_option(const std::string& name) {
  for (const OptionInfo& option : plan_options())
    if (option.name == name) return true;
  return false;
}

void every_row(const std::vector<FlagRow>& rows, const std::function<void(const FlagRow&)>& look) {
  for (const FlagRow& row : rows) {
    look(row);
    every_row(row.keys, look);
  }
}

TEST(FlagTables, AreThereForEveryEngineThatIsStarted) {
  EXPECT_EQ(flag_engines(kShipped), (std::vector<std::string>{"llama.cpp", "max", "sglang", "tensorrt-llm", "vllm"}));
  const auto tables = read_flag_tables(kShipped);
  ASSERT_TRUE(tables) << tables.error().message << " " << tables.error().where;
  for (const FlagTable& table : *tables) {
    EXPECT_FALSE(table.commands.empty()) << table.engine;
    EXPECT_FALSE(table.images.empty()) << table.engine;
    EXPECT_FALSE(table.deploy.command.empty()) << table.engine;
    EXPECT_GT(table.flags.size() + table.file_keys.size(), 40U) << table.engine;
  }
}

TEST(FlagTables, HaveCommandsAndImagesInFrontOfTheirFlags) {
  const auto heads = read_flag_heads(kShipped).value(), whole = read_flag_tables(kShipped).value();
  ASSERT_EQ(heads.size(), whole.size());
  for (std::size_t at = 0; at < heads.size(); ++at) {
    EXPECT_EQ(heads[at].engine, whole[at].engine);
    EXPECT_EQ(heads[at].commands.size(), whole[at].commands.size()) << heads[at].engine;
    EXPECT_EQ(heads[at].images, whole[at].images);
    EXPECT_TRUE(heads[at].flags.empty());
  }
}

TEST(FlagTables, SettingsAreOptionsOrValuesOfTheProfile) {
  const auto tables = read_flag_tables(kShipped).value();
  for (const FlagTable& table : tables) {
    const auto look = [&](const FlagRow& row) {
      if (row.effect != FlagEffect::kSetting) return;
      constexpr std::string_view kEngine = "engine.";
      if (!row.setting.starts_with(kEngine)) {
        EXPECT_TRUE(is_option(row.setting) || kWords.contains(row.setting)) << table.engine << " " << row.name() << ": " << row.setting;
        return;
      }
      const std::string key = row.setting.substr(kEngine.size());
      const auto profile = ProfileSource::load(kShipped, table.engine, {{key, "1"}});
      EXPECT_TRUE(profile) << table.engine << " " << row.name() << ": " << row.setting << ": " << (profile ? "" : profile.error().message);
    };
    every_row(table.flags, look);
    every_row(table.environment, look);
    every_row(table.file_keys, look);
  }
}

TEST(FlagTables, NamesStandOnce) {
  const auto tables = read_flag_tables(kShipped).value();
  for (const FlagTable& table : tables) {
    std::set<std::string> seen;
    for (const FlagRow& row : table.flags)
      for (const std::string& name : row.names) EXPECT_TRUE(seen.insert(dashed(name)).second) << table.engine << " " << name;
  }
}

TEST(FlagTables, ReleasesHaveTheirFlags) {
  const FlagTable vllm = read_flag_table(kShipped, "vllm").value();
  EXPECT_FALSE(in_release(*vllm.find_flag("--spec-model"), "0.20.0"));
  EXPECT_TRUE(in_release(*vllm.find_flag("--spec-model"), "0.29.0"));
  EXPECT_TRUE(in_release(*vllm.find_flag("--spec-model"), ""));
  EXPECT_TRUE(in_release(*vllm.find_flag("--speculative-model"), "0.8.2"));
  EXPECT_FALSE(in_release(*vllm.find_flag("--speculative-model"), "0.29.0"));
  EXPECT_EQ(vllm.find_flag("--max_model_len"), vllm.find_flag("--max-model-len"));
  EXPECT_EQ(vllm.find_flag("--no-enable-prefix-caching"), vllm.find_flag("--enable-prefix-caching"));
  EXPECT_EQ(vllm.find_flag("--no-max-model-len"), nullptr);
}

// What `plimsoll compare` reads of the arguments that an engine prints means the same as its flags.
TEST(FlagTables, AgreeWithTheWordsOfLogs) {
  std::size_t seen = 0;
  for (const std::string engine : {"vllm", "sglang"}) {
    const FlagTable table = read_flag_table(kShipped, engine).value();
    const YAML::Node log = YAML::LoadFile(kShipped + "/logs/" + engine + ".yaml");
    for (const auto& list : log["arguments"]) {
      if (list["part"].IsDefined() || list["inside"].Scalar().starts_with("LLM engine")) continue;
      for (const auto& entry : list["names"]) {
        const FlagRow* const row = table.find_flag("--" + entry.first.Scalar());
        ASSERT_NE(row, nullptr) << engine << " " << entry.first.Scalar();
        if (row->effect != FlagEffect::kSetting) continue;
        const std::string said = entry.second.Scalar();
        const bool same = said == row->setting || "engine." + said == row->setting ||
                          (row->setting.starts_with("engine.") && dashed(said).ends_with(std::string(row->name().substr(2))));
        EXPECT_TRUE(same) << engine << " " << entry.first.Scalar() << ": " << said << ", and as a flag " << row->setting;
        ++seen;
      }
    }
  }
  EXPECT_GT(seen, 40U);
}

struct Mistake {
  std::string body, place, message;
};
void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.body; }

class FlagTableMistakes : public ::testing::TestWithParam<Mistake> {};

TEST_P(FlagTableMistakes, NameTheirLine) {
  const auto table = parse_flag_table("schema: plimsoll.flags/1\nengine: own\n" + GetParam().body, "own.yaml");
  ASSERT_FALSE(table);
  EXPECT_THAT(table.error().message, HasSubstr(GetParam().message));
  EXPECT_EQ(table.error().where, GetParam().place);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, FlagTableMistakes,
    ::testing::Values(Mistake{"flag: []\n", "own.yaml:3", "did you mean flags?"},
                      Mistake{"flags:\n  - {names: --a, is: tp}\n  - {names: --a, is: pp}\n", "own.yaml:5", "--a stands twice"},
                      Mistake{"flags:\n  - {names: --a}\n", "own.yaml:4", "a row has one of is, keys, ignored, unplanned"},
                      Mistake{"flags:\n  - {names: --a, is: tp, ignored: why}\n", "own.yaml:4", "a setting is not ignored"},
                      Mistake{"flags:\n  - {is: tp}\n", "own.yaml:4", "names is missing"},
                      Mistake{"flags:\n  - {names: --a, is: tp, takes: words}\n", "own.yaml:4", "'words' is none of value"},
                      Mistake{"flags:\n  - {names: --a, is: tp, unit: gb}\n", "own.yaml:4", "'gb' is none of human"},
                      Mistake{"flags:\n  - {names: --a, is: tp, from: newest}\n", "own.yaml:4", "'newest' is no release"},
                      Mistake{"flags:\n  - {names: --a, is: tp, only: true}\n", "own.yaml:4", "only: true wants values"},
                      Mistake{"flags:\n  - {names: --a, is: tp, vales: {a: b}}\n", "own.yaml:4", "did you mean values or names?"},
                      Mistake{"ignored:\n  - {value: --a}\n", "own.yaml:4", "because is missing"},
                      Mistake{"commands:\n  - {assumed: {tp: 1}}\n", "own.yaml:4", "words is missing"},
                      Mistake{"deploy: {port: 8000}\n", "own.yaml:3", "command is missing"},
                      Mistake{"flags: [\n", "own.yaml:4", "this is not YAML"}));

TEST(FlagTables, AnotherEngineIsAnError) {
  const auto table = read_flag_table(kShipped, "../models/x");
  ASSERT_FALSE(table);
  EXPECT_THAT(table.error().message, HasSubstr("there is llama.cpp, max, sglang, tensorrt-llm or vllm"));
}

} // namespace
} // namespace plimsoll
