// Wrong arguments of every function of plimsoll/host.h, and wrong values of every key of their JSON objects: each is an error of the
// caller's, which names what is wrong; never a bug of ours, never a crash, and never taken for something else.
#include <climits>
#include <cstdint>
#include <gmock/gmock.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plimsoll/host.h"
#include "plimsoll/options.hpp"

namespace plimsoll {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

struct Freed {
  void operator()(void* handed_out) const { plimsoll_free(handed_out); }
};

const char* context_options() {
  return R"({"catalogue_path": ")" PLIMSOLL_SOURCE_DIR R"(/core/catalogue", "plugin_paths": [")" PLIMSOLL_BUILD_DIR
         R"(/lib/plimsoll/plugins"], "trust": "open"})";
}

std::unique_ptr<plimsoll_context, Freed> make_context() {
  plimsoll_context* context = nullptr;
  EXPECT_EQ(plimsoll_context_create(context_options(), nullptr, nullptr, &context, nullptr), PLIMSOLL_HOST_OK);
  return std::unique_ptr<plimsoll_context, Freed>(context);
}

struct Answer {
  int code = -1;
  Json document; // or the error alone
};

Json taken(char* text) {
  const std::unique_ptr<char, Freed> owner(text);
  return text == nullptr ? Json() : Json::parse(text);
}

using Ask = Answer (*)(const plimsoll_context*, const char*);
template <int (*function)(const plimsoll_context*, const char*, char**)>
Answer document_of(const plimsoll_context* context, const char* json) {
  char* text = nullptr;
  const int code = function(context, json, &text);
  return {code, taken(text)["error"]};
}
Answer estimate_of(const plimsoll_context*, const char* json) {
  char* text = nullptr;
  const int code = plimsoll_estimate_json(json, &text);
  return {code, taken(text)["error"]};
}
Answer created_plan(const plimsoll_context* context, const char* json) {
  plimsoll_plan* plan = nullptr;
  char* error = nullptr;
  const int code = plimsoll_plan_create(context, json, &plan, &error);
  EXPECT_EQ(plan == nullptr, code != PLIMSOLL_HOST_OK);
  plimsoll_free(plan);
  return {code, taken(error)};
}
Answer created_context(const plimsoll_context*, const char* json) {
  plimsoll_context* context = nullptr;
  char* error = nullptr;
  const int code = plimsoll_context_create(json, nullptr, nullptr, &context, &error);
  EXPECT_EQ(context == nullptr, code != PLIMSOLL_HOST_OK);
  plimsoll_free(context);
  return {code, taken(error)};
}

struct Function {
  const char* name;
  Ask ask;
};
constexpr Function kFunctions[]{{"plan", document_of<plimsoll_plan_json>},
                                {"weights", document_of<plimsoll_weights_json>},
                                {"compare", document_of<plimsoll_compare_json>},
                                {"fit", document_of<plimsoll_fit_json>},
                                {"estimate", estimate_of},
                                {"plan_create", created_plan},
                                {"context_create", created_context}};

// Wrong because of the caller, with a sentence; `what` is printed where it is not.
void expect_the_callers(const Answer& answer, const std::string& what) {
  EXPECT_EQ(answer.code, PLIMSOLL_HOST_BAD_REQUEST) << what << ": " << answer.document;
  ASSERT_TRUE(answer.document.is_object()) << what;
  EXPECT_EQ(answer.document["code"], "bad_request") << what;
  EXPECT_FALSE(answer.document["message"].get<std::string>().empty()) << what;
}

TEST(Arguments, WhatIsNoObjectIsRefused) {
  const auto context = make_context();
  const std::string deep(200'000, '['), nested = std::string(5'000, '{');
  for (const Function& function : kFunctions)
    for (const std::string& text : {std::string(),
                                    std::string(" "),
                                    std::string("{"),
                                    std::string("}"),
                                    std::string("[]"),
                                    std::string("null"),
                                    std::string("1"),
                                    std::string("\"model\""),
                                    std::string("{\"model\": }"),
                                    std::string("{\"model\": \"x\"} {}"),
                                    std::string("{'model': 'x'}"),
                                    std::string("{\"model\": NaN}"),
                                    std::string("{\"model\": 1e999}"),
                                    std::string("{\"model\": Infinity}"),
                                    std::string("\xff\xfe"),
                                    std::string("{\"\xc3\x28\": 1}"),
                                    std::string("{\"model\": \"\xed\xa0\x80\"}"),
                                    std::string("{\"a\": 1, \"a\": 2}"),
                                    std::string("{\"tp\": 0x10}"),
                                    std::string("{\"unknown key\": 1}"),
                                    std::string("{\"\": 1}"),
                                    std::string("{\"Model\": \"x\"}"),
                                    deep,
                                    "{\"model\": " + deep,
                                    nested,
                                    "{\"model\": \"" + std::string(3'000'000, 'x') + "\""})
      expect_the_callers(function.ask(context.get(), text.c_str()), std::string(function.name) + " of " + text.substr(0, 60));
}

// Values that are no value of any option, or only of few.
std::vector<std::string> hostile_values() {
  return {"true",
          "false",
          "-1",
          "-0.0",
          "0",
          "0.5",
          "-1e308",
          "1e308",
          "1e-320",
          "9223372036854775807",
          "9223372036854775808",
          "18446744073709551615",
          "18446744073709551616",
          "1e30",
          "\"\"",
          "\" \"",
          "\"-1\"",
          "\"nan\"",
          "\"NaN\"",
          "\"inf\"",
          "\"1e999\"",
          "\"\\u0000\"",
          "\"a\\u0000b\"",
          "\"\\n\"",
          "\"../../../../etc/passwd\"",
          "\"/dev/zero\"",
          "\"/proc/self/mem\"",
          "\"%s%s%n\"",
          "\"'; rm -rf /\"",
          "\"" + std::string(10'000, 'x') + "\"",
          "[]",
          "[[]]",
          "[null]",
          "[\"\"]",
          "[-1]",
          "[1e400]",
          "[{}]",
          "{}",
          "{\"a\": null}",
          "{\"\": \"\"}",
          "{\"engine.page_tokens\": {}}",
          "[\"a\", 1, true]"};
}

std::vector<std::string> keys() {
  std::vector<std::string> out{"model", "config", "draft", "explain"};
  for (const OptionInfo& option : plan_options()) out.emplace_back(option.name);
  return out;
}

// What is wrong of a value is the caller's to mend, or what it asks for does not fit; it is no bug and no plugin's fault.
void expect_no_bug(const Answer& answer, const std::string& what) {
  if (answer.code == PLIMSOLL_HOST_OK) return;
  ASSERT_TRUE(answer.document.is_object()) << what;
  EXPECT_THAT(answer.code, AnyOf(PLIMSOLL_HOST_BAD_REQUEST, PLIMSOLL_HOST_BAD_CONFIG, PLIMSOLL_HOST_BAD_CHECKPOINT,
                                 PLIMSOLL_HOST_UNSUPPORTED_ARCHITECTURE))
      << what << ": " << answer.document;
}

TEST(Arguments, EveryKeyTakesEveryValueOrRefusesIt) {
  const auto context = make_context();
  for (const Function& function : {kFunctions[0], kFunctions[1], kFunctions[3], kFunctions[5]}) {
    const bool fit = function.name == std::string("fit");
    for (std::string key : keys()) {
      for (const std::string& value : hostile_values()) {
        std::string request = "{\"" + key + "\": " + value;
        if (key != "model" && key != "config") request += R"(, "model": "Qwen/Qwen3-0.6B")";
        if (key != "devices" && !fit) request += R"(, "devices": "2x1GiB")";
        if (fit) request += R"(, "on": ["1GiB"], "max_devices": 2)";
        const Answer answer = function.ask(context.get(), (request + "}").c_str());
        expect_no_bug(answer, std::string(function.name) + " of " + request.substr(0, 120));
      }
    }
  }
}

// By kind what has another type is refused with the key, and the sentence says what the key takes.
TEST(Arguments, EveryOptionRefusesOtherTypesByItsName) {
  const auto context = make_context();
  for (const OptionInfo& option : plan_options()) {
    std::vector<std::string> wrong{"[[]]", "[null]", "{\"a\": null}", "{\"a\": []}"};
    const auto add = [&](std::initializer_list<const char*> more) { wrong.insert(wrong.end(), more.begin(), more.end()); };
    switch (option.kind) {
    case OptionKind::kText: add({"1", "true", "[\"a\"]", "{}"}); break;
    case OptionKind::kNumber: add({"\"1\"", "true", "[1]", "{}"}); break;
    case OptionKind::kSize: add({"true", "[1]", "{}"}); break;
    case OptionKind::kLength: add({"\"1\"", "\"\"", "true", "[1]", "{}"}); break;
    case OptionKind::kLayers: add({"\"1\"", "\"some\"", "true", "[1]", "{}"}); break;
    case OptionKind::kSwitch: add({"1", "0", "\"true\"", "[true]", "{}"}); break;
    case OptionKind::kTexts: add({"1", "true", "[1]", "{}"}); break;
    case OptionKind::kNumbers: add({"true", "[\"1\"]", "{}"}); break;
    case OptionKind::kSettings: add({"1", "true", "[1]"}); break;
    case OptionKind::kDocument: add({"1", "true", "\"a\""}); break;
    }
    for (const std::string& value : wrong) {
      const std::string request = "{\"" + std::string(option.name) + "\": " + value + "}";
      const Answer answer = document_of<plimsoll_plan_json>(context.get(), request.c_str());
      expect_the_callers(answer, request);
      EXPECT_EQ(answer.document["where"], "/" + std::string(option.name)) << request;
      EXPECT_THAT(answer.document["message"].get<std::string>(), HasSubstr(std::string(option.name) + " takes ")) << request;
    }
  }
}

TEST(Arguments, KeysOfOtherFunctionsAreHeldToTheirTypes) {
  const auto context = make_context();
  struct Case {
    const char* function;
    const char* request;
    const char* where;
  };
  for (const Case& c : {Case{"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": 1})", "/on"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": [1]})", "/on"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": ["2xH100"]})", "--on"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": ["H100,L4"]})", "--on"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": ["auto"]})", "--on"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": [""]})", "--on"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": ["no such card"]})", "--on"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "max_devices": 0})", "/max_devices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "max_devices": 65})", "/max_devices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "max_devices": -1})", "/max_devices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "max_devices": 1.5})", "/max_devices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "max_devices": "8"})", "/max_devices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "tp": "2"})", "/tp"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": ["H100"], "tp": 5, "max_devices": 4})", "--max-devices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": ["H100"], "nodes": 9})", "--nodes"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "layout": "auto"})", "/layout"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "for": 8})", "/for"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "for": "8y"})", "/for"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "for": "4x8k", "max_length": 8192})", "--for"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "prices": [1]})", "/prices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "prices": {"H100": "1"}})", "/prices/H100"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": ["H100"], "prices": {"H100": -1}})", "--prices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": ["H100"], "prices": {"no such card": 1}})", "--prices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "on": ["H100"], "prices": {"H100": 1, "h100-sxm": 2}})", "--prices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "all": 1})", "/all"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "devices": "2xH100"})", "/devices"},
                        {"fit", R"({"model": "Qwen/Qwen3-0.6B", "stage_layers": [[1]]})", "/stage_layers"},
                        {"fit", "{}", "/model"},
                        {"plan", R"({"model": "Qwen/Qwen3-0.6B", "on": ["H100"]})", "/on"},
                        {"compare", R"({"logs": {}})", "/logs"},
                        {"compare", R"({"logs": [null]})", "/logs"},
                        {"compare", R"({"logs": ["x"], "records": 1})", "/records"},
                        {"compare", R"({"logs": ["x"], "tolerance": true})", "/tolerance"},
                        {"estimate", R"({"devices": 1})", "/devices"},
                        {"estimate", R"({"devices": [{"free_bytes": -1}]})", "/devices/0/free_bytes"},
                        {"estimate", R"({"devices": [{"free_bytes": 1e400}]})", nullptr},
                        {"estimate", R"({"devices": [{"free_bytes": 18446744073709551616}]})", nullptr},
                        {"estimate", R"({"device": []})", "/device"},
                        {"context_create", R"({"plugin_paths": {}})", "/plugin_paths"},
                        {"context_create", R"({"prefer": "x"})", "/prefer"},
                        {"context_create", R"({"trust": "none"})", "/trust"},
                        {"context_create", R"({"isolation": true})", "/isolation"},
                        {"context_create", R"({"isolation": "none"})", "/isolation"},
                        {"context_create", R"({"plugin_timeout": "10"})", "/plugin_timeout"},
                        {"context_create", R"({"plugin_timeout": 0})", "/plugin_timeout"},
                        {"context_create", R"({"plugin_timeout": -1})", "/plugin_timeout"},
                        {"context_create", R"({"plugin_timeout": 1e300})", "/plugin_timeout"},
                        {"context_create", R"({"online": 1})", "/online"},
                        {"context_create", R"({"fetch_timeout": 0})", "/fetch_timeout"},
                        {"context_create", R"({"plugin_paths": ["/nonexistent"]})", nullptr},
                        {"context_create", R"({"plugin_paths": [""]})", nullptr},
                        {"context_create", R"({"catalogue_path": "a\u0000b"})", nullptr}})
    for (const Function& function : kFunctions) {
      if (c.function != std::string(function.name)) continue;
      const Answer answer = function.ask(context.get(), c.request);
      expect_the_callers(answer, c.request);
      if (c.where != nullptr) {
        EXPECT_EQ(answer.document["where"], c.where) << c.request;
      }
    }
}

TEST(Arguments, NullIsRefusedByName) {
  const auto context = make_context();
  for (const Function& function : kFunctions) {
    const std::string name = function.name;
    if (name != "context_create") { // its options may be NULL
      const Answer answer = function.ask(context.get(), nullptr);
      expect_the_callers(answer, name);
      EXPECT_EQ(answer.document["where"], "request_json") << name;
    }
    if (name == "context_create" || name == "estimate") continue; // they take none
    const Answer answer = function.ask(nullptr, "{}");
    expect_the_callers(answer, name);
    EXPECT_EQ(answer.document["where"], "context") << name;
  }
  for (const auto function : {plimsoll_plan_json, plimsoll_weights_json, plimsoll_compare_json, plimsoll_fit_json})
    EXPECT_EQ(function(context.get(), "{}", nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_estimate_json("{}", nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  char* error = nullptr;
  EXPECT_EQ(plimsoll_context_create(nullptr, nullptr, nullptr, nullptr, &error), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(taken(error)["where"], "out");
  EXPECT_EQ(plimsoll_context_create("{", nullptr, nullptr, nullptr, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_create(context.get(), "{}", nullptr, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  plimsoll_free(nullptr);
}

TEST(Arguments, GettersRefuseWhatDoesNotExist) {
  const auto context = make_context();
  plimsoll_plan* made = nullptr;
  ASSERT_EQ(plimsoll_plan_create(context.get(), R"({"model": "Qwen/Qwen3-0.6B", "devices": "2x8GiB"})", &made, nullptr), PLIMSOLL_HOST_OK);
  const std::unique_ptr<plimsoll_plan, Freed> plan(made);
  std::int64_t bytes = -7;
  std::uint64_t value = 7;
  double fraction = 0.7;
  std::size_t count = 7;
  std::uint32_t layer = 7;
  char* text = nullptr;
  const int kFigures[]{INT_MIN, -1, 1'000, INT_MAX};
  const std::uint32_t kPlaces[]{2, 1'000, INT_MAX, UINT32_MAX};
  for (const plimsoll_plan* of : {static_cast<const plimsoll_plan*>(nullptr), static_cast<const plimsoll_plan*>(made)})
    for (const int which : kFigures) {
      EXPECT_EQ(plimsoll_plan_rank_bytes(of, 0, which, &bytes), PLIMSOLL_HOST_BAD_REQUEST);
      EXPECT_EQ(plimsoll_plan_limit(of, which, &value), PLIMSOLL_HOST_BAD_REQUEST);
      EXPECT_EQ(plimsoll_plan_fraction(of, which, &fraction), PLIMSOLL_HOST_BAD_REQUEST);
      EXPECT_EQ(plimsoll_plan_text(of, which, &text), PLIMSOLL_HOST_BAD_REQUEST);
      EXPECT_EQ(plimsoll_plan_kv_group(of, 0, which, &value), PLIMSOLL_HOST_BAD_REQUEST);
      EXPECT_EQ(plimsoll_plan_kv_rank_group(of, 0, 0, which, &value), PLIMSOLL_HOST_BAD_REQUEST);
      EXPECT_EQ(plimsoll_plan_kv_rank_group_text(of, 0, 0, which, &text), PLIMSOLL_HOST_BAD_REQUEST);
    }
  for (const std::uint32_t place : kPlaces) {
    EXPECT_EQ(plimsoll_plan_rank_bytes(made, place, 0, &bytes), PLIMSOLL_HOST_BAD_REQUEST);
    EXPECT_EQ(plimsoll_plan_kv_group(made, place, 0, &value), PLIMSOLL_HOST_BAD_REQUEST);
    for (const auto& [rank, group] : {std::pair{place, 0U}, std::pair{0U, place}, std::pair{place, place}}) {
      EXPECT_EQ(plimsoll_plan_kv_rank_group(made, rank, group, 0, &value), PLIMSOLL_HOST_BAD_REQUEST);
      EXPECT_EQ(plimsoll_plan_kv_rank_group_text(made, rank, group, 0, &text), PLIMSOLL_HOST_BAD_REQUEST);
      EXPECT_EQ(plimsoll_plan_kv_rank_group_layers(made, rank, group, &layer, 1, &count), PLIMSOLL_HOST_BAD_REQUEST);
    }
  }
  EXPECT_EQ(plimsoll_plan_rank_bytes(made, 0, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_limit(made, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_fraction(made, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_text(made, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_group(made, 0, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group(made, 0, 0, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group_text(made, 0, 0, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group_layers(made, 0, 0, nullptr, 1, &count), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group_layers(made, 0, 0, &layer, 1, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_document(made, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_document(nullptr, 0, &text), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_verdict(nullptr), -1);
  EXPECT_EQ(plimsoll_plan_rank_count(nullptr), 0U);
  // Nothing of what was refused was written.
  EXPECT_EQ(bytes, -7);
  EXPECT_EQ(value, 7U);
  EXPECT_EQ(fraction, 0.7);
  EXPECT_EQ(count, 7U);
  EXPECT_EQ(layer, 7U);
  EXPECT_EQ(text, nullptr);
  for (const int indent : {INT_MIN, -1, 0, INT_MAX}) {
    EXPECT_EQ(plimsoll_plan_document(made, indent, &text), PLIMSOLL_HOST_OK);
    EXPECT_EQ(taken(text)["schema"], "plimsoll.plan/1");
  }
}

} // namespace
} // namespace plimsoll
