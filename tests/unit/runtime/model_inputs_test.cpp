// ModelInputs of the documented module: fields, iteration, kv_cache_inputs, lora_ids, lora_ranks, update.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plimsoll/model_io.hpp"

namespace plimsoll::model_inputs_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The example of the documentation, literally.
class ReplitInputs : public ModelInputs {
public:
  ReplitInputs(Tensor tokens_, Tensor input_row_offsets_) : tokens(std::move(tokens_)), input_row_offsets(std::move(input_row_offsets_)) {}
  Tensor tokens;
  Tensor input_row_offsets;
  PLIMSOLL_INPUT_FIELDS(tokens, input_row_offsets)
};

TEST(ModelInputs, TheDocumentedExample) {
  const Tensor tokens = Tensor::zeros({1, 2, 3}, ElementType::kInt64).value();
  const Tensor input_row_offsets = Tensor::zeros({1, 1, 1}, ElementType::kInt64).value();

  // Initialize inputs
  const ReplitInputs inputs(tokens, input_row_offsets);

  // Access tensors
  EXPECT_EQ(inputs.list(), (std::vector{tokens, input_row_offsets})); // Output: true
}

Tensor tensor(std::uint64_t elements = 1) { return Tensor::zeros({elements}, ElementType::kUint32).value(); }

std::vector<std::string> names(const ModelInputs& inputs) {
  std::vector<std::string> names;
  for (const NamedTensor& input : inputs) names.push_back(input.name);
  return names;
}

TEST(ModelInputs, FieldsCanBeOfThreeKindsAndKeepTheirOrder) {
  class Inputs : public ModelInputs {
  public:
    std::vector<Tensor> hidden_states;
    std::optional<Tensor> return_n_logits;
    Tensor tokens;
    PLIMSOLL_INPUT_FIELDS(tokens, //
                          return_n_logits, hidden_states)
  };
  Inputs inputs;
  EXPECT_THAT(names(inputs), IsEmpty());
  EXPECT_EQ(inputs.begin(), inputs.end());
  inputs.tokens = tensor(2);
  inputs.hidden_states = {tensor(3), tensor(4)};
  EXPECT_THAT(names(inputs), ElementsAre("tokens", "hidden_states.0", "hidden_states.1"));
  inputs.return_n_logits = tensor(5);
  EXPECT_THAT(names(inputs), ElementsAre("tokens", "return_n_logits", "hidden_states.0", "hidden_states.1"));
  EXPECT_EQ(inputs.find("hidden_states.1"), inputs.hidden_states[1]);
  EXPECT_TRUE(inputs.find("hidden_states").empty());
  EXPECT_EQ(std::vector<NamedTensor>(inputs.begin(), inputs.end()).size(), 4U);
}

TEST(ModelInputs, LoraIdsLoraRanksAndKvCacheInputsFollowTheFieldsAndAbsentOnesAreSkipped) {
  ReplitInputs inputs(tensor(), tensor());
  EXPECT_FALSE(inputs.kv_cache_inputs);
  EXPECT_FALSE(inputs.lora_ids);
  EXPECT_FALSE(inputs.lora_ranks);
  inputs.lora_ranks = tensor();
  KvDeviceInputs device;
  device.groups = {{tensor(), tensor(), {}}, {tensor(), {}, tensor()}};
  device.cache_lengths = tensor();
  device.max_lengths = tensor();
  inputs.kv_cache_inputs = KvCacheInputs{{device}};
  EXPECT_THAT(names(inputs), ElementsAre("tokens", "input_row_offsets", "lora_ranks", "kv.blocks.0", "kv.blocks.1", "kv.cache_lengths",
                                         "kv.lookup_table.0", "kv.state_rows.1", "kv.max_lengths"));
  EXPECT_EQ(inputs.find("kv.state_rows.1"), device.groups[1].state_rows);
  device.groups.pop_back();
  inputs.kv_cache_inputs = KvCacheInputs{{device, device}};
  inputs.lora_ids = tensor();
  EXPECT_THAT(names(inputs),
              ElementsAre("tokens", "input_row_offsets", "lora_ids", "lora_ranks", "kv0.blocks", "kv0.cache_lengths", "kv0.lookup_table",
                          "kv0.max_lengths", "kv1.blocks", "kv1.cache_lengths", "kv1.lookup_table", "kv1.max_lengths"));
}

TEST(ModelInputs, UpdateSetsFieldsByNameAndLeavesThoseWithoutAValue) {
  const Tensor before = tensor(1), after = tensor(2), ids = tensor(3);
  ReplitInputs inputs(before, before);
  ASSERT_TRUE(inputs.update({{"tokens", after}, {"input_row_offsets", std::nullopt}, {"lora_ids", ids}}));
  EXPECT_EQ(inputs.tokens, after);
  EXPECT_EQ(inputs.input_row_offsets, before);
  EXPECT_EQ(inputs.lora_ids, ids);
  ASSERT_TRUE(inputs.update("lora_ids", std::nullopt));
  EXPECT_TRUE(inputs.lora_ids) << "leaving is not clearing";
}

TEST(ModelInputs, UpdateRefusesAnUnknownNameAndThenSetsNothing) {
  const Tensor before = tensor(1), after = tensor(2);
  ReplitInputs inputs(before, before);
  const auto unknown = inputs.update({{"tokens", after}, {"token", after}});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(unknown.error().message,
            "these inputs have no 'token'; they have tokens, input_row_offsets, lora_ids, lora_ranks, kv_cache_inputs");
  EXPECT_EQ(inputs.tokens, before);
  EXPECT_FALSE(inputs.update("", after));
  EXPECT_FALSE(inputs.update("nothing", std::nullopt)) << "even without a value";
}

TEST(ModelInputs, UpdateIsForSingleTensors) {
  TextInputs inputs;
  EXPECT_THAT(inputs.update("signal_buffers", tensor()).error().message, HasSubstr("assign the member"));
  EXPECT_THAT(inputs.update("kv_cache_inputs", tensor()).error().message, HasSubstr("assign the member"));
}

TEST(ModelInputs, ClearMakesAFieldAbsent) {
  TextInputs inputs;
  inputs.tokens = tensor();
  inputs.signal_buffers = {tensor()};
  inputs.lora_ids = tensor();
  inputs.kv_cache_inputs = KvCacheInputs{};
  for (const char* name : {"tokens", "signal_buffers", "lora_ids", "kv_cache_inputs"}) ASSERT_TRUE(inputs.clear(name)) << name;
  EXPECT_THAT(names(inputs), IsEmpty());
  EXPECT_FALSE(inputs.kv_cache_inputs);
  EXPECT_FALSE(inputs.clear("others"));
}

TEST(ModelInputs, CopiesNameTheSameTensors) {
  ReplitInputs inputs(tensor(), tensor());
  const ReplitInputs copy = inputs;
  inputs.tokens.values<std::uint32_t>().value()[0] = 9;
  EXPECT_EQ(copy.tokens.values<std::uint32_t>().value()[0], 9U);
}

} // namespace
} // namespace plimsoll::model_inputs_test
