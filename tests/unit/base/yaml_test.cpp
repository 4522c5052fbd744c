// YAML as JSON: scalars of the core schema, aliases within limits, refusals.
#include "base/yaml.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

struct Row {
  const char* yaml;
  const char* json;
};

TEST(YamlJson, PlainScalarsFollowTheCoreSchema) {
  constexpr Row rows[] = {
      {"a: 1", R"({"a": 1})"},
      {"a: -7", R"({"a": -7})"},
      {"a: +7", R"({"a": 7})"},
      {"a: 0.9", R"({"a": 0.9})"},
      {"a: .5", R"({"a": 0.5})"},
      {"a: 5.", R"({"a": 5.0})"},
      {"a: 1e3", R"({"a": 1e3})"},
      {"a: 1.5E-2", R"({"a": 1.5e-2})"},
      {"a: true", R"({"a": true})"},
      {"a: False", R"({"a": false})"},
      {"a: null", R"({"a": null})"},
      {"a: ~", R"({"a": null})"},
      {"a:", R"({"a": null})"},
      {"a: yes", R"({"a": "yes"})"},
      {"a: '1'", R"({"a": "1"})"},
      {"a: \"x\\ty\"", R"({"a": "x\u0009y"})"},
      {"a: 1_000", R"({"a": "1_000"})"},
      {"a: 0x10", R"({"a": "0x10"})"},
      {"a: 1.2.3", R"({"a": "1.2.3"})"},
      {"a: 80GiB", R"({"a": "80GiB"})"},
      {"a: .", R"({"a": "."})"},
      {"a: 1e", R"({"a": "1e"})"},
      {"a: !!str 5", R"({"a": "5"})"},
      {"a: 18446744073709551616", R"({"a": 18446744073709551616})"},
      {"[1, {b: 2}]", R"([1, {"b": 2}])"},
      {"{}", "{}"},
      {"[]", "[]"},
  };
  for (const Row& row : rows) {
    const auto json = yaml_to_json(row.yaml);
    ASSERT_TRUE(json.has_value()) << row.yaml << ": " << json.error().message;
    EXPECT_EQ(*json, row.json) << row.yaml;
  }
}

// JSON is YAML: the short way to values agrees with the long one, and what is not JSON still takes the long one.
TEST(YamlJson, ReadsJsonAsJson) {
  for (const char* text : {"{}", "{\"a\": 1}\n", R"({"a": [1, -2, 0.5, 1e3, true, null, "x", {"b": {}}], "c": "\u00e9\n"})",
                           "{\"a\": NaN, \"b\": -Infinity}", "{\"a\": 18446744073709551616}", "{\"a\":{\"b\":\"yes\"}}"}) {
    const auto fast = parse_yaml(text, "f.yaml", ErrorCode::kBadRequest);
    ASSERT_TRUE(fast) << text << fast.error().message;
    const auto slow = parse_json(yaml_to_json(text).value(), "f.yaml", ErrorCode::kBadRequest);
    ASSERT_TRUE(slow) << text;
    EXPECT_EQ(fast->dump(), slow->dump()) << text;
  }
  const auto flow = parse_yaml("{a: 1, b: [yes, 0.5], c: 'it''s'} # not JSON", "f.yaml", ErrorCode::kBadRequest);
  ASSERT_TRUE(flow) << flow.error().message;
  EXPECT_EQ(flow->dump(), R"({"a":1,"b":["yes",0.5],"c":"it's"})");
}

TEST(YamlJson, JsonIsRefusedAsYamlIs) {
  const std::pair<std::string, const char*> cases[] = {
      {R"({"a": 1, "a": 2})", "'a' appears twice"},
      {R"({"a": 1)", "not a YAML document"},
      {"{\"a\": 1}\n---\n{\"b\": 2}", "more than one YAML document"},
      {R"({"a": 01})", "leading zeros"},
      {R"({"a": 1e400})", "not valid JSON"},
      {"{\"a\": \"" + std::string(1 << 20, 'x') + "\"}", "bytes"},
  };
  for (const auto& [text, says] : cases) {
    const auto value = parse_yaml(text, "f.yaml", ErrorCode::kPluginFailed);
    ASSERT_FALSE(value) << text.substr(0, 40);
    EXPECT_EQ(value.error().code, ErrorCode::kPluginFailed);
    EXPECT_EQ(value.error().where, "f.yaml");
    EXPECT_NE(value.error().message.find(says), std::string::npos) << value.error().message;
  }
}

// yaml-cpp's LoadAll never returns from some of these.
TEST(YamlJson, WhatStandsBehindADocumentIsRefused) {
  for (const char* text : {"a: 1\n]", "[1, 2]]", "a: 1\n---\nb: 2\n", "- a\nb: c\n", "{a: 1} b"}) EXPECT_FALSE(yaml_to_json(text)) << text;
  EXPECT_TRUE(yaml_to_json("---\na: 1\n...\n"));
}

TEST(YamlJson, RepeatedKeysStayRepeated) { EXPECT_EQ(yaml_to_json("a: 1\na: 2").value(), R"({"a": 1, "a": 2})"); }

TEST(YamlJson, AliasesExpandWithinTheLimit) {
  EXPECT_EQ(yaml_to_json("a: &x [1, 2]\nb: *x").value(), R"({"a": [1, 2], "b": [1, 2]})");
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_EQ(yaml_to_json(bomb).error().code, ErrorCode::kBadRequest);
}

TEST(YamlJson, RefusesWhatJsonCannotSay) {
  for (const char* text : {"", "a: 0123", "a: .inf", "a: -.inf", "a: .nan", "a: !!binary x", "? [1]\n: 2", "a: 1\n---\nb: 2", "a: [1",
                           "\ta: 1", "a: *b", "<<: {a: 1}", "a: &x [*x]"})
    EXPECT_FALSE(yaml_to_json(text).has_value()) << text;
  EXPECT_NE(yaml_to_json("a: 1\nb: 0123").error().message.find("line 2, column 4"), std::string::npos);
}

TEST(YamlJson, RefusesDeepAndHugeText) {
  EXPECT_FALSE(yaml_to_json(std::string(5000, '[') + std::string(5000, ']')).has_value());
  EXPECT_FALSE(yaml_to_json(std::string(100, '[') + std::string(100, ']')).has_value());
  EXPECT_FALSE(yaml_to_json(std::string(2 << 20, 'a')).has_value());
}

} // namespace
} // namespace plimsoll
