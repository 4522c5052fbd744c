// Strict JSON: what is taken, what is refused, and that no text takes long.
#include "base/json.hpp"

#include <ctime>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace plimsoll {
namespace {

using testing::HasSubstr;

Result<Json> parse(std::string text) { return parse_json(std::move(text), "f.json", ErrorCode::kBadConfig); }

TEST(Json, TakesEveryKindInTheOrderOfTheText) {
  for (const std::string text : {"null", "true", "-3", "18446744073709551615", "0.5", "\"a\\u00e9\\n\"", "[]", "{}", "[[],{},[1,[2]]]",
                                 R"({"z":1,"a":{"b":[true,null,{"c":"d"}]},"m":-1.5,"":{}})",
                                 "[0,-0,1e3,-0.0,9223372036854775807,9223372036854775808,-9223372036854775808,18446744073709551616]"}) {
    const auto value = parse(text);
    ASSERT_TRUE(value) << text << value.error().message;
    EXPECT_EQ(*value, Json::parse(text)) << text;
    EXPECT_EQ(value->dump(), Json::parse(text).dump()) << text;
  }
}

// Signed or not: as_u64 and what is printed depend on it.
TEST(Json, NumbersKeepTheirKind) {
  const auto value = parse("[7, -7, 7.0, 9223372036854775808]");
  ASSERT_TRUE(value);
  EXPECT_TRUE((*value)[0].is_number_unsigned());
  EXPECT_TRUE((*value)[1].is_number_integer() && !(*value)[1].is_number_unsigned());
  EXPECT_TRUE((*value)[2].is_number_float());
  EXPECT_TRUE((*value)[3].is_number_unsigned());
}

TEST(Json, TakesSixtyFourLevels) {
  const auto value = parse(std::string(64, '[') + std::string(64, ']'));
  EXPECT_TRUE(value) << value.error().message;
}

TEST(Json, NumbersThatJsonLacksAreTexts) {
  const auto value = parse(R"({"a": NaN, "b": [Infinity, -Infinity], "NaN": "NaN"})");
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(value->dump(), R"({"a":"NaN","b":["Infinity","-Infinity"],"NaN":"NaN"})");
}

TEST(Json, RefusesWithAReason) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "not valid JSON"},
      {"{", "not valid JSON"},
      {"{} x", "not valid JSON"},
      {"[1,]", "not valid JSON"},
      {"{\"a\":1,}", "not valid JSON"},
      {"1e400", "not valid JSON"},
      {"\"\xff\"", "not valid JSON"},
      {R"({"a":1,"b":2,"a":3})", "'a' appears twice"},
      {R"([{"x":{"k":[],"k":[]}}])", "'k' appears twice"},
      {std::string(65, '['), "nests deeper than 64 levels"},
  };
  for (const auto& [text, says] : cases) {
    const auto value = parse(text);
    ASSERT_FALSE(value) << text;
    EXPECT_THAT(value.error().message, HasSubstr(says)) << text;
    EXPECT_EQ(value.error().where, "f.json");
  }
}

TEST(Json, DuplicatesAreFoundAmongManyKeys) {
  for (const int count : {31, 32, 33, 34, 1000}) {
    std::string text = "{";
    for (int i = 0; i < count; ++i) text += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + ",";
    const auto value = parse(text + "\"last\":0}");
    ASSERT_TRUE(value) << count;
    EXPECT_EQ(value->size(), static_cast<std::size_t>(count) + 1);
    for (const int known : {0, count / 2, count - 1}) {
      const auto twice = parse(text + "\"k" + std::to_string(known) + "\":0}");
      ASSERT_FALSE(twice) << count;
      EXPECT_THAT(twice.error().message, HasSubstr("'k" + std::to_string(known) + "' appears twice"));
    }
  }
}

// The settings of some quantised checkpoints name fifty thousand layers in one object.
TEST(Json, ManyKeysTakeNoLonger) {
  std::string object = "{\"k\":0", list = "[{\"k\":0}";
  for (int i = 0; i < 300'000; ++i) {
    object += ",\"k" + std::to_string(i) + "\":0";
    list += ",{\"k" + std::to_string(i) + "\":0}";
  }
  const auto processor_time = [](const std::string& text) {
    const std::clock_t begin = std::clock();
    const auto value = parse(text);
    EXPECT_TRUE(value);
    EXPECT_EQ(value->size(), 300'001U);
    return static_cast<double>(std::clock() - begin);
  };
  const double apart = processor_time(list + "]");     // the same keys, an object for each
  EXPECT_LT(processor_time(object + "}"), 50 * apart); // comparing every pair would be thousands of times as much
}

TEST(JsonApart, MembersAreTheValuesThatTheWholeTextHas) {
  const std::string text = R"({"names": ["a", "b"], "later": {"one": {"x": [1, 2.5, "t"], "y": null}, "two": {}}, "n": 3})";
  const auto whole = parse(text);
  const auto apart = parse_apart(text, "later");
  ASSERT_TRUE(whole);
  ASSERT_TRUE(apart);
  EXPECT_EQ(apart->rest, (Json{{"names", {"a", "b"}}, {"n", 3}}));
  ASSERT_EQ(apart->members.size(), 2U);
  for (const auto& [name, value] : apart->members) EXPECT_EQ(value.get(), (*whole)["later"][name]) << name;
  EXPECT_EQ(&apart->members[0].second.get(), &LazyJson(apart->members[0].second).get()); // made once
}

TEST(JsonApart, LeavesToTheStrictReaderWhatIsNotPlain) {
  EXPECT_TRUE(parse_apart(R"({"n": 3})", "later")->members.empty());
  for (const char* const text : {R"({"later": {"one": 1}})", R"({"later": []})", R"([])", R"({"n": 1, "n": 2})", R"({"n": NaN})",
                                 R"({"n": )", "", R"({"later": {"one": {}}, "later": {"two": {}}})"})
    EXPECT_FALSE(parse_apart(text, "later")) << text;
}

} // namespace
} // namespace plimsoll
