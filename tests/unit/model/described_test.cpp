// What planners describe of a forward pass: bound to what they declared, and refused where a rule of pipeline.h is broken. The planner
// is the zoo's `pipeline`; what the families describe stands in the tests of pipeline_families.
#include "model/described.hpp"

#include <gmock/gmock.h>

#include "model/declare.hpp"
#include "model/op_rules.hpp"
#include "plugin/planner_tree.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

Result<Described> described(const std::string& fault) {
  static const Registry registry({{std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/zoo"}, Trust::kOpen}, {});
  const Json config = {{"architectures", {"pipeline"}}, {"fault", fault}};
  PLIMSOLL_ASSIGN(const auto tree, PlannerTree::create(registry, std::make_shared<const Json>(config), "config.json"));
  PLIMSOLL_ASSIGN(const Quantization quantization, Quantization::parse(config, nullptr, "config.json", {}));
  PLIMSOLL_ASSIGN(const Declared declared, declare(*tree, quantization, *find_dtype("float32")));
  return describe_pipeline(*tree, declared);
}

TEST(Describing, BindsLabelsToWhatWasDeclared) {
  const auto d = described("");
  ASSERT_TRUE(d) << d.error().message;
  std::vector<std::string> names;
  for (const DescribedOp& op : d->ops) names.emplace_back(op_name(op.kind));
  EXPECT_THAT(names, ::testing::ElementsAre("embed", "linear", "rope", "attend", "linear", "linear", "add", "last_rows", "linear"));
  EXPECT_EQ(d->ops[0].weights[0], 0U); // embedding, mix, ffn, head
  EXPECT_EQ(d->ops[1].weights[0], 1U);
  EXPECT_EQ(d->ops[5].weights[0], 2U);
  EXPECT_EQ(d->ops[8].weights[0], 3U);
  EXPECT_EQ(d->ops[3].kv_group, 0U);
  EXPECT_EQ(d->ops[8].out, d->logits);
  EXPECT_EQ(d->values[d->logits].width, 16U);
  ASSERT_EQ(d->ropes.size(), 1U);
  EXPECT_THAT(d->ropes[0].usual.inverse_frequencies, ::testing::ElementsAre(1, 0.5));
}

TEST(Describing, IsUnsupportedWhereNobodyDescribes) {
  const auto none = described("no_pipeline");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_THAT(none.error().message, HasSubstr("this planner describes no pipeline (planner 'pipeline')"));
  const auto own = described("unsupported");
  ASSERT_FALSE(own);
  EXPECT_EQ(own.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_THAT(own.error().message, HasSubstr("of this kind nobody knows the way"));
}

TEST(Describing, IsRefusedWhereARuleIsBroken) {
  struct Fault {
    const char* name;
    const char* message;
  };
  for (const Fault& fault : {
           Fault{"leaves_unset", "left unset what a part gives"},
           {"no_such_weight", "embed names the weight 'table', which is none, or more than one, outside the layers"},
           {"weight_of_a_layer", "embed names the weight 'mix'"},
           {"two_of_a_label", "linear names the weight 'head', which is none, or more than one"},
           {"no_weight", "op 0 embed: its weight 0 is missing"},
           {"odd_kind", "an op of kind 99, which is none"},
           {"odd_flags", "flags 0x8"},
           {"adds_to_nothing", "embed adds to a value that was not set"},
           {"many_inputs", "more operands than an op may have"},
           {"no_number", "one of its reals is no number"},
           {"other_layer", "an op of layer 0 in a part of another"},
           {"small_op", "an op is not there"},
           {"null_op", "an op is not there"},
           {"odd_rows", "rows of a kind that is none"},
           {"no_width", "a value of width 0"},
           {"other_width", "attend: the width of its result is 9, where 8 was expected"},
           {"reads_unset", "linear reads a value that was not set"},
           {"no_such_value", "an op gives a value that its part does not have"},
           {"no_frequencies", "a table of frequencies is not there, or too long"},
           {"odd_factor", "a frequency that is no number"},
           {"long_columns", "rope: columns 0 + 6 of a head of 4"},
           {"no_such_table", "rope: its table of frequencies is not there"},
           {"no_such_group", "attend names the KV group 'pool', which layer 0 does not have"},
           {"no_group", "attend: it names no KV group"},
           {"odd_heads", "attend: 3 heads over 2 of keys"},
           {"odd_shared_key", "a shared value 16, which is none"},
           {"two_shared_sizes", "the shared value 3 is another one here"},
           {"shared_unset", "linear reads a value that was not set"},
           {"own_cache", "it looks into layer 0, which is no earlier one, or stores there"},
           {"later_cache", "attend names the KV group 'cache', which layer 1 does not have"},
           {"odd_part", "a part that is not the FFN of the layer"},
           {"forever", "asks for parts inside parts, too deep"},
           {"rows_of_tokens", "last_rows: it takes rows of tokens and gives rows of outputs"},
           {"silent", "it answered with status 9"},
           {"ignores_errors", "an op of kind 99, which is none"},
       }) {
    const auto d = described(fault.name);
    ASSERT_FALSE(d) << fault.name;
    EXPECT_EQ(d.error().code, ErrorCode::kPluginFailed) << fault.name;
    EXPECT_THAT(d.error().message, HasSubstr(fault.message)) << fault.name;
    EXPECT_THAT(d.error().message, HasSubstr("pipeline")) << fault.name;
  }
}

// The layer reads what the embedding left for it.
TEST(Describing, SharesValuesFromPartToPart) {
  const auto d = described("shares");
  ASSERT_TRUE(d) << d.error().message;
  ASSERT_GT(d->ops.size(), 3U);
  EXPECT_EQ(d->ops[1].kind, OpKind::kAdd);
  EXPECT_EQ(d->ops[2].kind, OpKind::kLinear);
  EXPECT_EQ(d->ops[2].in[0], d->ops[1].out);
}

// R-12 holds for this sink too.
TEST(Describing, ASinkOfAnotherCallIsOfNoUse) {
  ASSERT_TRUE(described("keeps_the_sink"));
  const auto later = described("used_later");
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(later.error().message, HasSubstr("used a sink outside the call that it was for"));
}

TEST(OpRules, EveryNumberIsOneKindOrNone) {
  for (std::uint32_t number = 0; number <= 600; ++number) {
    const bool is_one = (number >= 1 && number <= 20) || (number >= 24 && number <= 28) || number == 34; // the host's own begin at 64
    ASSERT_EQ(op_kind(number).has_value(), is_one) << number;
    if (is_one) {
      EXPECT_EQ(static_cast<std::uint32_t>(*op_kind(number)), number);
    }
  }
}

} // namespace
} // namespace plimsoll::testing
