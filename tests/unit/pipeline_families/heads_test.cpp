// Heads that draft, as the families describe them: whole and within the rules, in the catalogue's models that have one layer that drafts;
// and every other model is described as without them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/declare.hpp"
#include "model/described.hpp"
#include "model/op_rules.hpp"
#include "plugin/planner_tree.hpp"
#include "recorder.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

struct Seen {
  Declared declared;
  Result<Described> described;
};

Result<Seen> described_model(const Json& config) {
  static const Registry built({{std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/plugins"}, Trust::kOpen}, {});
  PLIMSOLL_ASSIGN(const auto tree, PlannerTree::create(built, std::make_shared<const Json>(config), "config.json"));
  PLIMSOLL_ASSIGN(const Quantization quantization, Quantization::parse(config, nullptr, "config.json", {}));
  PLIMSOLL_ASSIGN(Declared declared, declare(*tree, quantization, *find_dtype("bfloat16")));
  Result<Described> described = describe_pipeline(*tree, declared);
  return Seen{std::move(declared), std::move(described)};
}

// All weights of the layer that drafts are read, but its copies of the model's ends.
void expect_whole(const Seen& seen) {
  ASSERT_TRUE(seen.described->head) << seen.described->no_head->where << " " << seen.described->no_head->message;
  const Described& head = *seen.described->head;
  std::vector<bool> used(seen.declared.weights.size(), false);
  int attends = 0, joins = 0;
  for (const DescribedOp& op : head.ops) {
    for (const std::uint32_t weight : op.weights)
      if (weight != kNoIndex) used[weight] = true;
    attends += op.kind == OpKind::kAttend || op.kind == OpKind::kAttendLatent ? 1 : 0;
    joins += op.kind == OpKind::kJoin ? 1 : 0;
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    const WeightClass& c = seen.declared.weights[i];
    EXPECT_TRUE(used[i] || c.role != PLIMSOLL_ROLE_DRAFT || c.placement == PLIMSOLL_PLACE_VOCAB) << c.label;
    EXPECT_FALSE(used[i] && c.role != PLIMSOLL_ROLE_DRAFT && !c.layers.empty()) << c.label << " is of the model's layers";
  }
  EXPECT_EQ(attends, 1);
  EXPECT_EQ(joins, 1);
  EXPECT_GT(head.own_ops, 0U);
  EXPECT_EQ(head.values[head.hands_on].width, seen.declared.facts.hidden_elements);
  for (const DescribedOp& op : head.ops)
    if (op.kv_group != kNoIndex) {
      EXPECT_EQ(seen.declared.kv[op.kv_group].role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT));
    }
  for (const DescribedOp& op : seen.described->ops)
    for (const std::uint32_t weight : op.weights)
      if (weight != kNoIndex) {
        EXPECT_NE(seen.declared.weights[weight].role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT)) << "the model itself has no head";
      }
}

TEST(HeadsOfFamilies, AreDescribedWhole) {
  for (const char* name : {"deepseek-ai__DeepSeek-R1", "zai-org__GLM-4.5", "zai-org__GLM-4.5-Air", "XiaomiMiMo__MiMo-7B-Base"}) {
    SCOPED_TRACE(name);
    const auto seen = described_model(catalogue_config(name));
    ASSERT_TRUE(seen) << seen.error().message;
    ASSERT_TRUE(seen->described) << seen->described.error().message;
    expect_whole(*seen);
  }
}

// DeepSeek-V3's: a norm of what the model left; a token, its norm, that of the model's, both side by side, a projection; a layer of
// experts; a copy to hand on; and rows, a norm, words.
TEST(HeadsOfFamilies, HaveTheOpsOfTheirLayer) {
  const auto seen = described_model(catalogue_config("deepseek-ai__DeepSeek-R1"));
  ASSERT_TRUE(seen && seen->described && seen->described->head);
  std::vector<std::string> names;
  for (const DescribedOp& op : seen->described->head->ops) names.emplace_back(op_name(op.kind));
  EXPECT_EQ(std::vector<std::string>(names.begin(), names.begin() + 6),
            (std::vector<std::string>{"norm", "embed", "norm", "norm", "join", "linear"}));
  EXPECT_EQ(std::vector<std::string>(names.end() - 4, names.end()), (std::vector<std::string>{"add", "last_rows", "norm", "linear"}));
  EXPECT_EQ(seen->described->head->own_ops, 1U);
}

TEST(HeadsOfFamilies, SayWhatIsNotExecuted) {
  std::size_t heads = 0, none = 0;
  for (const std::string& name : catalogue_models()) {
    SCOPED_TRACE(name);
    const auto seen = described_model(catalogue_config(name));
    if (!seen || !seen->described || seen->declared.facts.draft_layers == 0) continue;
    if (seen->described->head) {
      expect_whole(*seen);
      ++heads;
      continue;
    }
    ++none;
    ASSERT_TRUE(seen->described->no_head);
    EXPECT_EQ(seen->described->no_head->code, ErrorCode::kUnsupportedArchitecture) << seen->described->no_head->message;
    EXPECT_NE(seen->described->no_head->message, "");
  }
  EXPECT_GE(heads, 4U);
  EXPECT_GE(none, 1U);
}

TEST(HeadsOfFamilies, OfSeveralLayersAreNot) {
  Json config = catalogue_config("deepseek-ai__DeepSeek-R1");
  config["num_nextn_predict_layers"] = 2;
  const auto seen = described_model(config);
  ASSERT_TRUE(seen && seen->described);
  ASSERT_TRUE(seen->described->no_head);
  EXPECT_THAT(seen->described->no_head->message, HasSubstr("2 layers"));
}

} // namespace
} // namespace plimsoll::testing
