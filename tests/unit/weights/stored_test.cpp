// Checkpoints that match their configuration, and every way in which real ones do not: names, layouts, tensors too many and
// too few, other shapes and types.
#include <gmock/gmock.h>

#include "unit/weights/checkpoints.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Stored, EqualsDeclaredWhereTheCheckpointIsWhatItsConfigurationSays) {
  const WeightsReport report = report_of(llama_config(), llama());
  expect_clean(report, llama());
  EXPECT_EQ(report.source, WeightsSource::kSafetensors);
  EXPECT_EQ(report.parameters * 2, report.declared_bytes);
  EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(llama())));
  EXPECT_THAT(report.notes, IsEmpty());
}

TEST(Stored, ConfigurationAloneDeclaresTheSame) {
  const WeightsReport report = report_of(llama_config(), {});
  EXPECT_EQ(report.source, WeightsSource::kConfig);
  EXPECT_FALSE(report.stored_bytes);
  EXPECT_EQ(report.declared_bytes, bytes_of(llama()));
  EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(llama())));
}

TEST(Stored, WrappersInFrontOfNamesAreNoDifference) {
  for (const char* wrapper : {"", "language_model.", "model.language_model.", "model.model."}) {
    Tensors tensors = llama();
    for (SparseTensor& tensor : tensors) {
      if (tensor.name.starts_with("model.")) tensor.name.erase(0, 6);
      tensor.name.insert(0, wrapper);
    }
    SCOPED_TRACE(wrapper);
    expect_clean(report_of(llama_config(), tensors), tensors);
  }
}

TEST(Stored, ExpertsMayBeApartStackedOrFused) {
  for (const Experts experts : {Experts::kApart, Experts::kStacked, Experts::kFused}) {
    SCOPED_TRACE(static_cast<int>(experts));
    const WeightsReport report = report_of(moe_config(), moe(experts));
    expect_clean(report, moe(experts));
    EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(moe())));
  }
}

TEST(Stored, ProjectionsMayBeFusedWhereTheyAreDeclaredApart) {
  Tensors tensors = llama();
  for (const char* part : {"k_proj", "v_proj", "up_proj"}) drop(tensors, part);
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    find(tensors, std::string(layer) + "self_attn.q_proj.weight") = {std::string(layer) + "self_attn.qkv_proj.weight", "BF16", {512, 256}};
    find(tensors, std::string(layer) + "mlp.gate_proj.weight") = {std::string(layer) + "mlp.gate_up_proj.weight", "BF16", {1024, 256}};
  }
  expect_clean(report_of(llama_config(), tensors), tensors);
  find(tensors, "model.layers.1.self_attn.qkv_proj.weight").shape = {768, 256};
  EXPECT_THAT(names_of(report_of(llama_config(), tensors).mismatched), ElementsAre("model.layers.1.self_attn.qkv_proj.weight"));
}

TEST(Stored, ProjectionsMayBeApartWhereTheyAreDeclaredFused) {
  Json config = llama_config();
  config["model_type"] = "phi3";
  config["architectures"] = {"Phi3ForCausalLM"};
  expect_clean(report_of(config, llama()), llama());
  Tensors tensors = llama();
  drop(tensors, "layers.1.mlp.up_proj");
  const WeightsReport report = report_of(config, tensors);
  ASSERT_THAT(report.mismatched, SizeIs(1));
  EXPECT_EQ(report.mismatched[0].name, "model.layers.1.mlp.gate_up_proj.weight");
  EXPECT_EQ(report.mismatched[0].declared, "262144 elements");
  EXPECT_EQ(report.mismatched[0].stored, "131072 elements in parts");
}

TEST(Stored, MissingTensorsAreNamedAndCountAsDeclared) {
  Tensors tensors = llama();
  drop(tensors, "layers.1.mlp.up_proj");
  const WeightsReport report = report_of(llama_config(), tensors);
  EXPECT_THAT(report.missing, ElementsAre("model.layers.1.mlp.up_proj.weight"));
  EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(llama())));
  tensors = moe();
  drop(tensors, "layers.0.mlp.experts.2.");
  EXPECT_THAT(report_of(moe_config(), tensors).missing, SizeIs(3));
}

TEST(Stored, UnclaimedTensorsCountOnEveryRankAndWarn) {
  Tensors tensors = llama();
  tensors.push_back({"model.layers.7.adapter.weight", "BF16", {64, 64}});
  const Directory directory(llama_config(), tensors);
  PlanRequest request;
  request.tp = 2;
  const WeightsReport report = report_of(directory.path(), request), clean = report_of(llama_config(), llama(), request);
  ASSERT_THAT(report.unclaimed, SizeIs(1));
  EXPECT_EQ(report.unclaimed[0].name, "model.layers.7.adapter.weight");
  EXPECT_EQ(report.unclaimed[0].bytes, 8192U);
  for (std::size_t rank = 0; rank < 2; ++rank) EXPECT_EQ(report.rank_bytes[rank], clean.rank_bytes[rank] + 8192);
  request.devices = "2x24GiB";
  const auto plan = test::built_context().plan(loaded(directory.path()), request);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->devices[1].weights_bytes, report.rank_bytes[1]);
  EXPECT_TRUE(
      std::any_of(plan->warnings.begin(), plan->warnings.end(), [](const auto& w) { return w.code == WarningCode::kUnclaimedTensors; }));
}

// Shards enough for several threads: whichever meets a tensor, the first thousand are named in the order of the files.
TEST(Stored, ManyUnclaimedTensorsAreNamedInOrder) {
  const Directory model(llama_config(), {});
  std::vector<Tensors> shards(40);
  shards[7] = llama();
  std::vector<std::string> strangers;
  for (std::size_t shard = 0; shard < shards.size(); ++shard)
    for (int i = 0; i < 30; ++i) {
      strangers.push_back("stranger." + std::to_string(shard) + "." + std::to_string(i));
      shards[shard].push_back({strangers.back(), "U8", {shard + 1}});
    }
  test::write_sharded(model.path(), shards);
  for (int repeat = 0; repeat < 5; ++repeat) {
    const WeightsReport report = report_of(model.path());
    EXPECT_EQ(names_of(report.unclaimed), std::vector<std::string>(strangers.begin(), strangers.begin() + 1000));
    EXPECT_THAT(report.notes, ElementsAre(HasSubstr("200 further unclaimed tensors")));
    EXPECT_THAT(report.missing, IsEmpty());
  }
}

TEST(Stored, OtherShapesAndTypesAreNamedWithBoth) {
  Tensors tensors = llama();
  find(tensors, "model.layers.0.self_attn.k_proj.weight").shape = {256, 256};
  find(tensors, "model.norm.weight").dtype = "F32";
  const WeightsReport report = report_of(llama_config(), tensors);
  EXPECT_THAT(names_of(report.mismatched), ::testing::UnorderedElementsAre("model.layers.0.self_attn.k_proj.weight", "model.norm.weight"));
  for (const Mismatch& m : report.mismatched)
    if (m.name == "model.norm.weight") {
      EXPECT_EQ(m.declared, "BF16 [256]");
      EXPECT_EQ(m.stored, "F32 [256]");
    }
  EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(tensors))); // what is stored is what is loaded
}

TEST(Stored, AHeadThatIsTiedAndStoredIsNotLoaded) {
  Json config = llama_config();
  config["tie_word_embeddings"] = true;
  const WeightsReport report = report_of(config, llama());
  ASSERT_THAT(report.not_loaded, SizeIs(1));
  EXPECT_EQ(report.not_loaded[0].bytes, 100U * 256 * 2);
  EXPECT_THAT(report.not_loaded[0].reason, HasSubstr("tied"));
  EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(llama()) - 100 * 256 * 2));
  PlanRequest two_stages;
  two_stages.pp = 2;
  EXPECT_EQ(report_of(config, llama(), two_stages).rank_bytes, report_of(config, {}, two_stages).rank_bytes);
}

TEST(Stored, ScalesOfTheCacheAndOldBuffersAreNoStrangers) {
  Tensors tensors = llama();
  tensors.push_back({"model.layers.0.self_attn.k_scale", "F32", {1}});
  tensors.push_back({"model.layers.0.self_attn.v_scale", "F32", {1}});
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", "F32", {32}});
  const WeightsReport report = report_of(llama_config(), tensors);
  EXPECT_THAT(report.unclaimed, IsEmpty());
  ASSERT_THAT(report.not_loaded, SizeIs(1));
  EXPECT_EQ(report.not_loaded[0].label, "buffers");
  EXPECT_EQ(report.not_loaded[0].bytes, 128U);
  EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(llama()) + 8));
}

// A latent-attention model with a layer for multi-token prediction: layer 0 dense, layer 1 of experts, layer 2 the draft.
Json latent_config() {
  Json config = moe_config();
  for (const char* key : {"head_dim", "mlp_only_layers", "decoder_sparse_step", "num_experts"}) config.erase(key);
  config.update({{"architectures", {"DeepseekV3ForCausalLM"}},
                 {"model_type", "deepseek_v3"},
                 {"num_key_value_heads", 4},
                 {"q_lora_rank", 24},
                 {"kv_lora_rank", 32},
                 {"qk_nope_head_dim", 16},
                 {"qk_rope_head_dim", 8},
                 {"v_head_dim", 16},
                 {"n_routed_experts", 4},
                 {"n_shared_experts", 1},
                 {"n_group", 1},
                 {"topk_group", 1},
                 {"first_k_dense_replace", 1},
                 {"moe_layer_freq", 1},
                 {"num_nextn_predict_layers", 1}});
  return config;
}

Tensors latent(bool draft) {
  Tensors out{{"model.embed_tokens.weight", "BF16", {128, 64}}, {"model.norm.weight", "BF16", {64}}, {"lm_head.weight", "BF16", {128, 64}}};
  for (int layer = 0; layer < (draft ? 3 : 2); ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".", attention = at + "self_attn.", mlp = at + "mlp.";
    append(out, plain(attention + "q_a_proj", 24, 64));
    append(out, plain(attention + "q_b_proj", 4 * 24, 24));
    append(out, plain(attention + "kv_a_proj_with_mqa", 40, 64));
    append(out, plain(attention + "kv_b_proj", 4 * 32, 32));
    append(out, plain(attention + "o_proj", 64, 64));
    append(out, {{attention + "q_a_layernorm.weight", "BF16", {24}},
                 {attention + "kv_a_layernorm.weight", "BF16", {32}},
                 {at + "input_layernorm.weight", "BF16", {64}},
                 {at + "post_attention_layernorm.weight", "BF16", {64}}});
    std::vector<std::pair<std::string, std::uint64_t>> ffns{{mlp, 128}};
    if (layer > 0) {
      ffns = {{mlp + "shared_experts.", 32}};
      for (int e = 0; e < 4; ++e) ffns.push_back({mlp + "experts." + std::to_string(e) + ".", 32});
      append(out, {{mlp + "gate.weight", "BF16", {4, 64}}, {mlp + "gate.e_score_correction_bias", "F32", {4}}});
    }
    for (const auto& [name, width] : ffns) {
      append(out, plain(name + "gate_proj", width, 64));
      append(out, plain(name + "up_proj", width, 64));
      append(out, plain(name + "down_proj", 64, width));
    }
    if (layer == 2)
      append(out, {{at + "embed_tokens.weight", "BF16", {128, 64}},
                   {at + "enorm.weight", "BF16", {64}},
                   {at + "hnorm.weight", "BF16", {64}},
                   {at + "eh_proj.weight", "BF16", {64, 128}},
                   {at + "shared_head.norm.weight", "BF16", {64}},
                   {at + "shared_head.head.weight", "BF16", {128, 64}}});
  }
  return out;
}

TEST(Stored, DraftLayersAreLoadedOnlyForSpeculation) {
  const std::uint64_t all = bytes_of(latent(true)), main = bytes_of(latent(false));
  const WeightsReport report = report_of(latent_config(), latent(true));
  expect_clean(report, latent(true));
  EXPECT_THAT(report.rank_bytes, ElementsAre(main));
  std::uint64_t left_out = 0;
  for (const NotLoaded& part : report.not_loaded) left_out += part.bytes;
  EXPECT_EQ(left_out, all - main);
  PlanRequest speculative;
  speculative.num_draft_tokens = 1;
  EXPECT_THAT(report_of(latent_config(), latent(true), speculative).rank_bytes, ElementsAre(all));
}

TEST(Stored, DraftLayersThatNobodyStoredAreANote) {
  const WeightsReport report = report_of(latent_config(), latent(false));
  EXPECT_THAT(report.missing, IsEmpty());
  EXPECT_THAT(report.not_loaded, IsEmpty());
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("multi-token prediction")));
  EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(latent(false))));
}

TEST(Stored, ACastChangesWhatIsNotQuantised) {
  PlanRequest cast;
  cast.dtype = "float32";
  EXPECT_THAT(report_of(llama_config(), llama(), cast).rank_bytes, ElementsAre(2 * bytes_of(llama())));
  EXPECT_THAT(report_of(llama_config(), {}, cast).rank_bytes, ElementsAre(2 * bytes_of(llama())));
}

TEST(Stored, AnIndexTotalThatDriftedIsANote) {
  const Directory directory(llama_config(), llama());
  const std::string path = directory / "model.safetensors.index.json";
  std::map<std::string, std::string> map;
  const Tensors tensors = llama();
  for (std::size_t i = 0; i < tensors.size(); ++i)
    map[tensors[i].name] = i < tensors.size() / 2 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
  test::write_text(path, test::index_text(map, bytes_of(tensors) + 1000));
  const WeightsReport report = report_of(directory.path());
  expect_clean(report, tensors);
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("total_size")));
}

// Over a grid of degrees: a checkpoint that matches changes no rank, and all ranks together hold the whole, once more for
// every copy of what is replicated.
TEST(Stored, RanksHoldTheWholeAndTheirCopies) {
  const Directory with(moe_config(), moe()), without(moe_config(), {});
  const Model stored = loaded(with.path()), declared = loaded(without.path());
  const std::uint64_t whole = bytes_of(moe());
  const std::uint64_t norms = 2 * (64 + 64 + 16 + 16) * 2, last_norm = 64 * 2, routers = 2 * 4 * 64 * 2;
  for (const std::uint32_t tp : {1U, 2U})
    for (const std::uint32_t pp : {1U, 2U})
      for (const std::uint32_t dp : {1U, 2U})
        for (const std::uint32_t ep : {1U, tp * dp}) {
          PlanRequest request;
          request.tp = tp;
          request.pp = pp;
          request.dp = dp;
          request.ep = ep;
          const auto a = test::built_context().weights(stored, request), b = test::built_context().weights(declared, request);
          ASSERT_TRUE(a && b) << tp << pp << dp << ep;
          EXPECT_EQ(a->rank_bytes, b->rank_bytes) << tp << pp << dp << ep;
          ASSERT_EQ(a->rank_bytes.size(), tp * pp * dp);
          std::uint64_t sum = 0;
          for (const std::uint64_t bytes : a->rank_bytes) sum += bytes;
          const std::uint64_t experts = 2 * 4 * 3 * 32 * 64 * 2, rest = whole - experts;
          const std::uint64_t expert_copies = ep > 1 ? 1 : dp;
          EXPECT_EQ(sum, experts * expert_copies + dp * (rest + (tp - 1) * (norms + last_norm + routers))) << tp << pp << dp << ep;
        }
}

TEST(Stored, HostileDirectoriesAreErrorsThatNameTheFile) {
  const Directory no_header(llama_config(), {});
  test::write_text(no_header / "model.safetensors", "12345");
  const auto short_file = test::built_context().load(no_header.path());
  ASSERT_FALSE(short_file);
  EXPECT_THAT(short_file.error().where, HasSubstr("model.safetensors"));
  EXPECT_FALSE(test::built_context().load(no_header.path() + "/nothing"));
  test::TemporaryDirectory empty;
  EXPECT_FALSE(test::built_context().load(empty.path()));
}

} // namespace
} // namespace plimsoll::testing
