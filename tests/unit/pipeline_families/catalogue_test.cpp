// The forward pass of every model of the catalogue: described whole and within the rules, or not at all and said so.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "recorder.hpp"

namespace plimsoll::testing {
namespace {

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string out;
  for (const char c : info.param) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return out;
}

class Catalogue : public ::testing::TestWithParam<std::string> {};

TEST_P(Catalogue, IsDescribedWholeOrNotAtAll) {
  const Pass pass = record(catalogue_config(GetParam()));
  EXPECT_THAT(pass.faults, ::testing::IsEmpty());
  if (pass.status != PLIMSOLL_OK) {
    EXPECT_EQ(pass.status, PLIMSOLL_E_UNSUPPORTED) << pass.where << " " << pass.message;
    EXPECT_THAT(pass.message, ::testing::HasSubstr("describes no pipeline"));
    return;
  }
  // Nothing of the text model is forgotten but what an encoder's class has for other ends, and keys and values of layers that look into the
  // caches of others.
  std::set<std::uint32_t> borrowers;
  for (const OpSeen& op : pass.ops)
    if (op.kind == PLIMSOLL_OP_ATTEND && cache_layer(op) != op.layer) borrowers.insert(op.layer);
  const auto is_borrowers = [&](const WeightSeen& w) {
    const bool is_cached = w.label.rfind("attention.k_", 0) == 0 || w.label.rfind("attention.v_", 0) == 0;
    return is_cached && std::includes(borrowers.begin(), borrowers.end(), w.layers.begin(), w.layers.end());
  };
  for (const WeightSeen& w : pass.weights)
    EXPECT_TRUE(w.used || is_borrowers(w) || w.role != PLIMSOLL_ROLE_MODEL || w.aspect == PLIMSOLL_ASPECT_VISION ||
                w.label.find("pooler.dense") != std::string::npos)
        << w.label;
  // Every layer that caches attends once; one that keeps states goes over them once, and where they are of convolutions alone there is one.
  std::map<std::uint32_t, int> attends, caches, convolutions;
  std::set<std::uint32_t> recurrent;
  for (const OpSeen& op : pass.ops) {
    if (op.kind == PLIMSOLL_OP_ATTEND_LATENT || (op.kind == PLIMSOLL_OP_ATTEND && cache_layer(op) == op.layer)) ++attends[op.layer];
    if (op.kind == PLIMSOLL_OP_CONV) ++convolutions[op.layer];
    if (op.kind != PLIMSOLL_OP_SSM_SCAN && op.kind != PLIMSOLL_OP_DELTA_RULE) continue;
    ++attends[op.layer];
    recurrent.insert(op.layer);
  }
  for (const auto& [layer, n] : convolutions)
    if (!recurrent.contains(layer)) attends[layer] += n;
  for (const GroupSeen& g : pass.groups)
    if (g.role == PLIMSOLL_ROLE_MODEL)
      for (const std::uint32_t layer : g.layers) ++caches[layer];
  EXPECT_EQ(attends, caches);
}

INSTANTIATE_TEST_SUITE_P(Models, Catalogue, ::testing::ValuesIn(catalogue_models()), test_name);

} // namespace
} // namespace plimsoll::testing
