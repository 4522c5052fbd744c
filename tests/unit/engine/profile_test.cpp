// Engine profiles: choices by circumstances, formulas, --set, and what authors get wrong.
#include "engine/profile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "unit/engine/shipped.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using testing::kCatalogue;

class ProfileFile : public ::testing::Test {
protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "profile_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Result<ProfileSource> load(const std::string& body, const std::map<std::string, std::string>& set = {}) {
    const std::string file = folder_ + "/own.yaml";
    std::ofstream(file) << "schema: plimsoll.engine/1\nname: own\nversion: \"2.0\"\n" << body;
    return ProfileSource::load(kCatalogue, file, set);
  }
  EngineProfile settled(const std::string& body, const ProfileFacts& facts = {}, const std::map<std::string, std::string>& set = {}) {
    const auto source = load(body, set);
    if (!source) {
      ADD_FAILURE() << source.error().where << ": " << source.error().message;
      return {};
    }
    const auto profile = source->settle(facts);
    if (!profile) {
      ADD_FAILURE() << profile.error().where << ": " << profile.error().message;
      return {};
    }
    return **profile;
  }
  Error refused(const std::string& body, const std::map<std::string, std::string>& set = {}) {
    const auto source = load(body, set);
    if (!source) return source.error();
    const auto profile = source->settle({});
    if (!profile) return profile.error();
    ADD_FAILURE() << "was accepted: " << body;
    return {};
  }

  std::string folder_;
};

TEST_F(ProfileFile, TheFirstChoiceThatAppliesCounts) {
  const std::string body = "batch:\n"
                           "  max_batch_input_tokens:\n"
                           "    - {when: {card_from: 160GiB}, value: 16384}\n"
                           "    - {when: {card_from: 70GiB, not_card: A100}, value: 8192}\n"
                           "    - {value: 2048}\n";
  struct Row {
    const char* card;
    std::uint64_t gib, expected;
  };
  for (const Row& row : {Row{"B200", 184, 16384}, {"H100", 79, 8192}, {"A100-80GB", 79, 2048}, {"A100", 79, 2048}, {"L4", 22, 2048}}) {
    ProfileFacts facts;
    facts.card = row.card;
    facts.card_bytes = row.gib << 30;
    EXPECT_EQ(settled(body, facts).batch.max_batch_input_tokens, row.expected) << row.card;
  }
}

TEST_F(ProfileFile, ConditionsAskForRanksModelsTypesAndReleases) {
  ProfileFacts facts;
  facts.tp = 2;
  facts.dp = 4;
  facts.architecture = "LlamaForCausalLM";
  facts.kv_dtype = "float8_e4m3fn";
  facts.has = {"latent", "experts"};
  facts.compute_capability = 75;
  struct Row {
    const char* when;
    bool applies;
  };
  for (const Row& row : {Row{"{tp: 2}", true},
                         {"{tp: 1}", false},
                         {"{ranks_from: 8}", true},
                         {"{ranks_below: 8}", false},
                         {"{ranks: 8, dp_from: 4}", true},
                         {"{compute_below: 80}", true},
                         {"{architecture: LlamaForCausalLM}", true},
                         {"{not_architecture: [A, B]}", true},
                         {"{kv_dtype: [int8, float8_e4m3fn]}", true},
                         {"{has: latent}", true},
                         {"{has: [latent, state]}", false},
                         {"{lacks: state}", true},
                         {"{lacks: [state, experts]}", false},
                         {"{release_from: \"2.0\"}", true},
                         {"{release_before: \"2.0\"}", false},
                         {"{release_from: \"2.0.1\"}", false}})
    EXPECT_EQ(settled(std::string("kv:\n  page_tokens: [{when: ") + row.when + ", value: 64}, {value: 16}]\n", facts).kv.page_tokens,
              row.applies ? 64U : 16U)
        << row.when;
}

TEST_F(ProfileFile, AReleasePicksItsRules) {
  const auto newest = ProfileSource::load(kCatalogue, "vllm", {}), old = ProfileSource::load(kCatalogue, "vllm@0.19.1", {}),
             candidate = ProfileSource::load(kCatalogue, "vllm@0.26.1rc1.dev608", {});
  ASSERT_TRUE(newest && old && candidate);
  EXPECT_EQ((*newest->settle({}))->kv.reported_tokens, ReportedTokens::kRequests);
  EXPECT_EQ((*old->settle({}))->kv.reported_tokens, ReportedTokens::kGroupPages);
  EXPECT_EQ((*old->settle({}))->version, "0.19.1");
  EXPECT_EQ((*candidate->settle({}))->kv.reported_tokens, ReportedTokens::kRequests);
  for (const char* wrong : {"vllm@", "vllm@yesterday", "vllm@0.1", "nobody", "nobody@1.0"})
    EXPECT_FALSE(ProfileSource::load(kCatalogue, wrong, {})) << wrong;
}

// Every shipped profile reads under every kind of circumstances that its conditions distinguish.
TEST_F(ProfileFile, ShippedProfilesReadUnderAllCircumstances) {
  std::size_t read = 0;
  for (const char* name :
       {"max", "vllm", "vllm@0.6.0", "vllm@0.10.0", "vllm@0.21.0", "sglang", "tensorrt-llm", "llama.cpp", "llama.cpp@b3000"}) {
    const auto source = ProfileSource::load(kCatalogue, name, {});
    ASSERT_TRUE(source) << name << ": " << source.error().where << ": " << source.error().message;
    for (const std::uint64_t gib : {8U, 23U, 47U, 79U, 140U, 184U})
      for (const std::uint32_t tp : {1U, 2U, 8U})
        for (const std::vector<std::string>& has :
             std::vector<std::vector<std::string>>{{}, {"latent", "experts"}, {"indexer", "latent"}, {"state"}, {"window", "vision"}}) {
          ProfileFacts facts;
          facts.card_bytes = gib << 30;
          facts.tp = tp;
          facts.has = has;
          const auto profile = source->settle(facts);
          ASSERT_TRUE(profile) << name << ": " << profile.error().where << ": " << profile.error().message;
          EXPECT_GE((*profile)->batch.max_batch_input_tokens, 512U);
          ++read;
        }
  }
  EXPECT_EQ(read, 9U * 6 * 3 * 5);
}

TEST_F(ProfileFile, SetReplacesAChoiceByAValue) {
  const std::string body = "kv:\n  page_tokens: [{when: {tp: 1}, value: 64}, {value: 16}]\n";
  EXPECT_EQ(settled(body, {}, {{"page_tokens", "32"}}).kv.page_tokens, 32U);
  EXPECT_EQ(settled(body, {}, {{"kv.page_tokens", "32"}}).kv.page_tokens, 32U);
  EXPECT_EQ(settled(body, {}, {{"mla_cache", "latent+v"}}).kv.mla_cache, LatentCache::kLatentAndValues);
  EXPECT_TRUE(settled(body, {}, {{"kv_unified", "true"}}).kv.cells.kv_unified);
  EXPECT_EQ(settled(body, {}, {{"kv.unified.alignment_tokens", "128"}}).kv.unified.alignment_tokens, 128U);
  for (const char* known : {"prefix_caching", "swa_full"}) EXPECT_TRUE(load(body, {{known, "true"}})) << known;
  EXPECT_EQ(settled(body, {}, {{"state_dtype", "float32"}}).kv.state_dtype, "float32");
  EXPECT_EQ(settled(body, {}, {{"decode_context_parallel", "8"}}).kv.decode_context_parallel, 8U);
  const std::string named = body + "aliases: {block_size: page_tokens, fraction: utilization}\nbudget: {reserve: [{gib: 1}]}\n";
  EXPECT_EQ(settled(named, {}, {{"block_size", "48"}}).kv.page_tokens, 48U);
  EXPECT_EQ(settled(named).budget.reserve.size(), 1U);
  EXPECT_EQ(settled(named, {}, {{"fraction", "0.5"}}).budget.utilization, 0.5);
  EXPECT_TRUE(settled(named, {}, {{"fraction", "0.5"}}).budget.reserve.empty()); // what is given follows from nothing
  EXPECT_THAT(refused(named, {{"block_sizes", "48"}}).message, HasSubstr("block_size"));
  EXPECT_THAT(refused(body, {{"page_token", "32"}}).message, HasSubstr("page_tokens"));
  EXPECT_THAT(refused(body, {{"page_tokens", "[1]"}}).message, HasSubstr("single value"));
  EXPECT_THAT(refused(body, {{"name.x", "1"}}).message, HasSubstr("no such section"));
}

TEST_F(ProfileFile, EnginesOwnNamesSetTheirValues) {
  const std::pair<const char*, std::map<std::string, std::string>> rows[] = {{"vllm", {{"max_num_seqs", "64"}}},
                                                                             {"sglang", {{"max_running_requests", "64"}}},
                                                                             {"tensorrt-llm", {{"max_batch_size", "64"}}},
                                                                             {"llama.cpp", {{"n_parallel", "64"}}}};
  for (const auto& [name, set] : rows) {
    const auto source = ProfileSource::load(kCatalogue, name, set);
    ASSERT_TRUE(source) << name;
    EXPECT_EQ((*source->settle({}))->batch.default_max_batch_size, 64U) << name;
  }
}

TEST_F(ProfileFile, FormulasAreSumsOfProducts) {
  const EngineProfile p =
      settled("activations:\n"
              "  - {label: sampler, phase: sampler, terms: [{bytes: 38.4, times: [sampled_rows, vocab]}, {mib: 1, divided_by: tp}]}\n"
              "  - {label: never, when: {tp: 64}, terms: [{gib: 1}]}\n"
              "overheads:\n  - {label: fixed, basis: bound, terms: [{mib: 1.5}]}\n");
  ASSERT_EQ(p.activations.size(), 1U);
  ASSERT_EQ(p.overheads.size(), 1U);
  Quantities q{};
  q[static_cast<std::size_t>(Quantity::kSampledRows)] = 256;
  q[static_cast<std::size_t>(Quantity::kVocab)] = 200064; // Phi-4-mini, 256 rows: 1.83 GiB were printed
  q[static_cast<std::size_t>(Quantity::kTp)] = 4;
  EXPECT_EQ(p.activations[0].bytes(q), 1966709146U + 262144U);
  EXPECT_EQ(p.activations[0].formula(q), "38.4 B x 256 sampled_rows x 200064 vocab + 1048576 B / 4 tp");
  EXPECT_EQ(p.overheads[0].bytes(q), 1572864U);
  q.fill(UINT64_MAX);
  EXPECT_EQ(p.activations[0].bytes(q), UINT64_MAX); // saturates
}

TEST_F(ProfileFile, WhatIsWrongIsNamedWithItsPlace) {
  struct Row {
    const char *body, *message, *where;
  };
  for (const Row& row : {
           Row{"kv: {page_token: 16}\n", "did you mean page_tokens", "/kv/page_token"},
           {"kv: 5\n", "keys and values", "/kv"},
           {"kv: {page_tokens: 0}\n", "whole number from 1", "/kv/page_tokens"},
           {"kv: {page_tokens: many}\n", "whole number", "/kv/page_tokens"},
           {"kv: {layout: heap}\n", "grouped, unified, split, cells", "/kv/layout"},
           {"kv: {prefix_caching: 1}\n", "true or false", "/kv/prefix_caching"},
           {"kv: {unified: {alignment: 2}}\n", "alignment_tokens", "/kv/unified/alignment"},
           {"budget: {utilization: 1.5}\n", "up to 1", "/budget/utilization"},
           {"budget: {of: half}\n", "free, total", "/budget/of"},
           {"extra: 1\n", "not a key", "/extra"},
           {"aliases: {block_size: pages}\n", "last part of a key", "/aliases/block_size"},
           {"kv:\n  page_tokens: [{when: {card: H100, relase_from: \"1\"}, value: 1}, {value: 2}]\n", "release_from",
            "/kv/page_tokens/0/when/relase_from"},
           {"kv:\n  page_tokens: [{when: {card_from: big}, value: 1}, {value: 2}]\n", "", "/kv/page_tokens/0/when/card_from"},
           {"kv:\n  page_tokens: [{when: {release_from: newest}, value: 1}, {value: 2}]\n", "release",
            "/kv/page_tokens/0/when/release_from"},
           {"kv:\n  page_tokens: [{when: {has: wings}, value: 1}, {value: 2}]\n", "wings", "/kv/page_tokens/0/when/has"},
           {"kv:\n  page_tokens: [{value: 1, otherwise: 2}]\n", "choice", "/kv/page_tokens/0"},
           {"activations: [{label: a, terms: [{bytes: 1, times: [tokens]}]}]\n", "'tokens' is no quantity", "/activations/0/terms/0/times"},
           {"activations: [{label: a, terms: [{bytes: 1, mib: 1}]}]\n", "one of bytes, mib and gib", "/activations/0/terms/0"},
           {"activations: [{label: a, terms: [{bytes: -1}]}]\n", "at least 0", "/activations/0/terms/0/bytes"},
           {"activations: [{terms: [{bytes: 1}]}]\n", "text", "/activations/0/label"},
           {"activations: [{label: a, wen: {tp: 1}}]\n", "when", "/activations/0/wen"},
           {"activations: {label: a}\n", "list", "/activations"},
           {"overheads: [{label: a, terms: [{mib: 1}]}, {label: a, terms: [{mib: 2}]}]\n", "stands twice", "/overheads/1/label"},
       }) {
    const Error error = refused(row.body);
    EXPECT_EQ(error.code, ErrorCode::kBadRequest);
    EXPECT_THAT(error.message, HasSubstr(row.message)) << row.body;
    EXPECT_THAT(error.where, HasSubstr(row.where)) << row.body;
  }
}

} // namespace
} // namespace plimsoll
