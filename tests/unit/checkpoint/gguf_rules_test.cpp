// What rules find in metadata, and what they leave alone.
#include "checkpoint/gguf_rules.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

// The set `rules` applied to `config` with `metadata`, whose keys lack the architecture.
Json applied(const char* rules, const char* metadata, const char* config) {
  const Json root = {{"keys", {{"s", Json::parse(rules)}}}};
  const auto words = read_gguf_words(root, nullptr, "rules");
  EXPECT_TRUE(words) << rules << ": " << words.error().message;
  GgufMetadata values;
  const Json keys = Json::parse(metadata);
  for (const auto& [key, value] : keys.items()) values.values["acme." + key] = value;
  Json out = Json::parse(config);
  const StoredLayers stored{{"blk.a.weight", {0, 3}}, {"blk.b.bias", {2}}, {"blk.c", {1}}, {"norm.weight", {}}};
  if (words) apply_gguf_keys(words->keys.at("s"), GgufValues(values, "acme", &stored), out);
  return out;
}

TEST(GgufRules, FindValues) {
  struct Case {
    const char *rules, *metadata, *config, *expected;
  };
  const Case cases[] = {
      // a copy, of the metadata or of the config
      {R"({"theta": "rope.freq_base"})", R"({"rope.freq_base": 1e4})", "{}", R"({"theta": 1e4})"},
      {R"({"theta": "rope.freq_base"})", "{}", R"({"theta": 1})", R"({"theta": 1})"},
      {R"({"local": "/experts", "experts": null})", "{}", R"({"experts": 8})", R"({"local": 8})"},
      {R"({"a": "/b", "b": "/a"})", "{}", R"({"a": 1, "b": 2})", R"({"a": 2, "b": 1})"}, // both as they were before
      // the largest of a list, and the list where its numbers differ
      {R"({"kv": "heads"})", R"({"heads": [4, 0, 4]})", "{}", R"({"kv": 4, "kv_per_layer": [4, 0, 4]})"},
      {R"({"kv": "heads"})", R"({"heads": [4, 4]})", "{}", R"({"kv": 4})"},
      {R"({"kv": "heads"})", R"({"heads": [true, false]})", "{}", "{}"},
      {R"({"kv": "heads"})", R"({"heads": []})", "{}", "{}"},
      // the first that finds something
      {R"({"k": ["a", "b", {"value": [1]}]})", R"({"b": 3})", "{}", R"({"k": 3})"},
      {R"({"k": ["a", "b", {"value": [1]}]})", "{}", "{}", R"({"k": [1]})"},
      {R"({"k": ["/k", {"value": 1}]})", "{}", R"({"k": 5})", R"({"k": 5})"},
      // conditions
      {R"({"k": {"key": "a", "when": {"a": "positive"}}})", R"({"a": 0})", "{}", "{}"},
      {R"({"k": {"key": "a", "when": {"b": "none"}}})", R"({"a": 0})", "{}", R"({"k": 0})"},
      {R"({"k": {"value": true, "when": {"b": [1, 2]}}})", R"({"b": 2})", "{}", R"({"k": true})"},
      // words for numbers
      {R"({"k": {"key": "a", "words": {"2": "two", "*": "other"}}})", R"({"a": 2})", "{}", R"({"k": "two"})"},
      {R"({"k": {"key": "a", "words": {"2": "two", "*": "other"}}})", R"({"a": 1})", "{}", R"({"k": "other"})"},
      {R"({"k": {"key": "a", "words": {"2": "two"}}})", R"({"a": 1})", "{}", "{}"},
      {R"({"k": {"key": "a", "words": {"2": "two", "*": "other"}}})", R"({"a": "2"})", "{}", "{}"},
      {R"({"k": {"key": "a", "words": {"true": "rope", "false": "nope"}}})", R"({"a": true})", "{}", R"({"k": "rope"})"},
      {R"({"k": {"key": "a", "words": {"true": "rope", "false": "nope"}}})", R"({"a": false})", "{}", R"({"k": "nope"})"},
      {R"({"k": {"key": "a", "words": {"true": "rope"}}})", R"({"a": 1})", "{}", "{}"},
      // what is stored, and where
      {R"({"k": {"stored": "blk.a"}})", "{}", "{}", R"({"k": true})"},
      {R"({"k": {"stored": "blk.a.bias"}, "l": {"stored": "blk.b.bias"}})", "{}", "{}", R"({"k": false, "l": true})"},
      {R"({"k": {"stored": "blk.b"}, "l": {"stored": "blk.c"}, "m": {"stored": "norm"}})", "{}", "{}",
       R"({"k": false, "l": true, "m": true})"},
      {R"({"k": {"layers_storing": "blk.a"}, "l": {"layers_storing": "blk.d"}})", "{}", R"({"l": 1})", R"({"l": [], "k": [0, 3]})"},
      {R"({"k": {"stored": "blk.a", "when": {"n": "positive"}}})", "{}", "{}", "{}"},
      // ratios
      {R"({"k": {"ratio": ["inner", "/hidden"]}})", R"({"inner": 128})", R"({"hidden": 64})", R"({"hidden": 64, "k": 2})"},
      {R"({"k": {"ratio": ["inner", "/hidden"]}})", R"({"inner": 100})", R"({"hidden": 64})", R"({"hidden": 64})"},
      {R"({"k": {"ratio": ["inner", "heads"]}})", R"({"inner": 128, "heads": 0})", "{}", "{}"},
      // a word for each layer
      {R"({"k": {"layers": [["kv", "full"], "conv"]}})", R"({"kv": [0, 8, 0]})", "{}", R"({"k": ["conv", "full", "conv"]})"},
      {R"({"k": {"layers": [["kv", "full"], "conv"]}})", R"({"kv": 8})", "{}", "{}"},
      {R"({"k": {"layers": [["kv", "*"], ["ff", "-"], "M"], "join": true}})", R"({"kv": [0, 8, 0, 0], "ff": [0, 9, 9]})", "{}",
       R"({"k": "M*-M"})"},
      {R"({"k": {"layers": [["swa", "window"], "full"]}})", R"({"swa": [true, false]})", "{}", R"({"k": ["window", "full"]})"},
      // a word for one of each so many layers
      {R"({"k": {"period": ["n", 3], "of": ["w", "f"]}})", "{}", R"({"num_hidden_layers": 4})",
       R"({"num_hidden_layers": 4, "k": ["w", "w", "f", "w"]})"},
      {R"({"k": {"period": ["n", 3], "of": ["w", "f"], "first": true}})", "{}", R"({"num_hidden_layers": 4})",
       R"({"num_hidden_layers": 4, "k": ["f", "w", "w", "f"]})"},
      {R"({"k": {"period": ["n", 3], "of": ["w", "f"]}})", R"({"n": 2})", R"({"num_hidden_layers": 3})",
       R"({"num_hidden_layers": 3, "k": ["w", "f", "w"]})"},
      {R"({"k": {"period": ["n", 3], "of": ["w", "f"]}})", R"({"n": 0})", R"({"num_hidden_layers": 2})",
       R"({"num_hidden_layers": 2, "k": ["w", "w"]})"},
      {R"({"k": {"period": ["n", 2], "of": ["w", "f"]}})", R"({"n": [1, 1]})", R"({"num_hidden_layers": 2})",
       R"({"num_hidden_layers": 2, "k": ["w", "f"]})"},
      {R"({"k": {"period": ["n", 2], "of": ["w", "f"]}})", "{}", "{}", R"({"k": []})"},
      // numbers of layers, from 1, inside an object
      {R"({"lin/full": {"layers_with": "kv"}, "lin/kda": {"layers_without": "kv"}})", R"({"kv": [0, 8, 0]})", "{}",
       R"({"lin": {"full": [2], "kda": [1, 3]}})"},
      {R"({"lin/full": {"layers_with": "kv"}})", R"({"kv": [1]})", R"({"lin": 3})", R"({"lin": 3})"}, // no object: left alone
      {R"({"lin/full": null, "lin/none": null, "x/y": null})", "{}", R"({"lin": {"full": 3, "kda": 4}})", R"({"lin": {"kda": 4}})"},
      // a pattern over all layers
      {R"({"k": {"cycle": ["a", "b"]}})", "{}", R"({"num_hidden_layers": 3})", R"({"num_hidden_layers": 3, "k": ["a", "b", "a"]})"},
      {R"({"k": {"cycle": ["a", "b"]}})", "{}", "{}", R"({"k": []})"},
  };
  for (const Case& c : cases)
    EXPECT_EQ(nlohmann::json::parse(applied(c.rules, c.metadata, c.config).dump()), nlohmann::json::parse(c.expected))
        << c.rules << " with " << c.metadata;
}

// A hostile file cannot make a list longer than a model may have layers.
TEST(GgufRules, PatternsEndAtTheMostLayers) {
  const Json out = applied(R"({"k": {"cycle": ["a"]}})", "{}", R"({"num_hidden_layers": 4000000000})");
  EXPECT_EQ(out["k"].size(), 4096U);
}

} // namespace
} // namespace plimsoll
