// One model's planners: what is refused of what they declare or emit, how errors find their place, and how far delegation goes.
#include <gmock/gmock.h>

#include "plan/ledger.hpp"
#include "plimsoll/host.hpp"
#include "unit/plugin/zoo.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

Json faulty(const std::string& fault) { return {{"architectures", {"planner"}}, {"fault", fault}}; }

struct DeclarationFault {
  const char* name;
  ErrorCode code;
  const char* message;
  const char* where = "";
};

TEST(Declaring, WithoutAFaultWorks) {
  const auto d = declared(faulty(""));
  ASSERT_TRUE(d) << d.error().message;
  ASSERT_EQ(d->weights.size(), 1U);
  EXPECT_EQ(d->weights[0].declared_bytes().value(), 2U * 64 * 32 * 2);
  EXPECT_EQ(d->weights[0].planner, "planner");
  ASSERT_EQ(d->kv.size(), 1U);
}

TEST(Declaring, IsRefusedWhereTheContractIsBroken) {
  const ErrorCode plugin = ErrorCode::kPluginFailed, config = ErrorCode::kBadConfig;
  const std::vector<DeclarationFault> faults{
      {"small_struct", plugin, "its struct is smaller than version 1.0"},
      {"zero_dim", config, "the configuration makes dimension 1 of weight class 'zoo.class' zero (planner 'planner')"},
      {"nine_dims", plugin, "a value outside the contract: more than 8 dimensions"},
      {"parts_sum", config, "the parts of weight class 'zoo.class' add up to 49, its dimension is 64"},
      {"parts_wrap", plugin, "a part's extent is 18446744073709551601, a negative number or one that wrapped"},
      {"part_units", plugin, "a part whose extent is no multiple of its units"},
      {"many_parts", plugin, "more than 64 parts"},
      {"shard_dim", plugin, "it splits along a dimension that it does not have"},
      {"type", plugin, "unknown type 'float17'"},
      {"format", plugin, "unknown storage format 'crumpled'"},
      {"aspect", plugin, "an aspect that its family does not count"},
      {"no_aspect", plugin, "weight class 'zoo.class': no aspect; it has exactly one"},
      {"stage", plugin, "a value outside the contract"},
      {"placement", plugin, "a value outside the contract"},
      {"role", plugin, "a value outside the contract"},
      {"unordered", plugin, "layer 0 out of order"},
      {"doubled", plugin, "layer 1 out of order"},
      {"overflow", plugin, "a dimension is 4611686018427387904; at most 1099511627776 is possible"},
      {"negative_dim", plugin, "weight class 'zoo.class': a dimension is 18446744073709551611, a negative number or one that wrapped"},
      {"huge_dim", plugin, "weight class 'zoo.class': a dimension is 2199023255552; at most"},
      {"negative_part", plugin, "weight class 'zoo.class': a part's extent is 18446744073709551615"},
      {"null_layers", plugin, "weight class 'zoo.class': 2 layers, but no list of them"},
      {"null_parts", plugin, "weight class 'zoo.class': 2 parts, but no list of them"},
      {"twice", plugin, "weight class 'zoo.class': the tensor 'model.{layer}.weight' of layer 0 is declared twice"},
      {"unnamed_twice", plugin, "weight class 'zoo.class': what has only this label of layer 0 is declared twice"},
      {"no_layer_mark", plugin, "weight class 'zoo.class': 2 layers with tensors of one name, 'model.weight'"},
      {"two_aspects", plugin, "weight class 'zoo.class': 2 aspects; it has exactly one"},
      {"label_size", plugin, "a weight class: its label is 4611686018427387904 bytes long; 1 to 128 bytes"},
      {"label_null", plugin, "a weight class: its label is 9 bytes at no address"},
      {"label_empty", plugin, "a weight class: its label is empty"},
      {"label_utf8", plugin, "a weight class: its label is "},
      {"label_control", plugin, "a weight class: its label is "},
      {"label_long", plugin, "a weight class: its label is "},
      {"pattern_size", plugin, "weight class 'zoo.class': its tensors' name is 4611686018427387904 bytes long"},
      {"bomb", plugin, "weight class 'zoo.class.16.{layer}': all layer lists together have more than 1048576 entries"},
      {"many_classes", plugin, "weight class 'zoo.class.16384.{layer}': it is one of more than 16384"},
      {"null_weight", plugin, "declared a struct that is not there"},
      {"subview_late", plugin, "called subview outside create"},
      {"planner_late", plugin, "called planner_for outside create"},
      {"keeps_sink", plugin, "used a sink outside the call that it was for"}, // R-12
      {"keeps_for_facts", plugin, "used a sink outside the call that it was for"},
      {"facts_layers", plugin, "facts: n_layers is 4294967295; at most 65536"},
      {"facts_length", plugin, "facts: max_length is 18446744073709551615, a negative number or one that wrapped"},
      {"facts_experts", plugin, "facts: experts is 1073741824; at most 1048576"},
      {"kv_negative", plugin, "KV group 'zoo.cache': the number of heads is 18446744073709551608, a negative number"},
      {"kv_wide", plugin, "KV group 'zoo.cache': what a token takes in elements is"},
      {"kv_overflow", plugin, "KV group 'zoo.cache': the width of a key is"},
      {"kv_latent_heads", plugin, "KV group 'zoo.cache': a latent cache of 2 heads; 1 was expected"},
      {"kv_null_layers", plugin, "KV group 'zoo.cache': 2 layers, but no list of them"},
      {"kv_label_size", plugin, "a KV group: its label is 4611686018427387904 bytes long"},
      {"kv_role", plugin, "KV group 'zoo.cache': a role that caches do not have"},
      {"kv_twice", plugin, "KV group 'zoo.cache': layer 0 is declared twice"},
      {"kv_null", plugin, "declared a struct that is not there"},
      {"kv_many_groups", plugin, "KV group 'zoo.cache.1024': it is one of more than 1024"},
      {"many_experts", plugin, "a value outside the contract"},
      {"many_layers", plugin, "1000000 layers; at most 65536 are possible"},
      {"stubborn", config, "dimension 1 of weight class 'zoo.class' zero"}, // the planner hides the refusal; it counts all the same
      {"weights_fail", config, "is odd (planner 'planner')", "config.json: /width"},
      {"kv_small_struct", plugin, "a KV group: its struct is smaller than version 1.0"},
      {"kv_no_heads", config, "KV group 'zoo.cache' has no heads or no width"},
      {"kv_kind", plugin, "KV group 'zoo.cache': a kind outside the contract"},
      {"kv_window", plugin, "a window of no tokens"},
      {"kv_type", plugin, "KV group 'zoo.cache': unknown type 'float17'"},
      {"kv_state_rows", plugin, "a state 'ring' that is not a row for each token of its window"},
      {"kv_no_regions", config, "KV group 'zoo.cache' has no heads or no width"},
      {"kv_null_regions", plugin, "KV group 'zoo.cache': a state region that is not there"},
      {"weight_memory", plugin, "weight class 'zoo.class': a value outside the contract"},
      {"null_part", plugin, "weight class 'zoo.class': part 1 is not there, or smaller than version 1.0"},  // R-04
      {"small_part", plugin, "weight class 'zoo.class': part 1 is not there, or smaller than version 1.0"}, // R-01
      {"kv_no_aspect", plugin, "KV group 'zoo.cache': no aspect; it has exactly one"},                      // R-17
      {"kv_two_aspects", plugin, "KV group 'zoo.cache': 2 aspects; it has exactly one"},
      {"kv_other_aspect", plugin, "KV group 'zoo.cache': an aspect that its family does not count"},
      {"record_sum", plugin, "KV group 'zoo.cache': a record of "},
      {"record_null", plugin, "KV group 'zoo.cache': a record that is not there"},
      {"record_null_field", plugin, "KV group 'zoo.cache': field "},
      {"record_type", plugin, "KV group 'zoo.cache': unknown type 'float17'; its manifest may define it"}, // R-24
      {"own_format", plugin, "unknown storage format 'zoo_q3'; its manifest may define it under `formats`"},
      {"own_type", plugin, "unknown type 'zoo_t5'; its manifest may define it under `types`"},
      {"entry_twice", plugin, "a second entry of the modality audio"},
      {"entry_modality", plugin, "a modality outside the contract"},           // R-23
      {"entry_bytes", plugin, "rows is 2199023255552; at most 1099511627776"}, // R-22
      {"facts_size", plugin, "filled more facts than there was room for, which rule R-03 forbids"},
      {"facts_small", plugin, "filled fewer facts than version 1.0 has, which rule R-03 forbids"},
      {"tensor_late", plugin, "called plimsoll.tensors/1 outside create"}, // R-13
  };
  for (const DeclarationFault& fault : faults) {
    const auto d = declared(faulty(fault.name));
    ASSERT_FALSE(d) << fault.name;
    EXPECT_EQ(d.error().code, fault.code) << fault.name << ": " << d.error().message;
    EXPECT_THAT(d.error().message, HasSubstr(fault.message)) << fault.name;
    EXPECT_THAT(d.error().message, HasSubstr("planner 'planner'")) << fault.name;
    EXPECT_THAT(d.error().where, HasSubstr(fault.where)) << fault.name;
  }
}

TEST(Declaring, AQuantizedClassHasAnInputDimension) {
  Json config = faulty("in_dim");
  config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
  const auto d = declared(config);
  ASSERT_FALSE(d);
  EXPECT_EQ(d.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(d.error().message, HasSubstr("zoo.class"));
}

TEST(Creating, FailsWithTheReasonGivenOrWithOne) {
  const std::vector<DeclarationFault> faults{
      {"create_fails", ErrorCode::kBadConfig, "is too small (planner 'planner')", "config.json: /depth"},
      {"creates_nothing", ErrorCode::kPluginFailed, "planner 'planner' created nothing", "config.json"},
      {"silent", ErrorCode::kBadConfig, "the planner answered with status 1 (planner 'planner')", "config.json: "},
      {"odd_status", ErrorCode::kPluginFailed, "the planner answered with status 77", "config.json: "},
      {"unterminated", ErrorCode::kBadConfig, "mmmm", "config.json: wwww"},
      {"itself", ErrorCode::kPluginFailed, "'planner' is asked for a part that it is planning already", "config.json: "},
      {"itself_again", ErrorCode::kPluginFailed, "'planner' is asked for a part that it is planning already", "config.json: "},
      {"no_such_family", ErrorCode::kUnsupportedArchitecture, "no plugin offers the family 'nobody'", "config.json: "},
      {"not_mine", ErrorCode::kUnsupportedArchitecture, "is not one of mine (planner 'planner')", "config.json: "},
      {"many_views", ErrorCode::kPluginFailed, "the host gave no more views", "config.json: "},
  };
  for (const DeclarationFault& fault : faults) {
    const auto tree = tree_of(faulty(fault.name));
    ASSERT_FALSE(tree) << fault.name;
    EXPECT_EQ(tree.error().code, fault.code) << fault.name << ": " << tree.error().message;
    EXPECT_THAT(tree.error().message, HasSubstr(fault.message)) << fault.name;
    EXPECT_THAT(tree.error().where, HasSubstr(fault.where)) << fault.name;
    EXPECT_LE(tree.error().message.size() + tree.error().where.size(), 1200U) << fault.name;
  }
}

TEST(Creating, NeedsANameThatSomebodyKnows) {
  struct Case {
    const char* config;
    ErrorCode code;
    const char* message;
    const char* where;
  };
  for (const Case& c : {Case{"{}", ErrorCode::kBadConfig, "neither /architectures nor /model_type", "config.json: /"},
                        {R"({"architectures": []})", ErrorCode::kBadConfig, "neither /architectures", "config.json: /"},
                        {R"({"architectures": [7]})", ErrorCode::kBadConfig, "neither /architectures", "config.json: /"},
                        {R"({"architectures": "planner"})", ErrorCode::kBadConfig, "neither /architectures", "config.json: /"},
                        {R"({"architectures": ["planer"]})", ErrorCode::kUnsupportedArchitecture, "did you mean", "/architectures/0"},
                        {R"({"model_type": "unheard_of"})", ErrorCode::kUnsupportedArchitecture, "'unheard_of'", "config.json"},
                        {"[1]", ErrorCode::kBadConfig, "an object was expected", "config.json"}}) {
    const auto tree = tree_of(Json::parse(c.config));
    ASSERT_FALSE(tree) << c.config;
    EXPECT_EQ(tree.error().code, c.code) << c.config;
    EXPECT_THAT(tree.error().message, HasSubstr(c.message)) << c.config;
    EXPECT_THAT(tree.error().where, HasSubstr(c.where)) << c.config;
  }
  EXPECT_TRUE(tree_of(Json::parse(R"({"architectures": ["unheard_of", "planner"]})"))); // the first that is known
}

TEST(Creating, ByTheModelTypeOfAClassThatNobodyNamesIsRemembered) {
  const auto assumed = [](const char* config) {
    std::vector<std::string> out;
    const auto tree = tree_of(Json::parse(config));
    EXPECT_TRUE(tree) << tree.error().message;
    for (const AssumedClass& a : (*tree)->assumed_classes())
      out.push_back(a.where + " " + a.architecture + " as " + a.model_type + " by " + a.family);
    return out;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(assumed(R"({"architectures": ["Stranger"], "model_type": "planner"})"), ElementsAre(" Stranger as planner by planner"));
  EXPECT_THAT(assumed(R"({"architectures": ["planner"], "model_type": "odd"})"), ::testing::IsEmpty());
  EXPECT_THAT(assumed(R"({"model_type": "planner"})"), ::testing::IsEmpty()); // it alone says what the model is
  EXPECT_THAT(assumed(R"({"architectures": ["planner"], "part": {"model_type": "planner"}})"), ::testing::IsEmpty());
  EXPECT_THAT(assumed(R"({"architectures": ["planner"], "part": {"architectures": ["Stranger"], "model_type": "planner"}})"),
              ElementsAre("/part Stranger as planner by planner"));
}

Json nested(int depth, const Json& innermost) {
  if (depth == 0) return innermost;
  return {{"architectures", {"planner"}}, {"part", nested(depth - 1, innermost)}};
}

TEST(Delegation, PutsThePlacesOfAllPartsInFrontOfAnError) {
  for (int depth = 0; depth < 6; ++depth) {
    std::string pointer;
    for (int i = 0; i < depth; ++i) pointer += "/part";
    const auto create = tree_of(nested(depth, faulty("create_fails")));
    ASSERT_FALSE(create);
    EXPECT_EQ(create.error().where, "config.json: " + pointer + "/depth");
    EXPECT_EQ(create.error().code, ErrorCode::kBadConfig);
    const auto weights = declared(nested(depth, faulty("weights_fail")));
    ASSERT_FALSE(weights);
    EXPECT_EQ(weights.error().where, "config.json: " + pointer + "/width");
    EXPECT_THAT(weights.error().message, HasSubstr("is odd"));
    const auto unknown = tree_of(nested(depth, {{"architectures", {"unheard_of"}}}));
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().where, "config.json: " + pointer + "/architectures/0");
    EXPECT_EQ(unknown.error().code, ErrorCode::kUnsupportedArchitecture);
  }
}

// A part that is reached in two steps has a pointer of two steps.
TEST(Delegation, CountsEveryStepToAPart) {
  const auto two_steps = [](const Json& innermost) {
    return Json{{"architectures", {"planner"}}, {"fault", "two_steps"}, {"part", {{"inner", innermost}}}};
  };
  const auto unknown = tree_of(two_steps({{"architectures", {"unheard_of"}}}));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().where, "config.json: /part/inner/architectures/0");
  const auto weights = declared(two_steps(faulty("weights_fail")));
  ASSERT_FALSE(weights);
  EXPECT_EQ(weights.error().where, "config.json: /part/inner/width");
  const auto create = tree_of(two_steps(faulty("create_fails")));
  ASSERT_FALSE(create);
  EXPECT_EQ(create.error().where, "config.json: /part/inner/depth");
}

// R-25.
TEST(Delegation, IsBounded) {
  EXPECT_TRUE(tree_of(nested(7, faulty(""))));
  const auto deep = tree_of(nested(8, faulty("")));
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(deep.error().message, HasSubstr("planners delegate more than 8 levels deep"));
  EXPECT_FALSE(tree_of(nested(200, faulty(""))));
}

TEST(Delegation, NamesTensorsAsTheWholeModelDoes) {
  const auto d = declared(nested(2, faulty("")));
  ASSERT_TRUE(d) << d.error().message;
  ASSERT_EQ(d->weights.size(), 3U);
  EXPECT_EQ(d->weights[0].pattern, "model.{layer}.weight");
  EXPECT_EQ(d->weights[1].pattern, "model.part.{layer}.weight");
  EXPECT_EQ(d->weights[2].pattern, "model.part.part.{layer}.weight");
}

// A parent that gives its child a sink of its own changes nothing about whose class it is.
TEST(Delegation, NamesTheChildsTensorsAlsoWhereTheParentRelaysThem) {
  Json config = nested(2, faulty(""));
  config["fault"] = "relays";
  config["part"]["fault"] = "relays";
  const auto d = declared(config);
  ASSERT_TRUE(d) << d.error().message;
  ASSERT_EQ(d->weights.size(), 3U);
  EXPECT_EQ(d->weights[0].pattern, "model.{layer}.weight");
  EXPECT_EQ(d->weights[1].pattern, "model.part.{layer}.weight");
  EXPECT_EQ(d->weights[2].pattern, "model.part.part.{layer}.weight");
}

TEST(Delegation, NamesWhatFollowsAPartAsTheWholeDoes) {
  Json whole = nested(1, faulty(""));
  whole["fault"] = "part_first";
  const auto d = declared(whole);
  ASSERT_TRUE(d) << d.error().message;
  ASSERT_EQ(d->weights.size(), 2U);
  EXPECT_EQ(d->weights[0].pattern, "model.part.{layer}.weight");
  EXPECT_EQ(d->weights[1].pattern, "model.{layer}.weight");
}

TEST(Delegation, NeedsAnObject) {
  for (const char* part : {"7", "[1]", "\"text\""}) {
    const auto tree = tree_of(Json::parse(std::string(R"({"architectures": ["planner"], "part": )") + part + "}"));
    if (std::string(part) != "[1]") { // get_len answers for lists too
      EXPECT_TRUE(tree);
      continue;
    }
    ASSERT_FALSE(tree);
    EXPECT_EQ(tree.error().where, "config.json: /part");
  }
}

TEST(Emitting, IsRefusedWhereTheContractIsBroken) {
  plimsoll_view engine;
  const Json none = Json::object();
  engine.node = &none;
  plimsoll_request request{};
  request.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
  request.aspects = PLIMSOLL_ASPECT_ALL;
  request.n_ranks = 2;
  request.tp = 2;
  request.engine = &engine;
  for (const DeclarationFault& fault :
       {DeclarationFault{"item_rank", ErrorCode::kPluginFailed, "planner 'planner' emitted 'zoo.workspace': a rank that does not exist"},
        {"item_category", ErrorCode::kPluginFailed, "a category that this host does not know"},
        {"item_basis", ErrorCode::kPluginFailed, "a value outside the contract"},
        {"item_small_struct", ErrorCode::kPluginFailed, "its struct is smaller than version 1.0"},
        {"item_overflow", ErrorCode::kPluginFailed, "'zoo.workspace': 18446744073709551615 bytes on a rank, a negative number"},
        {"item_large", ErrorCode::kPluginFailed, "'zoo.workspace': 2251799813685248 bytes on a rank; at most"},
        {"item_label", ErrorCode::kPluginFailed, "its label is 4611686018427387904 bytes long"},
        {"item_phase", ErrorCode::kPluginFailed, "'zoo.workspace': its phase is "},
        {"item_null", ErrorCode::kPluginFailed, "planner 'planner' declared a struct that is not there"},
        {"many_items", ErrorCode::kPluginFailed, "'zoo.workspace': more than 4098 items"},
        {"items_of_nothing", ErrorCode::kPluginFailed, "'zoo.workspace': more than 4098 items"},
        {"many_phases", ErrorCode::kPluginFailed, "'zoo.workspace': more than 64 phases with names"},
        {"item_no_aspect", ErrorCode::kPluginFailed, "'zoo.workspace': no aspect; it has exactly one"},
        {"item_memory", ErrorCode::kPluginFailed, "'zoo.workspace': a value outside the contract"},
        {"host_transient", ErrorCode::kPluginFailed, "in host memory nothing is transient"},
        {"weight_in_activations", ErrorCode::kPluginFailed, "declared weights where none were asked for"}}) {
    const auto tree = tree_of(faulty(fault.name));
    ASSERT_TRUE(tree) << fault.name;
    ItemCollector collector(2, 4);
    const auto done = (*tree)->activations(request, collector);
    ASSERT_FALSE(done) << fault.name;
    EXPECT_EQ(done.error().code, fault.code) << fault.name;
    EXPECT_THAT(done.error().message, HasSubstr(fault.message)) << fault.name;
  }
}

TEST(Defaults, AnswerForWhatATableLeavesOut) {
  const auto tree = tree_of(Json::parse(R"({"architectures": ["bare"], "num_hidden_layers": 12, "max_position_embeddings": 4096,
    "hidden_size": 64, "vocab_size": 1000, "num_attention_heads": 8, "num_key_value_heads": 2, "num_local_experts": 4,
    "num_experts_per_tok": 2, "num_nextn_predict_layers": 1})"));
  ASSERT_TRUE(tree) << tree.error().message;
  const auto facts = (*tree)->facts();
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->n_layers, 12U);
  EXPECT_EQ(facts->max_length, 4096U);
  EXPECT_EQ(facts->hidden_elements, 64U);
  EXPECT_EQ(facts->vocab_tokens, 1000U);
  EXPECT_EQ(facts->query_heads, 8U);
  EXPECT_EQ(facts->kv_heads, 2U);
  EXPECT_EQ(facts->experts, 4U);
  EXPECT_EQ(facts->experts_per_token, 2U);
  EXPECT_EQ(facts->draft_layers, 1U);
  EXPECT_FALSE((*tree)->root().has_signal_buffers);
  const auto d = declare(**tree, Quantization(), *find_dtype("bfloat16"));
  ASSERT_TRUE(d);
  EXPECT_TRUE(d->weights.empty());
  EXPECT_TRUE(d->kv.empty());
  EXPECT_TRUE(d->entries.empty());
  const auto gpt = tree_of(Json::parse(R"({"architectures": ["bare"], "n_layer": 3, "n_positions": 64, "n_embd": 5, "n_head": 2})"));
  ASSERT_TRUE(gpt);
  EXPECT_EQ((*gpt)->facts()->n_layers, 3U);
  EXPECT_EQ((*gpt)->facts()->max_length, 64U);
}

TEST(Guard, StopsWhateverIsThrown) {
  struct Case {
    int kind;
    ErrorCode code;
    const char* message;
  };
  for (const Case& c : {Case{0, ErrorCode::kBadConfig, "is odd"},
                        {1, ErrorCode::kPluginFailed, "a bug in the planner"},
                        {2, ErrorCode::kPluginFailed, "out of memory in the planner"},
                        {3, ErrorCode::kPluginFailed, "an unknown exception in the planner"}}) {
    const auto d = declared({{"architectures", {"throws"}}, {"kind", c.kind}});
    ASSERT_FALSE(d) << c.kind;
    EXPECT_EQ(d.error().code, c.code) << c.kind;
    EXPECT_THAT(d.error().message, HasSubstr(c.message)) << c.kind;
    EXPECT_THAT(d.error().message, HasSubstr("planner 'throws'")) << c.kind;
  }
}

// The same faults through the public interface: an error, and the next model plans.
TEST(Guard, OneBadModelDoesNotDisturbTheNext) {
  ContextOptions options;
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  options.plugin_paths = {std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/zoo"};
  options.trust = Trust::kOpen;
  const auto context = Context::create(options);
  ASSERT_TRUE(context);
  EXPECT_FALSE(context->load_config(faulty("zero_dim").dump(), "bad.json"));
  EXPECT_FALSE(context->load_config(R"({"architectures": ["short_struct"]})", "bad.json"));
  const auto priced = context->load_config(faulty("item_rank").dump(), "late.json");
  ASSERT_TRUE(priced) << priced.error().message;
  PlanRequest request;
  request.devices = "1GiB";
  const auto late = context->plan(*priced, request);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kPluginFailed);
  const auto overflow = context->load_config(faulty("kv_overflow").dump(), "overflow.json");
  if (overflow) {
    EXPECT_FALSE(context->plan(*overflow, request));
  }
  const auto good = context->load_config(faulty("").dump(), "good.json");
  ASSERT_TRUE(good) << good.error().message;
  const auto plan = context->plan(*good, request);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->devices[0].weights_bytes, 2U * 64 * 32 * 2);
  EXPECT_EQ(plan->devices[0].activation_bytes, 1000U);
}

} // namespace
} // namespace plimsoll::testing
