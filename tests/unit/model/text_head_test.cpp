// Which classes have a language-model head by their names, and what stands in its place.
#include <gmock/gmock.h>

#include "model/text_head.hpp"

namespace plimsoll::testing {
namespace {

TEST(TextHead, IsToldByTheEndOfTheClass) {
  const std::vector<std::pair<const char*, TextHead>> rows{
      {"LlamaForCausalLM", TextHead::kLanguageModel},
      {"GPT2LMHeadModel", TextHead::kLanguageModel},
      {"GPT2DoubleHeadsModel", TextHead::kLanguageModel},
      {"SomeChatModel", TextHead::kLanguageModel},
      {"LlavaForConditionalGeneration", TextHead::kLanguageModel},
      {"LlamaModel", TextHead::kNone},
      {"Gemma3TextModel", TextHead::kNone},
      {"LlamaForSequenceClassification", TextHead::kSequence},
      {"Qwen2ForTokenClassification", TextHead::kToken},
      {"LlamaForQuestionAnswering", TextHead::kAnswer},
      {"InternLM2ForRewardModel", TextHead::kReward},
      {"Qwen2ForProcessRewardModel", TextHead::kReward},
      {"", TextHead::kLanguageModel},
  };
  for (const auto& [name, head] : rows) EXPECT_EQ(text_head_of(name), head) << name;
}

// 32 words in 8 elements: an embedding, a norm, a head with a bias and a draft's head.
Declared head_classes() {
  Declared out;
  const auto add = [&](const char* label, std::uint32_t aspect, std::uint32_t placement, std::uint32_t role, std::uint64_t rows) {
    WeightClass c;
    c.label = label;
    c.aspect = aspect;
    c.placement = placement;
    c.role = role;
    c.dims = {rows, 8};
    c.n_dims = 2;
    out.weights.push_back(c);
  };
  add("embedding", PLIMSOLL_ASPECT_EMBED, PLIMSOLL_PLACE_VOCAB, PLIMSOLL_ROLE_MODEL, 32);
  add("norm", PLIMSOLL_ASPECT_HEAD, PLIMSOLL_PLACE_REPLICATE, PLIMSOLL_ROLE_MODEL, 1);
  add("head", PLIMSOLL_ASPECT_HEAD, PLIMSOLL_PLACE_VOCAB, PLIMSOLL_ROLE_MODEL, 32);
  add("tied", PLIMSOLL_ASPECT_HEAD, PLIMSOLL_PLACE_VOCAB, PLIMSOLL_ROLE_TIED, 32);
  add("draft", PLIMSOLL_ASPECT_HEAD, PLIMSOLL_PLACE_VOCAB, PLIMSOLL_ROLE_DRAFT, 32);
  out.facts.hidden_elements = 8;
  out.facts.vocab_tokens = 32;
  return out;
}

std::vector<std::pair<std::string, std::uint64_t>> with(TextHead head, const Json& config) {
  Declared d = head_classes();
  EXPECT_TRUE(replace_head(head, config, *find_dtype("bfloat16"), "dense", d));
  EXPECT_EQ(d.facts.vocab_tokens, head == TextHead::kLanguageModel ? 32U : 0U);
  std::vector<std::pair<std::string, std::uint64_t>> out;
  for (const WeightClass& c : d.weights) out.emplace_back(c.label, c.elements_of_one().value());
  return out;
}

TEST(TextHead, IsReplacedByWhatTheClassHas) {
  using Rows = std::vector<std::pair<std::string, std::uint64_t>>;
  const Rows bare{{"embedding", 256}, {"norm", 8}, {"draft", 256}};
  const auto and_more = [&](const Rows& more) {
    Rows all = bare;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  EXPECT_EQ(with(TextHead::kLanguageModel, Json::object()),
            (Rows{{"embedding", 256}, {"norm", 8}, {"head", 256}, {"tied", 256}, {"draft", 256}}));
  EXPECT_EQ(with(TextHead::kNone, Json::object()), bare);
  EXPECT_EQ(with(TextHead::kSequence, {{"num_labels", 5}}), and_more({{"score.weight", 40}}));
  EXPECT_EQ(with(TextHead::kSequence, {{"id2label", {{"0", "bad"}, {"1", "fair"}, {"2", "good"}}}}), and_more({{"score.weight", 24}}));
  EXPECT_EQ(with(TextHead::kSequence, Json::object()), and_more({{"score.weight", 16}}));
  EXPECT_EQ(with(TextHead::kToken, {{"num_labels", 5}}), and_more({{"score.weight", 40}, {"score.bias", 5}}));
  EXPECT_EQ(with(TextHead::kAnswer, Json::object()), and_more({{"qa_outputs.weight", 16}, {"qa_outputs.bias", 2}}));
  EXPECT_EQ(with(TextHead::kReward, {{"reward_token_id", 7}}), and_more({{"v_head.weight", 8}}));
  EXPECT_EQ(with(TextHead::kReward, Json::object()),
            and_more({{"score.0.weight", 64}, {"score.0.bias", 8}, {"score.2.weight", 8}, {"score.2.bias", 1}}));
}

TEST(TextHead, MoreLabelsThanSixtyFourBitsHoldAreAnError) {
  Declared d = head_classes();
  EXPECT_FALSE(replace_head(TextHead::kSequence, {{"num_labels", 1ULL << 62}}, *find_dtype("bfloat16"), "dense", d));
}

} // namespace
} // namespace plimsoll::testing
