// The SDK's helpers alone, against a host of a few lines: counts under every spelling and what they refuse, sites, and relays of
// what a child declares. Links nothing of the core: its types have the SDK's names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "plimsoll/plugin_util.hpp"

namespace {

using namespace plimsoll;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Layers = std::vector<std::uint32_t>;

// Numbers, texts, flags and lengths by pointer.
struct View {
  std::map<std::string, std::uint64_t, std::less<>> numbers, lengths;
  std::map<std::string, std::string, std::less<>> texts;
  std::map<std::string, bool, std::less<>> flags;
};
const View& of(const plimsoll_view* view) { return *reinterpret_cast<const View*>(view); }

template <class Map, class Out>
plimsoll_status look_up(const View& view, const Map& map, plimsoll_str pointer, Out&& out) {
  const std::string_view key = to_view(pointer);
  if (const auto it = map.find(key); it != map.end()) {
    out(it->second);
    return PLIMSOLL_OK;
  }
  const bool elsewhere = view.numbers.count(key) + view.lengths.count(key) + view.texts.count(key) + view.flags.count(key) > 0;
  return elsewhere ? PLIMSOLL_E_TYPE : PLIMSOLL_E_NOT_FOUND;
}

const plimsoll_host& reading_host() {
  static const plimsoll_host built = [] {
    plimsoll_host h{};
    h.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_host, planner_for);
    h.get_u64 = [](const plimsoll_view* v, plimsoll_str p, std::uint64_t* out) noexcept -> plimsoll_status {
      return look_up(of(v), of(v).numbers, p, [&](std::uint64_t n) { *out = n; });
    };
    h.get_bool = [](const plimsoll_view* v, plimsoll_str p, std::uint32_t* out) noexcept -> plimsoll_status {
      return look_up(of(v), of(v).flags, p, [&](bool b) { *out = b ? 1 : 0; });
    };
    h.get_str = [](const plimsoll_view* v, plimsoll_str p, plimsoll_str* out) noexcept -> plimsoll_status {
      return look_up(of(v), of(v).texts, p, [&](const std::string& s) { *out = to_str(s); });
    };
    h.get_len = [](const plimsoll_view* v, plimsoll_str p, std::uint64_t* out) noexcept -> plimsoll_status {
      return look_up(of(v), of(v).lengths, p, [&](std::uint64_t n) { *out = n; });
    };
    return h;
  }();
  return built;
}
Config config(const View& view) { return {&reading_host(), reinterpret_cast<const plimsoll_view*>(&view)}; }

// Where a call refused, and what it said; empty where it did not.
template <class Call>
std::pair<std::string, std::string> refusal(Call&& call) {
  try {
    call();
  } catch (const Error& e) {
    return {e.where(), e.what()};
  }
  return {};
}

TEST(Bounded, LetsTheLimitPassAndNamesWhatIsAbove) {
  EXPECT_EQ(bounded(64, 64, "/n"), 64U);
  const auto [where, what] = refusal([] { bounded(65, 64, "/n"); });
  EXPECT_EQ(where, "/n");
  EXPECT_THAT(what, HasSubstr("is 65; at most 64"));
}

TEST(CheckDivides, RefusesZeroAndRemainders) {
  EXPECT_NO_THROW(check_divides(8, 64, "/heads"));
  EXPECT_THAT(refusal([] { check_divides(7, 64, "/heads"); }).second, HasSubstr("a divisor of 64"));
  EXPECT_THAT(refusal([] { check_divides(0, 64, "/heads"); }).second, HasSubstr("is 0"));
}

TEST(LayerCount, ReadsEverySpelling) {
  struct Row {
    View view;
    std::uint32_t layers;
  };
  const std::vector<Row> rows{
      {{{{"/num_hidden_layers", 61}, {"/n_layer", 3}}, {}, {}, {}}, 61},
      {{{{"/n_layer", 12}}, {}, {}, {}}, 12},
      {{{{"/n_layers", 24}}, {}, {}, {}}, 24},
      {{{{"/num_layers", 28}}, {}, {}, {}}, 28},
      {{{}, {{"/layers_block_type", 108}}, {}, {}}, 108},
      {{{}, {}, {{"/hybrid_override_pattern", "M-M*-"}}, {}}, 5},
      {{{{"/num_hidden_layers", kMaxLayers}}, {}, {}, {}}, 4096},
  };
  for (const Row& row : rows) EXPECT_EQ(layer_count(config(row.view)), row.layers);
}

TEST(LayerCount, RefusesNoneAndTooMany) {
  for (const std::uint64_t n : {std::uint64_t{0}, kMaxLayers + 1, std::uint64_t{1} << 40}) {
    const View view{{{"/n_layer", n}}, {}, {}, {}};
    const auto [where, what] = refusal([&] { layer_count(config(view)); });
    EXPECT_EQ(where, "/n_layer");
    EXPECT_THAT(what, HasSubstr("1 to 4096"));
  }
  const View nothing;
  const auto [where, what] = refusal([&] { layer_count(config(nothing)); });
  EXPECT_EQ(where, "/num_hidden_layers");
  EXPECT_THAT(what, HasSubstr("missing"));
}

TEST(FindExperts, KnowsEverySpellingAndTheSwitch) {
  for (const char* key : {"/n_routed_experts", "/num_experts", "/num_local_experts", "/moe_num_experts", "/ffn_config/moe_num_experts"}) {
    View view{{{key, 16}}, {}, {}, {}};
    EXPECT_EQ(find_experts(config(view)), 16U) << key;
    view.flags["/enable_moe_block"] = false;
    EXPECT_EQ(find_experts(config(view)), 0U) << key;
  }
  const View nothing;
  EXPECT_EQ(find_experts(config(nothing)), std::nullopt);
}

TEST(LayersFrom, Counts) {
  EXPECT_THAT(layers_from(61, 2), ElementsAre(61U, 62U));
  EXPECT_THAT(layers_from(0, 0), IsEmpty());
}

// What reached the host.
struct SeenClasses {
  struct Class {
    std::string label, pattern;
    Layers layers;
    std::uint32_t role, stage;
  };
  std::vector<Class> weights, caches;
  std::vector<std::string> entries;
  plimsoll_status answer = PLIMSOLL_OK;

  SeenClasses() {
    raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item);
    raw.ctx = this;
    raw.weight = [](void* ctx, const plimsoll_weight* w) noexcept {
      auto& seen = *static_cast<SeenClasses*>(ctx);
      seen.weights.push_back({std::string(to_view(w->label)), std::string(to_view(w->pattern)), Layers(w->layers, w->layers + w->n_layers),
                              w->role, w->stage});
      return seen.answer;
    };
    raw.kv = [](void* ctx, const plimsoll_kv_group* g) noexcept {
      auto& seen = *static_cast<SeenClasses*>(ctx);
      seen.caches.push_back({std::string(to_view(g->label)), "", Layers(g->layers, g->layers + g->n_layers), g->role, 0});
      return seen.answer;
    };
    raw.entry = [](void* ctx, const plimsoll_entry* e) noexcept {
      auto& seen = *static_cast<SeenClasses*>(ctx);
      seen.entries.emplace_back(to_view(e->label));
      return seen.answer;
    };
    raw.item = [](void* ctx, const plimsoll_item*) noexcept -> plimsoll_status { return static_cast<SeenClasses*>(ctx)->answer; };
  }
  SeenClasses(const SeenClasses&) = delete;
  SeenClasses& operator=(const SeenClasses&) = delete;
  Sink sink(Aspects aspects = Aspects::all()) const { return {&raw, aspects}; }

  plimsoll_sink raw{};
};

TEST(Site, NamesLabelsAndPlaces) {
  const Layers layers{0, 1};
  const Site own{"model.layers.{layer}.", "", &layers};
  const Site draft{"mtp.layers.{layer}.", "draft.", &layers, true};
  const SeenClasses seen;
  for (const Site* site : {&own, &draft}) seen.sink().weight(site->weight(Aspect::kFfn, "mlp.up", "mlp.up.weight", {4, 4}));
  ASSERT_EQ(seen.weights.size(), 2U);
  EXPECT_EQ(seen.weights[0].label, "mlp.up");
  EXPECT_EQ(seen.weights[0].pattern, "model.layers.{layer}.mlp.up.weight");
  EXPECT_EQ(seen.weights[0].role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_MODEL));
  EXPECT_EQ(seen.weights[0].stage, static_cast<std::uint32_t>(PLIMSOLL_STAGE_OF_LAYER));
  EXPECT_EQ(seen.weights[1].label, "draft.mlp.up");
  EXPECT_EQ(seen.weights[1].pattern, "mtp.layers.{layer}.mlp.up.weight");
  EXPECT_EQ(seen.weights[1].role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT));
  EXPECT_EQ(seen.weights[1].stage, static_cast<std::uint32_t>(PLIMSOLL_STAGE_LAST));
}

// A child that thinks that each of its four layers has attention and an FFN, and has a draft of its own.
void declare_child(const Sink& out) {
  static const Layers all{0, 1, 2, 3}, later{4};
  const Site layer{"model.layers.{layer}.", "", &all};
  out.weight(Weight(Aspect::kEmbed, "embedding", "model.embed_tokens.weight", {8, 4}));
  out.weight(layer.weight(Aspect::kAttention, "norm", "input_layernorm.weight", {4}));
  out.weight(layer.weight(Aspect::kAttention, "q", "self_attn.q_proj.weight", {4, 4}));
  out.weight(layer.weight(Aspect::kFfn, "up", "mlp.up_proj.weight", {4, 4}));
  out.weight(Site{"model.layers.{layer}.", "draft.", &later, true}.weight(Aspect::kAttention, "q", "self_attn.q_proj.weight", {4, 4}));
  out.kv(KvGroup(KvKind::kFull, "attention", all).heads(1, 1, 4, 4));
  out.kv(KvGroup(KvKind::kFull, "draft.attention", later).heads(1, 1, 4, 4).role(Role::kDraft));
  out.entry(Entry(Modality::kImage, 16, 4));
}

Layers layers_of(const std::vector<SeenClasses::Class>& classes, const std::string& label) {
  for (const SeenClasses::Class& c : classes)
    if (c.label == label) return c.layers;
  return {99};
}

TEST(Relay, NarrowsPartsAndCachesAndLeavesTheRest) {
  const SeenClasses seen;
  const LayerMap map{{{Aspect::kAttention, "self_attn.", {1, 3, 9}}, {Aspect::kFfn, "", {}}}, Layers{1, 3}};
  const Sink out = seen.sink();
  declare_child(Relay(out, map).sink());
  EXPECT_THAT(layers_of(seen.weights, "embedding"), IsEmpty());
  EXPECT_THAT(layers_of(seen.weights, "norm"), ElementsAre(0U, 1U, 2U, 3U));
  EXPECT_THAT(layers_of(seen.weights, "q"), ElementsAre(1U, 3U)); // never a layer that the child does not know
  EXPECT_THAT(layers_of(seen.weights, "up"), ElementsAre(99U));   // not declared: no layer has it
  EXPECT_THAT(layers_of(seen.weights, "draft.q"), ElementsAre(4U));
  EXPECT_THAT(layers_of(seen.caches, "attention"), ElementsAre(1U, 3U));
  EXPECT_THAT(layers_of(seen.caches, "draft.attention"), ElementsAre(4U));
}

TEST(Relay, WithoutAMapChangesNothing) {
  const SeenClasses plain, relayed;
  const LayerMap map;
  const Sink out = relayed.sink();
  declare_child(plain.sink());
  declare_child(Relay(out, map).sink());
  ASSERT_EQ(relayed.weights.size(), plain.weights.size());
  for (std::size_t i = 0; i < plain.weights.size(); ++i) EXPECT_EQ(relayed.weights[i].layers, plain.weights[i].layers);
  EXPECT_EQ(relayed.caches.size(), 2U);
  EXPECT_THAT(relayed.entries, ElementsAre("image"));
}

TEST(Relay, RepeatsTheLayersAsADraft) {
  const SeenClasses seen;
  const DraftMap map{
      {{{Aspect::kAttention, "self_attn.", {0}}, {Aspect::kFfn, "mlp.", {1}}}, Layers{4}}, "model.layers.", "mtp.layers.", {0, 1}};
  const Sink out = seen.sink();
  declare_child(Relay(out, map).sink());
  ASSERT_EQ(seen.weights.size(), 3U); // neither the embedding nor the child's own draft
  EXPECT_THAT(layers_of(seen.weights, "draft.norm"), ElementsAre(0U, 1U));
  EXPECT_THAT(layers_of(seen.weights, "draft.q"), ElementsAre(0U));
  EXPECT_THAT(layers_of(seen.weights, "draft.up"), ElementsAre(1U));
  for (const SeenClasses::Class& c : seen.weights) {
    EXPECT_THAT(c.pattern, HasSubstr("mtp.layers.{layer}."));
    EXPECT_EQ(c.role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT));
    EXPECT_EQ(c.stage, static_cast<std::uint32_t>(PLIMSOLL_STAGE_LAST));
  }
  ASSERT_EQ(seen.caches.size(), 1U);
  EXPECT_EQ(seen.caches[0].label, "draft.attention");
  EXPECT_THAT(seen.caches[0].layers, ElementsAre(4U));
}

TEST(Relay, HandsTheHostsRefusalToTheChild) {
  SeenClasses seen;
  seen.answer = PLIMSOLL_E_CONFIG;
  const LayerMap map;
  const Sink out = seen.sink();
  EXPECT_THROW(declare_child(Relay(out, map).sink()), Error);
  EXPECT_EQ(seen.weights.size(), 1U);
}

TEST(Relay, AsksForTheSameAspects) {
  const SeenClasses seen;
  const LayerMap map;
  const Sink out = seen.sink(Aspect::kFfn);
  declare_child(Relay(out, map).sink());
  EXPECT_EQ(seen.weights.size(), 1U);
  EXPECT_THAT(seen.caches, IsEmpty());
}

} // namespace
