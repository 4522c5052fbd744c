#include "plimsoll/options.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <gmock/gmock.h>
#include <map>
#include <set>
#include <string>

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

Result<void> set(PlanRequest& request, const std::string& name, const std::string& value) {
  return set_option(request, {name, value, "--" + name});
}

TEST(Options, EveryOptionRefusesWhatIsNoNumberAndNamesItself) {
  const std::array numbers{"tp",
                           "pp",
                           "dp",
                           "ep",
                           "nodes",
                           "redundant-experts",
                           "max-length",
                           "max-batch-size",
                           "max-batch-input-tokens",
                           "max-batch-total-tokens",
                           "device-memory-utilization",
                           "page-tokens",
                           "kv-cache-bytes",
                           "weights-bytes",
                           "vision-cache-utilization",
                           "num-draft-tokens",
                           "max-loras",
                           "max-lora-rank",
                           "ubatch",
                           "sequences",
                           "stage-layers"};
  for (const std::string name : numbers)
    for (const std::string value : {"-1", "-0", "", " ", "1e400", "nan", "NaN", "inf", "0x10", "18446744073709551615",
                                    "18446744073709551616", "9223372036854775808", "+4", "4 ", " 4", "4,", "1.5.2", "eight"}) {
      PlanRequest request;
      const auto result = set(request, name, value);
      const bool size_with_blank = (name == "kv-cache-bytes" || name == "weights-bytes") && (value == "4 " || value == " 4");
      if (size_with_blank) continue;
      ASSERT_FALSE(result.has_value()) << name << " = '" << value << "'";
      EXPECT_EQ(result.error().code, ErrorCode::kBadRequest);
      EXPECT_EQ(result.error().where, "--" + name);
    }
}

TEST(Options, ZeroIsRefusedWhereItMeansNothing) {
  for (const std::string name : {"tp", "pp", "dp", "ep", "nodes", "max-length", "max-batch-size", "max-batch-input-tokens",
                                 "device-memory-utilization", "page-tokens", "kv-cache-bytes", "weights-bytes"}) {
    PlanRequest request;
    EXPECT_FALSE(set(request, name, "0").has_value()) << name;
  }
  PlanRequest request;
  EXPECT_TRUE(set(request, "num-draft-tokens", "0").has_value());
  EXPECT_TRUE(set(request, "vision-cache-utilization", "0").has_value());
}

TEST(Options, DashesAndUnderscoresAreTheSame) {
  PlanRequest request;
  ASSERT_TRUE(set(request, "max_batch-size", "16").has_value());
  EXPECT_EQ(request.max_batch_size, 16U);
  ASSERT_TRUE(set(request, "sequences", "8").has_value());
  EXPECT_EQ(request.max_batch_size, 8U);
  ASSERT_TRUE(set(request, "ubatch", "512").has_value());
  EXPECT_EQ(request.max_batch_input_tokens, 512U);
}

TEST(Options, LengthIsANumberOrAutomaticWithACap) {
  PlanRequest request;
  ASSERT_TRUE(set(request, "max-length", "auto:65536").has_value());
  EXPECT_TRUE(request.max_length_auto);
  EXPECT_EQ(request.max_length, 65536U);
  ASSERT_TRUE(set(request, "max-length", "auto").has_value());
  EXPECT_TRUE(request.max_length_auto);
  EXPECT_FALSE(request.max_length.has_value());
  ASSERT_TRUE(set(request, "max-length", "4096").has_value());
  EXPECT_FALSE(request.max_length_auto);
  for (const std::string value : {"auto:", "auto:0", "auto:-1", "automatic", "1099511627777"})
    EXPECT_FALSE(set(request, "max-length", value).has_value()) << value;
  EXPECT_EQ(request.max_length, 4096U); // unchanged by what was refused
}

TEST(Options, FractionsSizesWordsAndOverrides) {
  PlanRequest request;
  ASSERT_TRUE(set(request, "device-memory-utilization", "0.92").has_value());
  EXPECT_EQ(request.device_memory_utilization, 0.92);
  EXPECT_FALSE(set(request, "device-memory-utilization", "1.01").has_value());
  ASSERT_TRUE(set(request, "kv-cache-bytes", "4.5GiB").has_value());
  EXPECT_EQ(request.kv_cache_bytes, 4831838208U);
  ASSERT_TRUE(set(request, "accounting", "per-device").has_value());
  ASSERT_TRUE(set(request, "accounting", "pooled").has_value());
  EXPECT_EQ(request.accounting, Accounting::kPooled);
  EXPECT_FALSE(set(request, "accounting", "both").has_value());
  ASSERT_TRUE(set(request, "set", "engine.kv.page_tokens=64").has_value());
  EXPECT_EQ(request.engine_overrides.at("kv.page_tokens"), "64");
  for (const std::string value : {"engine.=1", "engine.x=", "x=1", "engine.x", ""})
    EXPECT_FALSE(set(request, "set", value).has_value()) << value;
  ASSERT_TRUE(set(request, "stage-layers", "31,30").has_value());
  EXPECT_THAT(request.stage_layers, ::testing::ElementsAre(31U, 30U));
  EXPECT_FALSE(set(request, "phase", "training").has_value());
  EXPECT_FALSE(set(request, "kv-dtype", std::string("fp8\n")).has_value());
}

// What every option sets is shown as that option, or as the one that it is another name for, and sets the same again.
TEST(Options, AreShownAsTheyAreGiven) {
  const std::map<OptionKind, std::string> of_kind{{OptionKind::kText, "it's none"},  {OptionKind::kNumber, "1"},
                                                  {OptionKind::kSize, "4831838208"}, {OptionKind::kLength, "auto:65536"},
                                                  {OptionKind::kSwitch, "true"},     {OptionKind::kTexts, "2xH100,80GiB"},
                                                  {OptionKind::kNumbers, "54,26"},   {OptionKind::kSettings, "engine.kv.page_tokens=64"}};
  const std::map<std::string, std::string> own{{"accounting", "pooled"},
                                               {"layout", "auto"},
                                               {"phase", "decode"},
                                               {"split_mode", "row"},
                                               {"lora", "de=adapters/de"},
                                               {"override_tensor", "exps=CPU,attn=CPU"},
                                               {"gpu_layers", "auto"},
                                               {"n_cpu_moe", "7"},
                                               {"limit_mm_per_prompt", "image=0,video=3"},
                                               {"device_memory_utilization", "0.07"},
                                               {"vision_cache_utilization", "1e-07"}};
  const std::map<std::string, std::string> other_names{{"ubatch", "max_batch_input_tokens"},
                                                       {"sequences", "max_batch_size"},
                                                       {"lora_slots", "max_loras"},
                                                       {"lora_rank", "max_lora_rank"},
                                                       {"enforce_eager", "set"}};
  PlanRequest all;
  for (const OptionInfo& info : plan_options()) {
    const std::string name(info.name), value = own.contains(name) ? own.at(name) : of_kind.at(info.kind);
    PlanRequest request;
    ASSERT_TRUE(set(request, name, value)) << name;
    ASSERT_TRUE(set(all, name, value)) << name;
    const std::string shown_as = other_names.contains(name) ? other_names.at(name) : name;
    const std::vector<OptionValue> shown = show_options(request);
    const auto found = std::find_if(shown.begin(), shown.end(), [&](const OptionValue& option) { return option.name == shown_as; });
    ASSERT_NE(found, shown.end()) << name;
    EXPECT_EQ(found->value, name == "enforce_eager" ? "engine.eager=true" : value) << name;
  }
  PlanRequest again;
  for (const OptionValue& option : show_options(all)) ASSERT_TRUE(set_option(again, option)) << option.where << " " << option.value;
  EXPECT_EQ(options_text(again), options_text(all));
  EXPECT_TRUE(show_options(PlanRequest{}).empty());
}

TEST(Options, AreWordsOfAShell) {
  PlanRequest request;
  request.devices = "RTX 4090";
  request.engine = "-x's.yaml";
  request.max_length_auto = true;
  request.device_memory_utilization = 0.1;
  request.engine_overrides = {{"a", "1"}, {"b", "$HOME"}};
  request.frontier = true;
  EXPECT_EQ(options_text(request),
            "--devices 'RTX 4090' --engine='-x'\\''s.yaml' --set engine.a=1 --set 'engine.b=$HOME' --max-length auto "
            "--device-memory-utilization 0.1 --frontier");
}

TEST(Options, AMisspeltNameGetsASuggestion) {
  PlanRequest request;
  const auto result = set(request, "max-lenght", "1");
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message, HasSubstr("did you mean max_length?"));
}

class Pipeline : public ::testing::Test {
protected:
  Result<std::vector<OptionValue>> read(const std::string& text) {
    path_ = ::testing::TempDir() + "plimsoll_pipeline.yaml";
    std::ofstream(path_) << text;
    constexpr std::array<OptionInfo, 2> kAlso{{{.name = "model"}, {.name = "plugin_path", .repeats = true}}};
    return read_pipeline_file(path_, kAlso);
  }
  void TearDown() override { std::remove(path_.c_str()); }
  std::string path_;
};

TEST_F(Pipeline, KeepsFileOrderAndKnowsLists) {
  const auto options =
      read("model: org/name\ntp: 8\nmax-length: auto:4096\nset:\n  engine.a: 1\nplugin_path: [x, y]\ndevices: [80GiB, 24GiB]\n");
  ASSERT_TRUE(options.has_value()) << options.error().message;
  ASSERT_EQ(options->size(), 7U);
  EXPECT_EQ((*options)[0].value, "org/name");
  EXPECT_EQ((*options)[1].name, "tp");
  EXPECT_EQ((*options)[1].where, path_ + ":2, tp");
  EXPECT_EQ((*options)[2].name, "max_length");
  EXPECT_EQ((*options)[3].value, "engine.a=1");
  EXPECT_EQ((*options)[5].value, "y");
  EXPECT_EQ((*options)[6].value, "80GiB,24GiB");
}

TEST_F(Pipeline, EveryMistakeNamesFileAndLine) {
  const std::array<std::pair<const char*, const char*>, 7> cases{{{"tp: [8, 4]\n", ":1"},
                                                                  {"tp: 8\nfoo: 1\n", ":2"},
                                                                  {"tp: 8\n\ntp: 4\n", ":3"},
                                                                  {"tp:\n", ":1"},
                                                                  {"- tp\n", ":1"},
                                                                  {"tp: {a: 1}\n", ":1"},
                                                                  {"tp: [1\n", ""}}};
  for (const auto& [text, where] : cases) {
    const auto options = read(text);
    ASSERT_FALSE(options.has_value()) << text;
    EXPECT_EQ(options.error().code, ErrorCode::kBadRequest);
    EXPECT_THAT(options.error().where, HasSubstr(path_ + where)) << text;
  }
  EXPECT_TRUE(read("").has_value());
  EXPECT_FALSE(read(std::string(200'000, '[')).has_value());
  EXPECT_FALSE(read(std::string((1U << 20) + 2, ' ')).has_value());
  EXPECT_FALSE(read_pipeline_file("/nonexistent/pipeline.yaml", {}).has_value());
  EXPECT_FALSE(read_pipeline_file("/", {}).has_value());
}

TEST(OptionsJson, ReadsTheSameNames) {
  constexpr std::array<OptionInfo, 2> kAlso{{{.name = "model"}, {.name = "config", .kind = OptionKind::kDocument}}};
  const auto options = read_options_json(
      R"({"model": "m", "config": {"a": [1]}, "tp": 8, "device_memory_utilization": 0.9, "set": {"engine.x": true}, "max_length": null})",
      kAlso);
  ASSERT_TRUE(options.has_value()) << options.error().message;
  ASSERT_EQ(options->size(), 5U);
  EXPECT_EQ((*options)[1].value, R"({"a":[1]})");
  EXPECT_EQ((*options)[2].value, "8");
  EXPECT_EQ((*options)[2].where, "/tp");
  EXPECT_EQ((*options)[3].value, "0.9");
  EXPECT_EQ((*options)[4].value, "engine.x=true");
}

// Every key of a request, with one value of each JSON type: only those of the option's own type are read.
TEST(OptionsJson, HoldsEveryOptionToItsType) {
  const std::map<OptionKind, std::set<std::string>> read{
      {OptionKind::kText, {"\"auto\"", "\"8\""}},
      {OptionKind::kNumber, {"8", "0.5"}},
      {OptionKind::kSize, {"8", "0.5", "\"auto\"", "\"8\""}},
      {OptionKind::kLength, {"8", "0.5", "\"auto\""}},
      {OptionKind::kLayers, {"8", "0.5", "\"auto\""}},
      {OptionKind::kSwitch, {"true", "false"}},
      {OptionKind::kTexts, {"\"auto\"", "\"8\"", "[\"a\", \"b\"]"}},
      {OptionKind::kNumbers, {"8", "0.5", "\"auto\"", "\"8\"", "[8, 9]"}},
      {OptionKind::kSettings, {"\"auto\"", "\"8\"", "[\"a\", \"b\"]", "{\"a\": 1}"}},
      {OptionKind::kDocument, {"{\"a\": 1}", "{\"a\": [1]}"}},
  };
  constexpr std::array<OptionInfo, 3> kAlso{
      {{.name = "model"}, {.name = "config", .kind = OptionKind::kDocument}, {.name = "explain", .kind = OptionKind::kSwitch}}};
  std::vector<OptionInfo> options(plan_options().begin(), plan_options().end());
  options.insert(options.end(), kAlso.begin(), kAlso.end());
  for (const OptionInfo& option : options)
    for (const std::string value : {"\"auto\"", "\"8\"", "8", "0.5", "true", "false", "[8, 9]", "[\"a\", \"b\"]", "[\"a\", 1]", "[[1]]",
                                    "[null]", "{\"a\": 1}", "{\"a\": [1]}"}) {
      const std::string text = "{\"" + std::string(option.name) + "\": " + value + "}";
      const auto result = read_options_json(text, kAlso);
      EXPECT_EQ(result.has_value(), read.at(option.kind).contains(value)) << text;
      if (result) continue;
      EXPECT_EQ(result.error().code, ErrorCode::kBadRequest) << text;
      EXPECT_EQ(result.error().where, "/" + std::string(option.name)) << text;
      EXPECT_THAT(result.error().message, HasSubstr(std::string(option.name) + " takes ")) << text;
    }
}

TEST(OptionsJson, ListsAreJoinedOrRepeated) {
  const auto options = read_options_json(
      R"({"stage-layers": [31, 30], "devices": ["80GiB", "24GiB"], "set": ["engine.a=1", "engine.b=2"], "frontier": true})", {});
  ASSERT_TRUE(options.has_value()) << options.error().message;
  ASSERT_EQ(options->size(), 5U);
  EXPECT_EQ((*options)[0].value, "31,30");
  EXPECT_EQ((*options)[0].where, "/stage-layers");
  EXPECT_EQ((*options)[1].value, "80GiB,24GiB");
  EXPECT_EQ((*options)[3].value, "engine.b=2");
  EXPECT_EQ((*options)[4].value, "true");
  EXPECT_FALSE(read_options_json(R"({"max_length": 1, "max-length": 2})", {}).has_value());
}

TEST(OptionsJson, RefusesWhatItCannotRead) {
  for (const std::string text : {"", "[]", "{", "{\"tp\": {}}", "{\"foo\": 1}", "{\"tp\": [[1]]}", "1", "{\"set\": {\"engine.x\": null}}"})
    EXPECT_FALSE(read_options_json(text, {}).has_value()) << text;
  EXPECT_FALSE(read_options_json(std::string(1'000'000, '['), {}).has_value());
}

} // namespace
} // namespace plimsoll
