// gguf.json: what is read, what is refused with the key at fault, and which meaning of a name counts.
#include "checkpoint/gguf_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/gguf_names.hpp"
#include "support/source_gguf.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

const GgufWords& common() {
  static const GgufWords words =
      read_gguf_words(Json::parse(R"({"keys": {"usual": {"a": "b"}, "shared": {"c": "d"}}, "names": {"usual": {"x": "y"}}})"), nullptr,
                      "common")
          .value();
  return words;
}

Result<GgufWords> read(const std::string& text) { return read_gguf_words(Json::parse(text), &common(), "acme/gguf.json"); }

// One architecture whose keys are `rule`, or a set of its own.
std::string with_rule(const std::string& rule) {
  return R"({"architectures": {"acme": {"class": "A", "model_type": "a", "keys": {"k": )" + rule + "}}}}";
}

TEST(GgufWords, AreReadWhole) {
  const auto words = read(R"({
    "architectures": {
      "one": {"class": "OneForCausalLM", "model_type": "one", "keys": ["shared", "mine", {"e": null}], "names": "mine"},
      "two": [{"when": {"n": 2, "m": [3, 4], "l": "list"}, "class": "TwoForCausalLM", "model_type": "two"},
              {"class": "RestForCausalLM", "model_type": "rest"}]
    },
    "keys": {"mine": {"f": ["g", {"value": 7}]}},
    "names": {"mine": {"blk": "layers.{}", "blk.q.{}": "q.{}.w"}}})");
  ASSERT_TRUE(words) << words.error().where << ": " << words.error().message;
  const GgufArchitecture& one = words->architectures.at("one").front();
  EXPECT_EQ(one.class_name, "OneForCausalLM");
  ASSERT_EQ(one.keys.size(), 3U);
  EXPECT_EQ(one.keys[0].front().name, "c");
  EXPECT_EQ(one.keys[1].front().rules.size(), 2U);
  EXPECT_EQ(one.keys[2].front().rules.front().kind, GgufRule::Kind::kRemove);
  EXPECT_EQ(one.names.front().at("blk.q.{}"), "q.{}.w");
  const GgufArchitecture whole = gguf_architecture("one", &one, common());
  EXPECT_EQ(whole.keys.size(), 4U); // "usual" first
  EXPECT_EQ(whole.names.front().at("x"), "y");
}

// What rows leave out is said once; a row's own word counts all the same.
TEST(GgufWords, HaveDefaults) {
  const auto words = read(R"({"defaults": {"class": "Any", "names": null}, "architectures": {
    "one": {}, "two": {"model_type": "second", "names": {"a": "b"}}, "three": {"class": "Own", "model_type": "own"},
    "four": {"class": "Own", "model_type": "own", "names": null}}})");
  ASSERT_TRUE(words) << words.error().where << ": " << words.error().message;
  struct Case {
    const char *name, *class_name, *model_type;
    std::size_t names;
  };
  for (const Case& c :
       {Case{"one", "Any", "one", 0}, Case{"two", "Any", "second", 2}, Case{"three", "Own", "own", 1}, Case{"four", "Own", "own", 0}}) {
    const GgufArchitecture found = gguf_architecture(c.name, &words->architectures.at(c.name).front(), common());
    EXPECT_EQ(found.class_name, c.class_name) << c.name;
    EXPECT_EQ(found.model_type, c.model_type) << c.name;
    EXPECT_EQ(found.names.size(), c.names) << c.name;
    EXPECT_EQ(found.keys.size(), 1U) << c.name;
  }
}

TEST(GgufWords, SayHowElementsLie) {
  const auto words = read(R"({
    "architectures": {
      "silent": {"class": "A", "model_type": "a"},
      "plain": {"class": "A", "model_type": "a", "orders": {}},
      "turned": {"class": "A", "model_type": "a", "orders": ["mine", {"blk.q": [], "blk.k": ["transposed", "alternating"],
        "blk.a": ["minus_exponential", {"dealt": "groups"}], "blk.b": {"dealt": "groups"}}]}},
    "orders": {"mine": {"blk.q": "rope_pairs", "blk.v": "rope_pairs", "norm": "one_added"}}})");
  ASSERT_TRUE(words) << words.error().where << ": " << words.error().message;
  const auto orders = [&](const char* name) { return gguf_architecture(name, &words->architectures.at(name).front(), common()).orders; };
  EXPECT_FALSE(orders("silent").has_value());
  EXPECT_EQ(orders("plain"), std::vector<StoredOrderSet>(1));
  EXPECT_FALSE(gguf_architecture("unknown", nullptr, common()).orders.has_value());
  const auto turned = orders("turned");
  ASSERT_TRUE(turned.has_value());
  const std::pair<const char*, StoredOrder> cases[] = {{"blk.3.q.weight", {}},
                                                       {"blk.3.v.weight", {.rope_pairs = true}},
                                                       {"blk.3.v.bias", {.rope_pairs = true}},
                                                       {"blk.3.k.weight", {.transposed = true, .alternating = true}},
                                                       {"blk.3.a", {.minus_exponential = true, .dealt = "groups"}},
                                                       {"blk.3.b.bias", {.dealt = "groups"}},
                                                       {"norm.weight", {.one_added = true}},
                                                       {"norm", {.one_added = true}},
                                                       {"norm.bias", {}},
                                                       {"blk.3.norm.weight", {}},
                                                       {"v.weight", {}},
                                                       {"blk.3", {}},
                                                       {"", {}}};
  for (const auto& [stored, order] : cases) EXPECT_EQ(stored_order(*turned, stored), order) << stored;
}

TEST(GgufWords, TheFirstMeaningWhoseConditionsHoldCounts) {
  const auto words = read(R"({"architectures": {"two": [
    {"when": {"gate": 2, "experts": "positive"}, "class": "A", "model_type": "a"},
    {"when": {"gate": [3, 4]}, "class": "B", "model_type": "b"},
    {"when": {"list": "list"}, "class": "C", "model_type": "c"},
    {"when": {"experts": "none", "gate": "number"}, "class": "D", "model_type": "d"}]}})");
  ASSERT_TRUE(words) << words.error().message;
  struct Case {
    const char *metadata, *class_name;
  };
  const Case cases[] = {{R"({"two.gate": 2, "two.experts": 8})", "A"},
                        {R"({"two.gate": 4})", "B"},
                        {R"({"two.gate": 2, "two.experts": 0})", "D"},
                        {R"({"two.gate": 2, "two.list": [1]})", "C"},
                        {R"({"two.gate": 2})", "D"},
                        {R"({"other.gate": 2})", nullptr},
                        {R"({"two.gate": "2", "two.experts": 8})", nullptr},
                        {R"({})", nullptr},
                        {R"({"two.gate": 2, "two.experts": true})", "A"},
                        {R"({"two.gate": 2, "two.experts": 0.5})", "A"},
                        {R"({"two.gate": 2, "two.experts": false})", "D"},
                        {R"({"two.gate": 2, "two.experts": [1]})", nullptr}};
  for (const Case& c : cases) {
    GgufMetadata metadata;
    const Json keys = Json::parse(c.metadata);
    for (const auto& [key, value] : keys.items()) metadata.values[key] = value;
    const GgufArchitecture* found = find_gguf_architecture(*words, "two", metadata);
    ASSERT_EQ(found == nullptr, c.class_name == nullptr) << c.metadata;
    if (found != nullptr) {
      EXPECT_EQ(found->class_name, c.class_name) << c.metadata;
    }
  }
  EXPECT_EQ(find_gguf_architecture(*words, "three", {}), nullptr);
}

TEST(GgufWords, AnUnknownArchitectureMeansItselfInTheUsualWords) {
  const GgufArchitecture unknown = gguf_architecture("brandnew", nullptr, common());
  EXPECT_EQ(unknown.class_name, "brandnew");
  EXPECT_EQ(unknown.model_type, "brandnew");
  EXPECT_EQ(unknown.keys.size(), 1U);
}

TEST(GgufWords, AreRefusedWithTheKeyAtFault) {
  struct Case {
    std::string text;
    const char *says, *pointer;
  };
  std::string many = R"({"architectures": {)";
  for (int i = 0; i < 1025; ++i) many += (i == 0 ? "\"a" : ", \"a") + std::to_string(i) + R"(": {"class": "A", "model_type": "a"})";
  many += "}}";
  const Case cases[] = {
      {"[]", "an object with architectures, keys, names and orders was expected", "/"},
      {R"({"architecture": {}})", "an unknown key; architectures, defaults, keys, names, orders are known", "/architecture"},
      {R"({"architectures": []})", "an object was expected", "/architectures"},
      {R"({"architectures": {"acme": "A"}})", "an object with class and model_type was expected", "/architectures/acme"},
      {R"({"architectures": {"acme": []}})", "1 to 16 meanings were expected", "/architectures/acme"},
      {R"({"architectures": {"acme": {"model_type": "a"}}})", "a text of 1 to 256 bytes was expected", "/architectures/acme/class"},
      {R"({"architectures": {"acme": {"class": "A", "model_type": 3}}})", "a text of 1 to 256 bytes", "/architectures/acme/model_type"},
      {R"({"architectures": {"acme": [{"class": "A", "model_type": "a", "klass": "b"}]}})", "an unknown key",
       "/architectures/acme/0/klass"},
      {R"({"architectures": {"acme": {"class": "A", "model_type": "a", "keys": "theirs"}}})",
       "there is no set 'theirs' here nor in the catalogue", "/architectures/acme/keys"},
      {R"({"architectures": {"acme": {"class": "A", "model_type": "a", "names": ["usual", 7]}}})", "a text of 1 to 256 bytes",
       "/architectures/acme/names/1"},
      {R"({"architectures": {"acme": {"class": "A", "model_type": "a", "when": {"n": "big"}}}})", "positive, none, number, list",
       "/architectures/acme/when/n"},
      {R"({"architectures": {"acme": {"class": "A", "model_type": "a", "when": {"n": []}}}})", "a list of numbers",
       "/architectures/acme/when/n"},
      {R"({"architectures": {"acme": {"class": "A", "model_type": "a", "when": {"n": -1}}}})", "a number", "/architectures/acme/when/n"},
      {with_rule("7"), "a metadata key, a rule, a list of these or null was expected", "/architectures/acme/keys/k"},
      {with_rule("[]"), "1 to 8 rules were expected", "/architectures/acme/keys/k"},
      {with_rule(R"(["a", 7])"), "a metadata key, a rule", "/architectures/acme/keys/k/1"},
      {with_rule("{}"), "exactly one of key, value", "/architectures/acme/keys/k"},
      {with_rule(R"({"key": "a", "value": 1})"), "exactly one of key, value", "/architectures/acme/keys/k"},
      {with_rule(R"({"key": "a", "wörds": {}})"), "an unknown key", "/architectures/acme/keys/k/wörds"},
      {with_rule(R"({"key": "a", "words": {"1": 2}})"), "a text of", "/architectures/acme/keys/k/words/1"},
      {with_rule(R"({"ratio": ["a"]})"), "a list of 2 to 64 texts was expected", "/architectures/acme/keys/k/ratio"},
      {with_rule(R"({"ratio": ["a", "b", "c"]})"), "two sources were expected", "/architectures/acme/keys/k/ratio"},
      {with_rule(R"({"layers": ["a"]})"), "pairs of a metadata key and a word", "/architectures/acme/keys/k/layers"},
      {with_rule(R"({"layers": [["a", "b", "c"], "d"]})"), "a metadata key and a word", "/architectures/acme/keys/k/layers/0"},
      {with_rule(R"({"layers": [["a", "b"], "c"], "join": "yes"})"), "true or false", "/architectures/acme/keys/k/join"},
      {with_rule(R"({"cycle": []})"), "a list of 1 to 64 texts", "/architectures/acme/keys/k/cycle"},
      {with_rule(R"({"period": ["a"], "of": ["b", "c"]})"), "a metadata key and a number of layers", "/architectures/acme/keys/k/period"},
      {with_rule(R"({"period": ["a", 0], "of": ["b", "c"]})"), "a metadata key and a number of layers",
       "/architectures/acme/keys/k/period"},
      {with_rule(R"({"period": ["a", 4]})"), "two words were expected", "/architectures/acme/keys/k/of"},
      {with_rule(R"({"period": ["a", 4], "of": ["b", "c", "d"]})"), "two words were expected", "/architectures/acme/keys/k/of"},
      {with_rule(R"({"period": ["a", 4], "of": ["b", "c"], "first": 1})"), "true or false", "/architectures/acme/keys/k/first"},
      {R"({"defaults": {"names": null}})", "a text of 1 to 256 bytes", "/defaults/class"},
      {R"({"defaults": {"class": "A", "names": "mine"}})", "null was expected", "/defaults/names"},
      {R"({"defaults": {"class": "A", "keys": {}}})", "an unknown key", "/defaults/keys"},
      {R"({"keys": {"s": {"a//b": "c"}}})", "a key of the config was expected", "/keys/s/a//b"},
      {R"({"keys": {"s": []}})", "an object was expected", "/keys/s"},
      {R"({"names": {"s": {"a": 1}}})", "a text of 1 to 256 bytes", "/names/s/a"},
      {R"({"names": {"s": {"blk": "layers"}}})", "one {} was expected, for the layer's number", "/names/s/blk"},
      {R"({"names": {"s": {"a.{}": "b"}}})", "at most one {} was expected, on both sides alike", "/names/s/a.{}"},
      {R"({"names": {"s": {"a.{}.{}": "b.{}.{}"}}})", "at most one {}", "/names/s/a.{}.{}"},
      {R"({"names": {"s": {"": "b"}}})", "a key of 1 to 256 bytes was expected", "/names/s"},
      {R"({"orders": {"s": {"a": "backwards"}}})", "rope_pairs, one_added, transposed, alternating, minus_exponential", "/orders/s/a"},
      {R"({"orders": {"s": {"a": 1}}})", "a text of 1 to 256 bytes", "/orders/s/a"},
      {R"({"orders": {"s": {"a": {}}}})", "a text of 1 to 256 bytes", "/orders/s/a/dealt"},
      {R"({"orders": {"s": {"a": [{"dealt": 4}]}}})", "a text of 1 to 256 bytes", "/orders/s/a/dealt"},
      {R"({"orders": {"s": {"a": {"dealt": "n", "to": "m"}}}})", "an unknown key", "/orders/s/a/to"},
      {with_rule(R"({"stored": 1})"), "a text of 1 to 256 bytes", "/architectures/acme/keys/k/stored"},
      {with_rule(R"({"stored": "blk.a", "layers_storing": "blk.a"})"), "exactly one of key, value", "/architectures/acme/keys/k"},
      {R"({"architectures": {"acme": {"class": "A", "model_type": "a", "needs": "n"}}})", "a list of 1 to 64 texts",
       "/architectures/acme/needs"},
      {R"({"orders": {"s": "rope_pairs"}})", "an object was expected", "/orders/s"},
      {R"({"architectures": {"acme": {"class": "A", "model_type": "a", "orders": "theirs"}}})",
       "there is no set 'theirs' here nor in the catalogue", "/architectures/acme/orders"},
      {R"({"architectures": {"acme": {"class": "A", "model_type": "a", "orders": [{}, {"a": "up"}]}}})", "rope_pairs, one_added",
       "/architectures/acme/orders/1/a"},
      {many, "1025 entries; at most 1024 are read", "/architectures"},
  };
  for (const Case& c : cases) {
    const auto words = read(c.text);
    ASSERT_FALSE(words) << c.text.substr(0, 200);
    EXPECT_EQ(words.error().code, ErrorCode::kPluginFailed);
    EXPECT_THAT(words.error().message, HasSubstr(c.says)) << c.text.substr(0, 200);
    EXPECT_EQ(words.error().where, std::string("acme/gguf.json: ") + c.pointer) << c.text.substr(0, 200);
  }
}

// No architecture is taught by two built-in families under conditions that can both hold, but by one that says how elements lie and by one
// that does not: the order of plugins does not matter.
TEST(GgufWords, BuiltInFamiliesDoNotContradictEachOther) {
  std::map<std::string, int> unconditional, ordered, unordered;
  for (const GgufWords& words : test::source_gguf().families)
    for (const auto& [name, meanings] : words.architectures) {
      ASSERT_FALSE(meanings.empty());
      const bool orders = meanings.front().orders.has_value();
      if (meanings.back().when.empty()) ++unconditional[name + (meanings.back().orders ? " in order" : "")];
      if (name != "llama") ++(orders ? ordered : unordered)[name];
    }
  for (const std::map<std::string, int>* counts : {&unconditional, &ordered, &unordered})
    for (const auto& [name, count] : *counts) EXPECT_LE(count, 1) << name;
  for (const std::uint64_t experts : {0U, 8U}) {
    GgufMetadata metadata;
    metadata.values["llama.expert_count"] = experts;
    int holds = 0;
    for (const GgufWords& words : test::source_gguf().families)
      holds += find_gguf_architecture(words, "llama", metadata) != nullptr ? 1 : 0;
    EXPECT_EQ(holds, 1) << experts;
  }
}

// The guide's example is one.
TEST(GgufWords, TheGuidesExampleCanBeRead) {
  const auto guide = read_text_file(std::string(PLIMSOLL_SOURCE_DIR) + "/sdk/docs/gguf.md", 1 << 20, ErrorCode::kInternal);
  ASSERT_TRUE(guide);
  const std::size_t from = guide->find("```json\n") + 8;
  const auto words =
      read_gguf_words(Json::parse(guide->substr(from, guide->find("```", from) - from)), &test::source_gguf().common, "gguf.md");
  ASSERT_TRUE(words) << words.error().where << ": " << words.error().message;
  EXPECT_EQ(words->architectures.at("acme").front().keys.size(), 2U);
  EXPECT_EQ(words->architectures.at("acme-old").size(), 2U);
}

} // namespace
} // namespace plimsoll
