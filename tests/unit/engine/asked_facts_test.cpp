// Facts with one key have one answer: the profiles that ship, settled for hundreds of facts, each against the first with its key.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <map>

#include "base/yaml.hpp"
#include "engine/profile_rules.hpp"

namespace plimsoll {
namespace {

std::vector<ProfileFacts> many_facts() {
  std::vector<ProfileFacts> out;
  struct CardFacts {
    const char *name, *arch, *vendor;
    std::uint32_t compute;
    std::uint64_t gib;
  };
  const CardFacts cards[]{{"H100", "hopper", "nvidia", 90, 79},
                          {"A100-40GB", "ampere", "nvidia", 80, 39},
                          {"B200", "blackwell", "nvidia", 100, 178},
                          {"MI300X", "gfx942", "amd", 0, 191},
                          {"", "", "", 0, 12}};
  const std::vector<std::string> parts[]{{}, {"experts"}, {"latent", "experts", "draft"}, {"state", "experts"}, {"window", "vision"}};
  for (const CardFacts& card : cards)
    for (const auto& has : parts)
      for (const std::uint32_t tp : {1U, 3U, 8U})
        for (const std::uint32_t pp : {1U, 2U})
          for (const std::uint32_t dp : {1U, 8U})
            for (const std::uint32_t ep : {1U, tp * dp}) {
              ProfileFacts facts;
              facts.card = card.name;
              facts.arch = card.arch;
              facts.vendor = card.vendor;
              facts.compute_capability = card.compute;
              facts.card_bytes = card.gib << 30;
              facts.tp = tp;
              facts.pp = pp;
              facts.dp = dp;
              facts.ep = ep;
              facts.head_elements = tp % 2 == 0 ? 128 : 256;
              facts.model_type = has.empty() ? "llama" : "deepseek_v3";
              facts.expert_format = has.size() > 1 ? "mxfp4" : "bfloat16";
              facts.has = has;
              out.push_back(std::move(facts));
            }
  return out;
}

TEST(AskedFacts, OneKeyHasOneAnswer) {
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/core/catalogue/engines")) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string file = entry.path().string();
    std::ifstream in(file);
    const auto root = parse_yaml(std::string(std::istreambuf_iterator<char>(in), {}), file, ErrorCode::kBadRequest);
    ASSERT_TRUE(root) << file;
    const AskedFacts asked(*root);
    std::map<std::string, std::string> answers;
    std::size_t at = 0;
    for (const ProfileFacts& facts : many_facts()) {
      const std::string key = asked.key(facts);
      if (answers.contains(key) && at++ % 7 != 0) continue;
      const auto settled = settle_conditions(*root, facts, root->value("version", ""), file);
      ASSERT_TRUE(settled) << file;
      const auto [first, is_new] = answers.emplace(key, settled->dump());
      EXPECT_EQ(first->second, settled->dump()) << file << ": " << key;
    }
    EXPECT_LT(answers.size(), 480U) << file;
  }
}

TEST(AskedFacts, AreThoseThatConditionsName) {
  const Json root = Json::parse(R"({"a": [{"when": {"tp_from": 2, "not_vendor": "amd"}, "value": 1}, {"value": 2}]})");
  const AskedFacts asked(root);
  ProfileFacts facts;
  const std::string one = asked.key(facts);
  facts.pp = 9;
  facts.card = "H100";
  facts.has = {"experts"};
  EXPECT_EQ(asked.key(facts), one);
  facts.tp = 2;
  const std::string two = asked.key(facts);
  EXPECT_NE(two, one);
  facts.tp = 64;
  EXPECT_EQ(asked.key(facts), two);
  facts.vendor = "amd";
  EXPECT_NE(asked.key(facts), two);
}

} // namespace
} // namespace plimsoll
