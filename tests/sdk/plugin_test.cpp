// The SDK's own types alone: what reaches a sink of what is declared, how a child is asked for, and the C table behind a planner.
// Links nothing of the core: its types have the SDK's names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plimsoll/plugin.hpp"

namespace {

using namespace plimsoll;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Layers = std::vector<std::uint32_t>;
const Layers kTwo{0, 1};

// Labels of what reached the host.
struct SeenLabels {
  std::vector<std::string> weights, caches, entries, items;

  SeenLabels() {
    raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item);
    raw.ctx = this;
    raw.weight = [](void* ctx, const plimsoll_weight* w) noexcept { return of(ctx).note(of(ctx).weights, w->label); };
    raw.kv = [](void* ctx, const plimsoll_kv_group* g) noexcept { return of(ctx).note(of(ctx).caches, g->label); };
    raw.entry = [](void* ctx, const plimsoll_entry* e) noexcept { return of(ctx).note(of(ctx).entries, e->label); };
    raw.item = [](void* ctx, const plimsoll_item* i) noexcept { return of(ctx).note(of(ctx).items, i->label); };
  }
  SeenLabels(const SeenLabels&) = delete;
  SeenLabels& operator=(const SeenLabels&) = delete;
  Sink sink(Aspects aspects = Aspects::all()) const { return {&raw, aspects}; }

  plimsoll_sink raw{};

private:
  static SeenLabels& of(void* ctx) { return *static_cast<SeenLabels*>(ctx); }
  static plimsoll_status note(std::vector<std::string>& labels, plimsoll_str label) {
    labels.emplace_back(to_view(label));
    return PLIMSOLL_OK;
  }
};

// ---- what is declared ----------------------------------------------------------------------------------------

TEST(Aspects, AreASet) {
  constexpr Aspects two = Aspect::kAttention | Aspect::kState;
  EXPECT_TRUE(two.has(Aspect::kState));
  EXPECT_TRUE(two.has(Aspect::kState | Aspect::kHead));
  EXPECT_FALSE(two.has(Aspect::kHead));
  EXPECT_EQ(two & Aspect::kState, Aspect::kState);
  EXPECT_TRUE((two & Aspect::kHead).empty());
  EXPECT_EQ(Aspects::all().bits(), static_cast<std::uint32_t>(PLIMSOLL_ASPECT_ALL));
}

TEST(Sink, DropsWhatHasNoAskedAspectAndWhatHasNoLayers) {
  const SeenLabels seen;
  const Sink out = seen.sink(Aspect::kAttention);
  const Layers nothing;
  out.weight(Weight(Aspect::kAttention, "q", "{layer}.q.weight", {4, 4}).layers(kTwo));
  out.weight(Weight(Aspect::kFfn, "up", "{layer}.up.weight", {4, 4}).layers(kTwo));
  out.weight(Weight(Aspect::kAttention, "k", "{layer}.k.weight", {4, 4}).layers(nothing));
  out.kv(KvGroup(KvKind::kFull, "full", kTwo).heads(1, 1, 4, 4));
  out.kv(KvGroup(KvKind::kState, "state", kTwo).state("conv", 4, 0));
  out.kv(KvGroup(KvKind::kState, "waiting", kTwo).aspect(Aspect::kAttention).state("rows", 4, 0));
  out.kv(KvGroup(KvKind::kFull, "none", nothing).heads(1, 1, 4, 4));
  out.entry(Entry(Modality::kImage, 0, 4));
  EXPECT_THAT(seen.weights, ElementsAre("q"));
  EXPECT_THAT(seen.caches, ElementsAre("full", "waiting"));
  EXPECT_THAT(seen.entries, IsEmpty());
}

TEST(Weight, HasUpToEightDimensions) {
  const auto check = [](const plimsoll_weight& w) {
    EXPECT_EQ(w.struct_size, PLIMSOLL_SIZE_THROUGH(plimsoll_weight, rank));
    EXPECT_EQ(w.n_dims, 5U);
    EXPECT_EQ(w.dims[4], 14U);
    EXPECT_EQ(w.in_dim, 4U);
    return 0;
  };
  Weight(Aspect::kVision, "proj", "proj.weight", {1280, 3, 2, 14, 14}).raw(check);
  EXPECT_NO_THROW(Weight(Aspect::kVision, "eight", "", {1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_THROW(Weight(Aspect::kVision, "nine", "", {1, 1, 1, 1, 1, 1, 1, 1, 1}), Error);
}

// Whoever multiplies numbers of a configuration blames the configuration, before a host would blame him.
TEST(Sizes, BeyondWhatAHostTakesAreTheConfigurations) {
  const std::uint64_t most = PLIMSOLL_MAX_EXTENT;
  const std::vector<std::uint32_t> layers{0};
  const auto refused = [](auto&& make) {
    try {
      make();
    } catch (const Error& error) {
      return error.code() == PLIMSOLL_E_CONFIG || error.code() == PLIMSOLL_E_OVERFLOW;
    }
    return false;
  };
  EXPECT_FALSE(refused([&] { Weight(Aspect::kFfn, "up", "up.weight", {most, most}); }));
  EXPECT_TRUE(refused([&] { Weight(Aspect::kFfn, "up", "up.weight", {1, most + 1}); }));
  EXPECT_FALSE(refused([&] { KvGroup(KvKind::kFull, "kv", layers).heads(most / 2, 1, 1, 1); }));
  EXPECT_TRUE(refused([&] { KvGroup(KvKind::kFull, "kv", layers).heads(most, 1, 1, 1); }));
  EXPECT_TRUE(refused([&] { KvGroup(KvKind::kState, "s", layers).state("ssm", most + 1, 0); }));
  EXPECT_FALSE(refused([&] { Entry(Modality::kImage, most, 1); }));
  EXPECT_TRUE(refused([&] { Entry(Modality::kImage, most, 2); }));
  EXPECT_TRUE(refused([&] { Entry(Modality::kImage, UINT64_MAX, 2); }));
  EXPECT_TRUE(refused([&] { Entry(Modality::kAudio, 1, 1).encoder(most + 1, 1); }));
}

TEST(Weight, PartsCrossAsPointers) {
  Weight fused(Aspect::kAttention, "qkv", "qkv.weight", {96, 64});
  fused.parts(0, {Part{64, 8}, Part{16, 2, true}, Part{16, 2, true}});
  const Weight copy = fused; // whose parts are its own
  copy.raw([](const plimsoll_weight& w) {
    ASSERT_EQ(w.n_parts, 3U);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(w.parts[i]->struct_size, PLIMSOLL_SIZE_THROUGH(plimsoll_part, units));
    EXPECT_EQ(w.parts[0]->extent, 64U);
    EXPECT_EQ(w.parts[2]->units, 2U);
    EXPECT_EQ(w.parts[2]->replicate, 1U);
  });
  const Weight whole(Aspect::kEmbed, "table", "table.weight", {8, 4});
  whole.raw([](const plimsoll_weight& w) { EXPECT_EQ(w.parts, nullptr); });
}

TEST(Weight, MayLieOnOneRankOrOnTheHost) {
  Weight(Aspect::kEmbed, "table", "table.weight", {8, 4}).on_rank(1).on_host().raw([](const plimsoll_weight& w) {
    EXPECT_EQ(w.placement, static_cast<std::uint32_t>(PLIMSOLL_PLACE_ONE));
    EXPECT_EQ(w.rank, 1U);
    EXPECT_EQ(w.memory, static_cast<std::uint32_t>(PLIMSOLL_MEMORY_HOST));
  });
}

TEST(KvGroup, AMixedRecordSaysItsWidth) {
  KvGroup(KvKind::kFull, "packed", kTwo).record({{"uint8", 24}, {"float32", 2}}).raw([](const plimsoll_kv_group& g) {
    ASSERT_EQ(g.n_fields, 2U);
    EXPECT_EQ(to_view(g.record[1]->dtype), "float32");
    EXPECT_EQ(g.record[1]->elements, 2U);
    EXPECT_EQ(g.k_elements, 26U);
    EXPECT_EQ(g.v_elements, 0U);
    EXPECT_EQ(g.kv_heads, 1U);
  });
  KvGroup(KvKind::kFull, "plain", kTwo).heads(1, 1, 4, 4).dtype("float16", "uint8").raw([](const plimsoll_kv_group& g) {
    EXPECT_EQ(g.record, nullptr);
    EXPECT_EQ(to_view(g.k_dtype), "float16");
    EXPECT_EQ(to_view(g.v_dtype), "uint8");
  });
}

TEST(Entry, IsCalledAfterItsModality) {
  EXPECT_EQ(to_view(Entry(Modality::kAudio, 10, 32).raw().label), "audio");
  const Entry clip = Entry(Modality::kVideo, 10, 32).encoder(40, 16).most_per_request(2).dtype("float32");
  const plimsoll_entry raw = clip.raw();
  EXPECT_EQ(to_view(raw.label), "video");
  EXPECT_EQ(raw.aspect, static_cast<std::uint32_t>(PLIMSOLL_ASPECT_VISION));
  EXPECT_EQ(raw.encoder_tokens, 40U);
  EXPECT_EQ(raw.encoder_elements, 16U);
  EXPECT_EQ(raw.most_per_request, 2U);
}

TEST(Item, IsAResidentActivationUnlessItSaysOtherwise) {
  const Item plain(Aspect::kFfn, "buffers", 100, Basis::kExact);
  EXPECT_EQ(plain.raw().category, static_cast<std::uint32_t>(PLIMSOLL_BYTES_ACTIVATION));
  EXPECT_EQ(plain.raw().lifetime, static_cast<std::uint32_t>(PLIMSOLL_RESIDENT));
  EXPECT_EQ(plain.raw().rank, PLIMSOLL_ALL_RANKS);
  const Item scratch = Item(Aspect::kFfn, "scratch", 100, Basis::kBound).workspace().transient("experts").on_rank(3);
  const plimsoll_item raw = scratch.raw();
  EXPECT_EQ(raw.category, static_cast<std::uint32_t>(PLIMSOLL_BYTES_WORKSPACE));
  EXPECT_EQ(raw.lifetime, static_cast<std::uint32_t>(PLIMSOLL_TRANSIENT));
  EXPECT_EQ(to_view(raw.phase), "experts");
  EXPECT_EQ(raw.rank, 3U);
  EXPECT_EQ(Item(Aspect::kState, "slot", 1, Basis::kExact).per_request().raw().lifetime, static_cast<std::uint32_t>(PLIMSOLL_PER_REQUEST));
}

// a host of an older minor hands a shorter request; what it lacks reads as nothing.
TEST(Request, ReadsNothingBeyondWhatWasFilled) {
  const std::vector<std::uint32_t> stages{0, 1};
  plimsoll_request raw{};
  raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, n_layers);
  raw.pp = 3;
  raw.stage_of_layer = stages.data();
  raw.n_layers = 2;
  raw.engine = reinterpret_cast<const plimsoll_view*>(&raw); // not there as far as the size says
  const Request request(nullptr, &raw);
  EXPECT_EQ(request.engine("/any"), std::nullopt);
  EXPECT_EQ(request.stage_of_layer(1), 1U);
  EXPECT_EQ(request.stage_of_layer(2), 2U); // a draft's: on the last stage
}

// ---- delegation ----------------------------------------------------------------------------------------------

// What a planner asked its host for. The child answers with an embedding, a cache, an entry and an item.
struct Asked {
  std::string pointer, family, as;
  std::vector<std::pair<std::string, std::string>> renames;
};
Asked asked;

const plimsoll_planner_api& child_table() {
  static const plimsoll_planner_api table = [] {
    plimsoll_planner_api api{};
    api.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query);
    api.weights = [](const plimsoll_planner*, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error*) noexcept {
      Sink(out, Aspects(aspects)).weight(Weight(Aspect::kEmbed, "embedding", "embed.weight", {8, 4}));
      return plimsoll_status{PLIMSOLL_OK};
    };
    api.kv = [](const plimsoll_planner*, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error*) noexcept {
      Sink(out, Aspects(aspects)).kv(KvGroup(KvKind::kFull, "attention", kTwo).heads(1, 1, 4, 4));
      return plimsoll_status{PLIMSOLL_OK};
    };
    api.facts = [](const plimsoll_planner*, plimsoll_facts* out, plimsoll_error*) noexcept {
      out->hidden_elements = 64;
      return plimsoll_status{PLIMSOLL_OK};
    };
    api.entries = [](const plimsoll_planner*, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error*) noexcept {
      Sink(out, Aspects(aspects)).entry(Entry(Modality::kAudio, 10, 64));
      return plimsoll_status{PLIMSOLL_OK};
    };
    api.activations = [](const plimsoll_planner*, const plimsoll_request* request, const plimsoll_sink* out, plimsoll_error* err) noexcept {
      if (request->aspects == PLIMSOLL_ASPECT_STATE) {
        err->where[0] = '/';
        err->message[0] = '?';
        return plimsoll_status{PLIMSOLL_E_CONFIG};
      }
      Sink(out, Aspects(request->aspects)).item(Item(Aspect::kFfn, "buffers", 1, Basis::kExact));
      return plimsoll_status{PLIMSOLL_OK};
    };
    api.max_batch = [](const plimsoll_planner*, const plimsoll_request*, std::uint64_t* out, plimsoll_error*) noexcept {
      *out = 7;
      return plimsoll_status{PLIMSOLL_OK};
    };
    return api;
  }();
  return table;
}

const plimsoll_host& host() {
  static const plimsoll_host built = [] {
    plimsoll_host h{};
    h.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_host, planner_for);
    h.subview = [](const plimsoll_view* view, plimsoll_str pointer, const plimsoll_rename* const* renames, std::uint64_t n,
                   const plimsoll_view** out) noexcept {
      asked.pointer = to_view(pointer);
      for (std::uint64_t i = 0; i < n; ++i) asked.renames.emplace_back(to_view(renames[i]->from), to_view(renames[i]->to));
      *out = view;
      return plimsoll_status{asked.pointer == "/missing" ? PLIMSOLL_E_NOT_FOUND : PLIMSOLL_OK};
    };
    h.planner_for = [](const plimsoll_view* view, plimsoll_str family, plimsoll_str as, const plimsoll_planner_api** api,
                       const plimsoll_planner** child, plimsoll_error*) noexcept {
      asked.family = to_view(family);
      asked.as = to_view(as);
      *api = &child_table();
      *child = reinterpret_cast<const plimsoll_planner*>(view);
      return plimsoll_status{PLIMSOLL_OK};
    };
    return h;
  }();
  return built;
}
Config config() {
  static const int somewhere = 0;
  asked = {};
  return {&host(), reinterpret_cast<const plimsoll_view*>(&somewhere)};
}

TEST(Child, IsAskedForByPartFamilyAndDialect) {
  EXPECT_TRUE(Child(config(), "/text_config", as("qwen3").renamed("model.", "model.text.").renamed("", "text.")));
  EXPECT_EQ(asked.pointer, "/text_config");
  EXPECT_EQ(asked.family, "");
  EXPECT_EQ(asked.as, "qwen3");
  EXPECT_THAT(asked.renames, ElementsAre(std::pair("model.", "model.text."), std::pair("", "text.")));

  EXPECT_TRUE(Child(config(), "", of_family("dense").renamed("", ""))); // the whole, under its own names: no part is made
  EXPECT_EQ(asked.family, "dense");
  EXPECT_EQ(asked.as, "");
  EXPECT_THAT(asked.renames, IsEmpty());
  EXPECT_THROW(Child(config(), "/missing"), Error);
}

TEST(Child, WasItNeverAskedForSaysSo) {
  const SeenLabels seen;
  const Child nobody;
  EXPECT_FALSE(nobody);
  EXPECT_THROW(nobody.weights(seen.sink()), Error);
}

TEST(Child, IsAskedForNoAspectsThatItsParentWasNotAskedFor) {
  const SeenLabels seen;
  const Child child(config(), "");
  child.weights(seen.sink(Aspect::kFfn), Aspect::kAttention);
  child.kv(seen.sink(Aspect::kAttention | Aspect::kFfn), Aspect::kFfn);
  EXPECT_THAT(seen.weights, IsEmpty());
  EXPECT_THAT(seen.caches, IsEmpty());
  child.kv(seen.sink(), Aspect::kAttention);
  EXPECT_THAT(seen.caches, ElementsAre("attention"));
}

// ---- the table behind a planner ------------------------------------------------------------------------------

class Tower : public DelegatingPlanner {
public:
  explicit Tower(const Config& config) : DelegatingPlanner(config, "/text_config", renamed("model.", "model.text.")) {}
  void weights(const Sink& out) const override {
    out.weight(Weight(Aspect::kVision, "tower", "tower.weight", {4, 4}));
    DelegatingPlanner::weights(out);
  }
};

// A planner of its own behind the table that hosts see.
template <class T>
struct Made {
  Made() {
    err.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
    const Config whole = config();
    EXPECT_EQ(api.create(whole.host(), whole.view(), &self, &err), PLIMSOLL_OK);
  }
  ~Made() { api.destroy(self); }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;

  const plimsoll_planner_api& api = detail::Table<T>::kApi;
  plimsoll_planner* self = nullptr;
  plimsoll_error err{};
};

TEST(DelegatingPlanner, AnswersAsItsLanguageModelAndAddsItsOwn) {
  const SeenLabels seen;
  Made<Tower> tower;
  plimsoll_request request{};
  request.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
  request.aspects = PLIMSOLL_ASPECT_ALL;
  EXPECT_EQ(tower.api.weights(tower.self, PLIMSOLL_ASPECT_ALL, &seen.raw, &tower.err), PLIMSOLL_OK);
  EXPECT_EQ(tower.api.kv(tower.self, PLIMSOLL_ASPECT_ALL, &seen.raw, &tower.err), PLIMSOLL_OK);
  EXPECT_EQ(tower.api.entries(tower.self, PLIMSOLL_ASPECT_ALL, &seen.raw, &tower.err), PLIMSOLL_OK);
  EXPECT_EQ(tower.api.activations(tower.self, &request, &seen.raw, &tower.err), PLIMSOLL_OK);
  EXPECT_THAT(seen.weights, ElementsAre("tower", "embedding"));
  EXPECT_THAT(seen.caches, ElementsAre("attention"));
  EXPECT_THAT(seen.entries, ElementsAre("audio"));
  EXPECT_THAT(seen.items, ElementsAre("buffers"));
  std::uint64_t batch = 0;
  EXPECT_EQ(tower.api.max_batch(tower.self, &request, &batch, &tower.err), PLIMSOLL_OK);
  EXPECT_EQ(batch, 7U);
  plimsoll_facts facts{};
  facts.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
  EXPECT_EQ(tower.api.facts(tower.self, &facts, &tower.err), PLIMSOLL_OK);
  EXPECT_EQ(facts.hidden_elements, 64U);
  EXPECT_EQ(facts.struct_size, PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers));
}

TEST(DelegatingPlanner, HandsTheChildsErrorOn) {
  const SeenLabels seen;
  Made<Tower> tower;
  plimsoll_request request{};
  request.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
  request.aspects = PLIMSOLL_ASPECT_STATE;
  EXPECT_EQ(tower.api.activations(tower.self, &request, &seen.raw, &tower.err), PLIMSOLL_E_CONFIG);
  EXPECT_STREQ(tower.err.where, "/");
  EXPECT_STREQ(tower.err.message, "?");
}

class Silent : public MemoryPlanner {
public:
  using MemoryPlanner::MemoryPlanner;
};
class Reserving : public PagedMemoryPlanner<1024> {
public:
  using PagedMemoryPlanner::PagedMemoryPlanner;
};

TEST(Table, LeavesOutWhatNobodyOverrides) {
  const plimsoll_planner_api& silent = detail::Table<Silent>::kApi;
  EXPECT_EQ(silent.weights, nullptr);
  EXPECT_EQ(silent.kv, nullptr);
  EXPECT_EQ(silent.facts, nullptr);
  EXPECT_EQ(silent.entries, nullptr);
  EXPECT_EQ(silent.activations, nullptr);
  EXPECT_EQ(silent.signal_buffers, nullptr);
  EXPECT_EQ(silent.max_batch, nullptr);
  EXPECT_EQ(silent.query, nullptr);
  EXPECT_NE(detail::Table<Reserving>::kApi.activations, nullptr); // of the class between
  const plimsoll_planner_api& tower = detail::Table<Tower>::kApi;
  EXPECT_NE(tower.kv, nullptr);
  EXPECT_NE(tower.entries, nullptr);
  EXPECT_EQ(tower.signal_buffers, nullptr);
}

// A planner that throws what it is told to, and answers for one interface.
class Thrower : public MemoryPlanner {
public:
  using MemoryPlanner::MemoryPlanner;
  void weights(const Sink& out) const override {
    if (out.asks(Aspect::kEmbed)) throw Error(PLIMSOLL_E_CONFIG, "/hidden_size", std::string(1000, 'x'));
    if (out.asks(Aspect::kFfn)) throw std::bad_alloc();
    throw 42;
  }
  Interface query(std::string_view id) const override {
    if (id == "acme.throw/1") throw 42;
    return id == "acme.cache/1" ? Interface{"table", this} : Interface{};
  }
};

TEST(Table, LetsNoExceptionPass) {
  const SeenLabels seen;
  Made<Thrower> made;
  EXPECT_EQ(made.api.weights(made.self, PLIMSOLL_ASPECT_EMBED, &seen.raw, &made.err), PLIMSOLL_E_CONFIG);
  EXPECT_STREQ(made.err.where, "/hidden_size");
  EXPECT_EQ(std::string(made.err.message).size(), sizeof made.err.message - 1);
  EXPECT_EQ(made.api.weights(made.self, PLIMSOLL_ASPECT_EMBED, &seen.raw, nullptr), PLIMSOLL_E_CONFIG);
  EXPECT_EQ(made.api.weights(made.self, PLIMSOLL_ASPECT_FFN, &seen.raw, &made.err), PLIMSOLL_E_MEMORY);
  EXPECT_EQ(made.api.weights(made.self, PLIMSOLL_ASPECT_HEAD, &seen.raw, &made.err), PLIMSOLL_E_INTERNAL);
  EXPECT_THAT(made.err.message, HasSubstr("unknown exception"));
}

TEST(Table, AnswersForTheInterfacesThatAPlannerHas) {
  Made<Thrower> made;
  const void* object = nullptr;
  EXPECT_EQ(made.api.query(made.self, to_str("acme.cache/2"), &object), nullptr);
  EXPECT_EQ(made.api.query(made.self, to_str("acme.throw/1"), &object), nullptr);
  EXPECT_STREQ(static_cast<const char*>(made.api.query(made.self, to_str("acme.cache/1"), &object)), "table");
  EXPECT_NE(object, nullptr);
}

} // namespace
