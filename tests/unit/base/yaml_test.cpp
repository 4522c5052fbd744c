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
