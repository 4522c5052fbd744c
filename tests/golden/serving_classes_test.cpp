// The classes that vLLM and SGLang serve, as tests/data/serving_classes.jsonl lists them: each is a family's or says why not, so the list
// cannot go stale in either direction.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "golden/model_files.hpp"
#include "model/text_head.hpp"
#include "plugin/manifest.hpp"

namespace plimsoll::testing {
namespace {

struct Planned {
  std::set<std::string> classes, model_types;
};

// What the built-in families plan, and their aliases.
Planned planned_names() {
  Planned names;
  for (const auto& folder : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/plugins")) {
    if (!std::filesystem::exists(folder.path() / "plugin.yaml")) continue;
    const auto manifest = read_manifest(folder.path().string());
    if (!manifest) throw std::runtime_error(manifest.error().where + ": " + manifest.error().message);
    for (const FamilyManifest& family : manifest->families)
      for (const auto& [name, policy] : family.names().architectures) names.classes.insert(name);
    for (const FamilyManifest& family : manifest->families)
      names.model_types.insert(family.names().model_types.begin(), family.names().model_types.end());
    for (const auto& [name, as] : manifest->aliases) names.classes.insert(name);
  }
  return names;
}

TEST(ServingClasses, ArePlannedOrSayWhyNot) {
  const auto [classes, model_types] = planned_names();
  const std::set<std::string> groups{
      "text", "multimodal", "embedding", "late_interaction", "reward", "token_classification", "sequence_classification", "speculative"};
  std::set<std::string> seen;
  std::ifstream in(PLIMSOLL_SOURCE_DIR "/tests/data/serving_classes.jsonl");
  for (std::string line; std::getline(in, line);) {
    const Json row = Json::parse(line);
    const std::string name = row.value("name", "");
    EXPECT_TRUE(seen.insert(name).second) << name << " stands there twice";
    EXPECT_TRUE(groups.contains(row.value("group", ""))) << line;
    EXPECT_THAT(row.value("engines", std::vector<std::string>()), ::testing::Each(::testing::AnyOf("vllm", "sglang"))) << line;
    EXPECT_FALSE(row.value("engines", Json::array()).empty()) << line;
    if (row.contains("type")) { // by the end of its name and the type of its configurations
      EXPECT_TRUE(model_types.contains(row.value("type", ""))) << line;
      EXPECT_NE(text_head_of(name), TextHead::kLanguageModel) << line;
      EXPECT_FALSE(row.contains("why") || classes.contains(name)) << line;
      continue;
    }
    EXPECT_EQ(classes.contains(name), !row.contains("why"))
        << name << (classes.contains(name) ? " is planned now" : " is planned by nobody");
    EXPECT_NE(row.value("why", "-"), "") << line;
  }
  EXPECT_GT(seen.size(), 400U);
}

} // namespace
} // namespace plimsoll::testing
