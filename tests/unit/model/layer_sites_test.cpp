// Which layer a tensor belongs to that no class knows, and whether a pipeline stage may hold it alone.
#include <gtest/gtest.h>

#include "model/layer_sites.hpp"

namespace plimsoll::testing {
namespace {

// A language model of 4 layers with a draft behind them, and a tower of 8 layers on the first stage.
Declared layers_with_tower() {
  Declared out;
  const auto add = [&](const char* pattern, std::vector<std::uint32_t> layers, std::uint32_t aspect, std::uint32_t stage) {
    WeightClass c;
    c.pattern = pattern;
    c.layers = std::move(layers);
    c.aspect = aspect;
    c.stage = stage;
    out.weights.push_back(std::move(c));
  };
  add("model.embed_tokens.weight", {}, PLIMSOLL_ASPECT_EMBED, PLIMSOLL_STAGE_FIRST);
  add("model.visual.blocks.{layer}.attn.qkv.weight", {0, 1, 2, 3, 4, 5, 6, 7}, PLIMSOLL_ASPECT_VISION, PLIMSOLL_STAGE_FIRST);
  add("model.language_model.layers.{layer}.self_attn.q_proj.weight", {0, 1, 2, 3}, PLIMSOLL_ASPECT_ATTENTION, PLIMSOLL_STAGE_OF_LAYER);
  add("model.language_model.layers.{layer}.eh_proj.weight", {4}, PLIMSOLL_ASPECT_HEAD, PLIMSOLL_STAGE_LAST);
  out.facts.n_layers = 4;
  return out;
}

TEST(LayerSites, ReadTheLayerBehindAKnownPrefixOnly) {
  const LayerSites sites(layers_with_tower());
  struct Row {
    const char* name;
    std::int32_t site;
    std::uint32_t layer;
    bool on_stage;
  };
  for (const Row& row :
       {Row{"model.language_model.layers.3.odd.weight", 1, 3, true}, Row{"layers.2.odd", 1, 2, true}, Row{"model.layers.0", 1, 0, true},
        Row{"blk.1.odd.weight", 1, 1, true}, Row{"model.layers.4.odd.weight", 1, 4, false}, // the draft's: engines may keep it anywhere
        Row{"visual.blocks.3.odd.weight", 0, 3, false}, Row{"v.blk.3.odd.weight", LayerPlace::kNoSite, 0, false},
        Row{"midlayer.3.odd.weight", LayerPlace::kNoSite, 0, false}, Row{"layers.3x.odd.weight", LayerPlace::kNoSite, 0, false},
        Row{"layers.odd.3.weight", LayerPlace::kNoSite, 0, false}, Row{"layers.99999999999.odd", LayerPlace::kNoSite, 0, false},
        Row{"layers.", LayerPlace::kNoSite, 0, false}, Row{"", LayerPlace::kNoSite, 0, false}}) {
    TensorEntry entry;
    entry.name = entry.stored_name = row.name;
    const LayerPlace place = sites.place_of(entry);
    EXPECT_EQ(place.site, row.site) << row.name;
    EXPECT_EQ(place.layer, row.layer) << row.name;
    EXPECT_EQ(place.on_stage, row.on_stage) << row.name;
  }
}

TEST(LayerSites, AreSharedByClassesOfOnePrefix) {
  const Declared d = layers_with_tower();
  const LayerSites sites(d);
  EXPECT_EQ(sites.site_of(d.weights[0]), LayerPlace::kNoSite);
  EXPECT_EQ(sites.site_of(d.weights[1]), 0);
  EXPECT_EQ(sites.site_of(d.weights[2]), 1);
  EXPECT_EQ(sites.site_of(d.weights[3]), 1);
}

} // namespace
} // namespace plimsoll::testing
