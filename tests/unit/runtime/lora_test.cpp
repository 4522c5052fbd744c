// LoRA adapters in a running model: they compute what merged weights compute, in slots that the plan counted, and what one request's
// adapter does is never another's. Refused directories stand in lora_refused_test.cpp.
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <unistd.h>

#include "plimsoll/runtime.hpp"
#include "support/built_context.hpp"
#include "support/tiny_adapter.hpp"

namespace plimsoll::lora_test {
namespace {

using test::TinyAdapter;
using test::TinyAdapterOptions;
using test::TinyModel;
using ::testing::HasSubstr;

struct LoraCase {
  const char* model;
  std::vector<std::string> targets;
};
void PrintTo(const LoraCase& c, std::ostream* out) { *out << c.model; }

// In a folder of this process's own.
std::string folder(const std::string& name) {
  struct Scratch {
    std::string path = ::testing::TempDir() + "/plimsoll-lora-" + std::to_string(getpid());
    ~Scratch() {
      std::error_code failed;
      std::filesystem::remove_all(path, failed);
    }
  };
  static const Scratch scratch;
  return scratch.path + "/" + name;
}

PlanRequest lora_request(std::uint64_t slots, std::uint64_t rank = 8) {
  PlanRequest request;
  request.engine = "reference";
  request.devices = "64MiB";
  request.max_batch_size = 4;
  request.max_batch_input_tokens = 24;
  request.max_length = 64;
  if (slots > 0) {
    request.max_loras = slots;
    request.max_lora_rank = rank;
  }
  return request;
}

Result<TextGenerationPipeline> pipeline_at(const std::string& path, const PlanRequest& request) {
  PLIMSOLL_ASSIGN(const Model model, test::built_context().load(path));
  PipelineOptions options;
  options.load_tokenizer = false;
  return TextGenerationPipeline::create(test::built_context(), model, request, options);
}

TextGenerationRequest prompt_of(std::vector<Token> tokens, const std::string& adapter, std::uint64_t new_tokens = 8) {
  TextGenerationRequest request;
  request.prompt_tokens = std::move(tokens);
  request.max_new_tokens = new_tokens;
  request.log_probabilities = 4;
  request.adapter = adapter;
  return request;
}

// Tokens as long as the best of them is far from the second, and log-probabilities.
void expect_alike(const TextGenerationOutput& is, const TextGenerationOutput& expected) {
  ASSERT_FALSE(is.error) << is.error->message;
  ASSERT_FALSE(expected.error) << expected.error->message;
  ASSERT_TRUE(is.log_probabilities && expected.log_probabilities);
  for (std::size_t row = 0; row < expected.tokens.size(); ++row) {
    const auto& top = expected.log_probabilities->top[row];
    for (std::size_t n = 0; n < 4; ++n)
      ASSERT_NEAR(is.log_probabilities->top[row][n].second, top[n].second, 2e-4) << "row " << row << ", place " << n;
    if (top[0].second - top[1].second < 1e-3F) return;
    ASSERT_EQ(is.tokens[row], expected.tokens[row]) << "row " << row;
  }
}

class LoraMerged : public ::testing::TestWithParam<LoraCase> {};

// Random batches with adapters of several ranks and without are each request alone on merged weights.
TEST_P(LoraMerged, EachRequestOfABatchIsItselfAloneOnMergedWeights) {
  const TinyModel base = test::tiny_model(GetParam().model);
  const std::string at = folder(GetParam().model);
  test::write_tiny_folder(base, at + "/base");
  const std::vector<TinyAdapterOptions> kinds{{.rank = 8, .alpha = 16, .seed = 3, .targets = GetParam().targets},
                                              {.rank = 3, .alpha = 4, .rslora = true, .seed = 4, .targets = GetParam().targets},
                                              {.rank = 1, .alpha = 2, .seed = 5, .targets = {GetParam().targets.back()}}};
  auto batched = pipeline_at(at + "/base", lora_request(3));
  ASSERT_TRUE(batched) << batched.error().message;
  LoraManager& adapters = *batched->model().lora_manager();
  std::vector<TextGenerationPipeline> alone;
  auto plain = pipeline_at(at + "/base", lora_request(0));
  ASSERT_TRUE(plain) << plain.error().message;
  alone.push_back(std::move(*plain));
  for (std::size_t n = 0; n < kinds.size(); ++n) {
    const TinyAdapter adapter = test::tiny_adapter(base, kinds[n]);
    ASSERT_FALSE(adapter.modules.empty());
    const std::string name = "a" + std::to_string(n + 1);
    test::write_tiny_adapter(adapter, at + "/" + name);
    const LoraAnswer loaded = adapters.load(name + "=" + at + "/" + name);
    ASSERT_TRUE(loaded.ok()) << loaded.error->message;
    test::write_tiny_folder(test::merged(base, adapter), at + "/merged" + name);
    auto one = pipeline_at(at + "/merged" + name, lora_request(0));
    ASSERT_TRUE(one) << one.error().message;
    alone.push_back(std::move(*one));
  }
  std::mt19937_64 engine(11);
  const auto between = [&](std::uint64_t least, std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(least, most)(engine);
  };
  for (int round = 0; round < 4; ++round) {
    std::vector<TextGenerationRequest> requests;
    std::vector<std::size_t> which;
    for (std::uint64_t n = between(2, 6); n > 0; --n) {
      which.push_back(between(0, kinds.size()));
      std::vector<Token> prompt;
      for (std::uint64_t length = between(1, 30); length > 0; --length) prompt.push_back(static_cast<Token>(between(5, 60)));
      requests.push_back(prompt_of(std::move(prompt), which.back() == 0 ? "" : "a" + std::to_string(which.back())));
    }
    const auto together = batched->generate(requests);
    ASSERT_TRUE(together) << together.error().message;
    for (std::size_t n = 0; n < requests.size(); ++n) {
      SCOPED_TRACE("round " + std::to_string(round) + ", request " + std::to_string(n) + ", adapter " + std::to_string(which[n]));
      TextGenerationRequest own = requests[n];
      own.adapter.clear();
      const auto expected = alone[which[n]].generate(own);
      ASSERT_TRUE(expected);
      expect_alike((*together)[n], *expected);
    }
  }
  for (const Usage& usage : batched->usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
  for (const LoraInfo& adapter : adapters.adapters()) EXPECT_EQ(adapter.users, 0U) << adapter.name;
}

INSTANTIATE_TEST_SUITE_P(
    Models, LoraMerged,
    ::testing::Values(LoraCase{"llama", {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}},
                      LoraCase{"phi3", {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}}, // fused in the model and in the adapter
                      LoraCase{"gemma3", {"q_proj", "v_proj", "down_proj"}},
                      LoraCase{"deepseek_v3", {"q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "o_proj"}},
                      LoraCase{"granite_hybrid", {"in_proj", "out_proj", "q_proj", "o_proj", "input_linear", "output_linear"}},
                      LoraCase{"qwen3_moe", {"q_proj", "o_proj"}}),
    [](const auto& given) { return std::string(given.param.model); });

// One model with adapters a, b and c on disk.
class Lora : public ::testing::Test {
protected:
  void SetUp() override {
    model_ = test::tiny_model("llama");
    test::write_tiny_folder(model_, at_ + "/base");
    for (const char* name : {"a", "b", "c"}) write(name, static_cast<std::uint64_t>(name[0]));
  }
  void write(const std::string& name, std::uint64_t seed) {
    test::write_tiny_adapter(test::tiny_adapter(model_, {.rank = 4, .seed = seed}), at_ + "/" + name);
  }
  void start(std::uint64_t slots) {
    auto made = pipeline_at(at_ + "/base", lora_request(slots));
    ASSERT_TRUE(made) << made.error().message;
    pipeline_.emplace(std::move(*made));
    for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(manager().load(name + ("=" + at_) + "/" + name).ok());
  }
  LoraManager& manager() { return *pipeline_->model().lora_manager(); }
  std::vector<std::string> active() {
    std::vector<std::string> names;
    for (const LoraInfo& adapter : manager().adapters())
      if (adapter.slot) names.push_back(adapter.name);
    return names;
  }
  std::string at_ = folder("slots");
  TinyModel model_;
  std::optional<TextGenerationPipeline> pipeline_;
};

TEST_F(Lora, TheSlotThatWasUsedLeastRecentlyIsTaken) {
  start(2);
  EXPECT_TRUE(active().empty());
  for (const char* name : {"a", "b", "a", "c"}) ASSERT_TRUE(manager().activate(name).ok());
  EXPECT_THAT(active(), ::testing::ElementsAre("a", "c"));
  ASSERT_TRUE(manager().activate("b").ok());
  EXPECT_THAT(active(), ::testing::ElementsAre("b", "c"));
}

TEST_F(Lora, AnAdapterInUseKeepsItsSlotAndItsName) {
  start(1);
  {
    const auto claim = manager().claim(manager().key("a").value());
    ASSERT_TRUE(claim);
    EXPECT_EQ(manager().activate("b").status, LoraStatus::kNoFreeSlot);
    EXPECT_EQ(manager().unload("a").status, LoraStatus::kInUse);
    const auto refused = manager().claim(manager().key("b").value());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInsufficientBlocks);
    EXPECT_THAT(active(), ::testing::ElementsAre("a"));
  }
  EXPECT_TRUE(manager().activate("b").ok());
  EXPECT_TRUE(manager().unload("a").ok());
  EXPECT_EQ(manager().unload("a").status, LoraStatus::kUnknownName);
  EXPECT_EQ(manager().activate("a").status, LoraStatus::kUnknownName);
}

TEST_F(Lora, NamesAndPaths) {
  start(1);
  EXPECT_TRUE(manager().load("a=" + at_ + "/a").ok()) << "the same once more";
  EXPECT_EQ(manager().load("a=" + at_ + "/b").status, LoraStatus::kLoadNameExists);
  EXPECT_EQ(manager().load("d=" + at_ + "/nowhere").status, LoraStatus::kLoadInvalidPath);
  EXPECT_EQ(manager().load("=" + at_ + "/a").status, LoraStatus::kLoadInvalidPath);
  EXPECT_EQ(manager().load("d=" + at_ + "/base").status, LoraStatus::kLoadInvalidAdapter);
  EXPECT_EQ(lora_status_name(LoraStatus::kLoadInvalidAdapter), "load_invalid_adapter");
}

TEST_F(Lora, AFileThatChangedIsNotActivated) {
  start(1);
  write("a", 99);
  const LoraAnswer answer = manager().activate("a");
  EXPECT_EQ(answer.status, LoraStatus::kReadFailed);
  EXPECT_TRUE(active().empty());
  const auto output = pipeline_->generate(prompt_of({5, 6}, "a"));
  ASSERT_TRUE(output && output->error);
  EXPECT_THAT(output->error->message, HasSubstr("was changed"));
}

// More adapters than slots in one generation: who finds no slot waits, and all are served.
TEST_F(Lora, RequestsWaitForASlot) {
  start(1);
  std::vector<TextGenerationRequest> requests;
  for (const char* name : {"a", "b", "c", "", "a"}) requests.push_back(prompt_of({5, 9, 30}, name));
  const auto outputs = pipeline_->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  for (const TextGenerationOutput& output : *outputs) EXPECT_FALSE(output.error) << output.error->message;
  EXPECT_EQ((*outputs)[0].tokens, (*outputs)[4].tokens);
}

TEST_F(Lora, UnloadIsRefusedWhileARequestRunsAndEndsThoseThatWait) {
  start(1);
  const std::vector<TextGenerationRequest> requests{prompt_of({5, 9}, "a"), prompt_of({5, 9}, "b")};
  auto generation = pipeline_->generate_async(requests);
  ASSERT_TRUE(generation);
  ASSERT_TRUE(generation->next());
  EXPECT_EQ(manager().unload("a").status, LoraStatus::kInUse);
  EXPECT_TRUE(manager().unload("b").ok());
  while (true) {
    const auto outputs = generation->next();
    ASSERT_TRUE(outputs) << outputs.error().message;
    if (!*outputs) break;
  }
  const auto outputs = std::move(*generation).finish();
  EXPECT_FALSE(outputs[0].error);
  ASSERT_TRUE(outputs[1].error);
  EXPECT_THAT(outputs[1].error->message, HasSubstr("not loaded any more"));
  EXPECT_TRUE(manager().unload("a").ok());
}

TEST_F(Lora, PagesOfOneAdapterAreNeverAnothers) {
  start(3);
  std::vector<Token> prompt;
  for (Token token = 5; token < 45; ++token) prompt.push_back(token);
  const auto hits = [&](const std::string& adapter) {
    const std::uint64_t before = pipeline_->kv_managers()[0]->metrics().hit_tokens;
    EXPECT_TRUE(pipeline_->generate(prompt_of(prompt, adapter, 2)));
    return pipeline_->kv_managers()[0]->metrics().hit_tokens - before;
  };
  for (const char* name : {"", "a", "b"}) EXPECT_EQ(hits(name), 0U) << name;
  for (const char* name : {"", "a", "b"}) EXPECT_EQ(hits(name), 32U) << name;
  ASSERT_TRUE(manager().unload("a").ok());
  write("a", 123);
  ASSERT_TRUE(manager().load("a=" + at_ + "/a").ok());
  EXPECT_EQ(hits("a"), 0U) << "the same name, another adapter";
}

TEST_F(Lora, ARequestForAnUnknownAdapterFailsAlone) {
  start(1);
  const auto outputs = pipeline_->generate({prompt_of({5}, "nobody"), prompt_of({5}, "a")});
  ASSERT_TRUE(outputs);
  ASSERT_TRUE((*outputs)[0].error);
  EXPECT_EQ((*outputs)[0].error->where, "adapter");
  EXPECT_FALSE((*outputs)[1].error);
}

TEST_F(Lora, APlanWithoutRoomHasNoManager) {
  auto plain = pipeline_at(at_ + "/base", lora_request(0));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->model().lora_manager(), nullptr);
  const auto output = plain->generate(prompt_of({5}, "a"));
  ASSERT_TRUE(output && output->error);
  EXPECT_THAT(output->error->message, HasSubstr("--max-loras"));
}

TEST_F(Lora, InputsSayWhoHasWhichAdapterAndOthersAreRefused) {
  start(2);
  ASSERT_TRUE(manager().activate("c").ok());
  const auto claim = manager().claim(manager().key("b").value());
  ASSERT_TRUE(claim);
  TextContextOptions with;
  with.id = 1;
  with.prompt = {5, 6};
  with.max_length = 10;
  with.adapter = manager().key("b").value();
  TextContextOptions without = with;
  without.id = 2;
  without.adapter.clear();
  const TextContext first = TextContext::create(with).value(), second = TextContext::create(without).value();
  const std::vector<const TextContext*> batch{&first, &second};
  auto inputs = pipeline_->model().prepare_initial_token_inputs(batch);
  ASSERT_TRUE(inputs) << inputs.error().message;
  EXPECT_THAT(std::vector(((*inputs)->lora_ids->values<std::int32_t>())->begin(), ((*inputs)->lora_ids->values<std::int32_t>())->end()),
              ::testing::ElementsAre(1, -1));
  EXPECT_THAT(
      std::vector(((*inputs)->lora_ranks->values<std::uint32_t>())->begin(), ((*inputs)->lora_ranks->values<std::uint32_t>())->end()),
      ::testing::ElementsAre(4U, 0U));
  with.adapter = manager().key("a").value();
  const TextContext inactive = TextContext::create(with).value();
  const std::vector<const TextContext*> other{&inactive};
  EXPECT_FALSE(pipeline_->model().prepare_initial_token_inputs(other)) << "in no slot";
}

} // namespace
} // namespace plimsoll::lora_test
