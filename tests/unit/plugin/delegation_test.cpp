// What planners ask of the host and of each other: dialects and aliases, the next family where one declines, aspects, interfaces, what a
// configuration and a checkpoint hold, and lines for people.
#include <gmock/gmock.h>

#include "plan/ledger.hpp"
#include "plugin/calls.hpp"
#include "plugin/interface_id.hpp"
#include "unit/plugin/zoo.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json planner(const std::string& fault, const Json& more = Json::object()) {
  Json config{{"architectures", {"planner"}}, {"fault", fault}};
  config.update(more);
  return config;
}
// What a planner that fails on purpose says.
std::string said(const Json& config) {
  const auto tree = tree_of(config);
  return tree ? "made" : tree.error().message.substr(0, tree.error().message.find(" (planner"));
}

// R-17 and R-18: what was not asked for is dropped on its way, whoever ignores it.
TEST(Aspects, OfAChildAreFilteredByTheHost) {
  const auto config = [](const char* parent, const char* child) {
    return planner(parent, {{"part", {{"architectures", {"planner"}}, {"fault", child}}}});
  };
  const auto labels = [](const Declared& d) {
    std::vector<std::string> out;
    for (const KvGroup& group : d.kv) out.push_back(group.label);
    return out;
  };
  const auto obedient = declared(config("asks_attention", ""));
  ASSERT_TRUE(obedient) << obedient.error().message;
  EXPECT_THAT(labels(*obedient), ElementsAre("zoo.cache", "zoo.cache"));
  const auto stubborn = declared(config("asks_attention", "ignores_asked"));
  ASSERT_TRUE(stubborn) << stubborn.error().message;
  EXPECT_THAT(labels(*stubborn), ElementsAre("zoo.cache")); // the parent's own

  plimsoll_view engine;
  const Json none = Json::object();
  engine.node = &none;
  plimsoll_request request{};
  request.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
  request.aspects = PLIMSOLL_ASPECT_ALL;
  request.n_ranks = 1;
  request.engine = &engine;
  for (const auto& [child, bytes] : {std::pair{"", 2000U}, std::pair{"ignores_asked", 1000U}}) {
    const auto tree = tree_of(config("asks_attention", child));
    ASSERT_TRUE(tree);
    ItemCollector collector(1, 1);
    Ledger ledger(1);
    ASSERT_TRUE((*tree)->activations(request, collector));
    ASSERT_TRUE(collector.settle(ledger));
    EXPECT_EQ(ledger.used(0), bytes) << child;
  }
}

TEST(Sinks, OfAParentMustBeWhole) {
  const auto d = declared(planner("half_sink", {{"part", {{"architectures", {"planner"}}}}}));
  ASSERT_FALSE(d);
  EXPECT_EQ(d.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(d.error().message, HasSubstr("planner 'planner' gave another planner a sink that is not whole"));
}

// The day-one case: a part of a model_type that nobody knows, planned in the dialect of one that is known.
TEST(As, PlansAPartInANamedDialect) {
  const Json part{{"model_type", "nobody_knows"}, {"architectures", {"Nobody"}}, {"fault", ""}};
  EXPECT_THAT(said(planner("", {{"part", part}})), HasSubstr("no planner knows 'Nobody'"));
  const auto tree = tree_of(planner("as_other", {{"as", "planner"}, {"part", part}}));
  ASSERT_TRUE(tree) << tree.error().message;
  ASSERT_EQ((*tree)->nodes().size(), 2U);
  const plimsoll_view& view = *(*tree)->nodes()[0]->view;
  ASSERT_NE(view.find("/model_type"), nullptr);
  EXPECT_EQ(*view.find("/model_type"), "planner");
  EXPECT_EQ(view.find("/architectures"), nullptr);
  EXPECT_EQ(view.find("/architectures/0"), nullptr);
  EXPECT_THAT((*tree)->assumed_classes(), ::testing::IsEmpty());
}

TEST(As, OfATypeThatNobodyPlansIsUnsupported) {
  const auto tree = tree_of(planner("as_other", {{"as", "planer"}, {"part", {{"model_type", "x"}}}}));
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_THAT(tree.error().message, HasSubstr("no planner knows the model_type 'planer'; did you mean planner"));
  EXPECT_EQ(tree.error().where, "config.json: /part/model_type");
}

TEST(Aliases, SayTheSameWithoutCode) {
  for (const char* config : {R"({"architectures": ["ZooForCausalLM"]})", R"({"model_type": "zoo_text"})",
                             R"({"architectures": ["Unheard"], "model_type": "zoo_text"})"}) {
    const auto tree = tree_of(Json::parse(config));
    ASSERT_TRUE(tree) << config << tree.error().message;
    EXPECT_EQ((*tree)->root().id(), "planner");
    EXPECT_EQ(*(*tree)->view().find("/model_type"), "planner") << config;
    ASSERT_NE((*tree)->root().family.aliased_by, nullptr);
    EXPECT_EQ((*tree)->root().family.aliased_by->manifest.id, "alias");
  }
  const auto part = tree_of(planner("", {{"part", {{"model_type", "zoo_text"}}}}));
  ASSERT_TRUE(part) << part.error().message;
  EXPECT_EQ((*part)->nodes().size(), 2U);
  const auto nobody = tree_of(Json::parse(R"({"model_type": "to_nobody"})"));
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, ErrorCode::kUnsupportedArchitecture);
}

// R-26.
TEST(Declining, LetsTheNextFamilyTry) {
  const auto typed = [](const char* fault) { return Json{{"architectures", {"typed"}}, {"fault", fault}}; };
  const auto mine = tree_of(typed(""));
  ASSERT_TRUE(mine);
  EXPECT_EQ((*mine)->root().id(), "typed");
  const auto next = tree_of(typed("not_mine"));
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ((*next)->root().id(), "understudy");
  EXPECT_EQ((*next)->architecture(), "typed");
  const auto failing = tree_of(typed("create_fails"));
  ASSERT_FALSE(failing); // another failure is the user's to know
  EXPECT_THAT(failing.error().message, HasSubstr("is too small"));
  const auto part = tree_of(planner("", {{"part", typed("not_mine")}}));
  ASSERT_TRUE(part) << part.error().message;
  EXPECT_EQ((*part)->nodes()[0]->id(), "understudy");
  const auto nobody = tree_of(planner("not_mine"));
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_THAT(nobody.error().message, HasSubstr("is not one of mine (planner 'planner')"));
}

TEST(Declining, TakesTheChildrenOfWhoDeclinedAlong) {
  Json config = planner("asks_query", {{"part", planner("", {{"answer", 7}})}}); // makes a child, then fails
  const auto failed = tree_of(config);
  ASSERT_FALSE(failed);
  config = planner("", {{"part", config}});
  const auto tree = tree_of(config);
  ASSERT_FALSE(tree);
  EXPECT_THAT(tree.error().where, HasSubstr("config.json: /part"));
}

// R-27: an interface of a child comes with the child's own object.
TEST(Interfaces, OfAChildAreHandedThroughWithItsObject) {
  EXPECT_EQ(said(planner("asks_query", {{"answer", 1}, {"part", planner("", {{"answer", 42}})}})), "42");
  const auto tree = tree_of(planner("", {{"answer", 5}}));
  ASSERT_TRUE(tree);
  const void* object = &tree;
  constexpr std::string_view kAnswer = "zoo.answer/1";
  EXPECT_NE(call_query((*tree)->root(), {kAnswer.data(), kAnswer.size()}, &object), nullptr);
  EXPECT_EQ(object, (*tree)->root().self);
  for (const std::string_view id : {"zoo.answer/2", "zoo.answer/draft.1", "zoo.answer", "", "ZOO.answer/1", "zoo.answer/1\n"}) {
    EXPECT_EQ(call_query((*tree)->root(), {id.data(), id.size()}, &object), nullptr) << id;
    EXPECT_EQ(object, nullptr) << id;
  }
}

TEST(Interfaces, HaveIdsOfOneGrammar) {
  for (const char* id : {"plimsoll.tensors/1", "com.acme.vlm/draft.1", "a/1", "com.acme-x.y_z/draft.12", "x1.y2/999999999"})
    EXPECT_TRUE(is_interface_id(std::string_view(id))) << id;
  for (const std::string id :
       {"",        "/1",       "a",         "a/",  "a/0",   "a/01", "a/1/2", "a..b/1", ".a/1",        "a./1",
        "a/draft", "a/draft.", "a/draft.0", "A/1", "a b/1", "a/1 ", "a/v1",  "1a/1",   "a/draft.1.2", "a/1000000000"})
    EXPECT_FALSE(is_interface_id(std::string_view(id))) << id;
  EXPECT_FALSE(is_interface_id(std::string_view(std::string(61, 'a') + "/100")));
  EXPECT_FALSE(is_interface_id(plimsoll_str{nullptr, 3}));
  EXPECT_FALSE(is_interface_id(plimsoll_str{"a/1", 1ULL << 62}));
}

TEST(Lookups, TellKeysSubJsonAndNegativeNumbers) {
  const Json part{{"b", 1}, {"a", {{"deep", {1, 2.5, "x"}}}}, {"n", -7}, {"architectures", {"planner"}}};
  EXPECT_EQ(said(planner("keys", {{"part", part}})), "b,a,n,architectures");
  EXPECT_EQ(said(planner("json", {{"part", part}})), part.dump());
  EXPECT_EQ(said(planner("negative", {{"part", part}})), "-7");
  for (const auto& [number, text] : {std::pair<Json, const char*>{INT64_MIN, "-9223372036854775808"},
                                     {INT64_MAX, "9223372036854775807"},
                                     {-3.0, "-3"},
                                     {4.0, "4"},
                                     {0, "0"}})
    EXPECT_EQ(said(planner("negative", {{"part", {{"n", number}}}})), text);
  for (const Json& number : {Json(-2.5), Json("7"), Json(UINT64_MAX), Json(-1e300), Json(true), Json(nullptr)})
    EXPECT_THAT(said(planner("negative", {{"part", {{"n", number}}}})), ::testing::Not(::testing::MatchesRegex("-?[0-9]+"))) << number;
}

// An own type and an own format of the plugin's manifest: 64 x 32 in zoo_q3 is 64 x 4 blocks x 3 B and 64 x 2 scales x 2 B.
TEST(Formats, OfAManifestPriceItsOwnPlannersClasses) {
  const auto bytes = [](const char* fault) {
    const auto d = declared({{"architectures", {"typed"}}, {"fault", fault}});
    EXPECT_TRUE(d) << d.error().message;
    return d ? d->weights.at(0).declared_bytes().value() : 0;
  };
  EXPECT_EQ(bytes("own_format"), 2U * (64 * 4 * 3 + 64 * 2 * 2));
  EXPECT_EQ(bytes("own_type"), 2U * (64 * 32 / 8 * 5));
}

TEST(Records, OfSeveralTypesAreKept) {
  const auto record = declared(planner("record"));
  ASSERT_TRUE(record) << record.error().message;
  ASSERT_EQ(record->kv.at(0).record.size(), 2U);
  EXPECT_EQ(record->kv[0].record[0].type.name, "uint8");
  EXPECT_EQ(record->kv[0].record[1].elements, 2U);
  EXPECT_TRUE(record->kv[0].own_type());
  const auto two = declared(planner("kv_two_types"));
  ASSERT_TRUE(two) << two.error().message;
  EXPECT_EQ(two->kv.at(0).k_type->name, "float16");
  EXPECT_EQ(two->kv[0].v_type->name, "uint8");
}

TEST(Entries, AreOfOneModalityEach) {
  const auto d = declared(planner("entry_audio"));
  ASSERT_TRUE(d) << d.error().message;
  ASSERT_EQ(d->entries.size(), 1U);
  EXPECT_EQ(d->entries[0].modality, Modality::kAudio);
  EXPECT_EQ(d->entries[0].rows, 10U);
  EXPECT_EQ(d->entry_of(Modality::kImage), nullptr);
  EXPECT_EQ(d->largest_entry(), &d->entries[0]);
}

// The plugin is named, control bytes are no more, and there is an end to it.
TEST(Log, NamesThePluginAndEnds) {
  std::vector<std::string> lines;
  const Registry registry({{kZoo}, Trust::kOpen}, [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  lines.clear();
  ASSERT_TRUE(tree_of(planner("log_many"), registry));
  ASSERT_EQ(lines.size(), PLIMSOLL_MAX_LOG_LINES + 1U);
  EXPECT_THAT(lines.front(), ::testing::StartsWith("plugin planner: line 0"));
  EXPECT_EQ(lines.back(), "plugin planner: says more than 256 lines; the rest is not shown");
  ASSERT_TRUE(tree_of(planner("log_many"), registry));
  EXPECT_EQ(lines.size(), PLIMSOLL_MAX_LOG_LINES + 1U);
}

} // namespace
} // namespace plimsoll::testing
