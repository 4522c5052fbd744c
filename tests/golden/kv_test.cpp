// KV bytes per token (bfloat16, all layers) of every real model in tests/data that states them, one sum for each kind of
// cache. The stated numbers are layers x key/value heads x (key + value elements) x 2 bytes, worked by hand or published.
#include "golden/model_files.hpp"

namespace plimsoll::testing {
namespace {

class RealCache : public ::testing::TestWithParam<std::string> {};

TEST_P(RealCache, GrowsAsStated) {
  const Json file = read_model_file(GetParam());
  const auto model = declare_model(file);
  ASSERT_TRUE(model) << model.error().where << ": " << model.error().message;
  std::map<std::string, std::uint64_t> bytes;
  for (const KvGroup& group : model->declared.kv) {
    if (group.role != PLIMSOLL_ROLE_MODEL || group.kind == CacheKind::kState || group.kind == CacheKind::kCross) continue;
    const std::string kind(cache_kind_name(group.kind));
    bytes[kind] += group.layers.size() * group.kv_heads * (group.k_elements + group.v_elements) * 2;
    if (kind == "window") bytes["window_tokens"] = group.window_tokens;
  }
  std::map<std::string, std::uint64_t> stated;
  for (const auto& [kind, value] : file["kv_bytes_per_token"].items()) stated[kind] = value.get<std::uint64_t>();
  EXPECT_EQ(bytes, stated);
}

INSTANTIATE_TEST_SUITE_P(Golden, RealCache, ::testing::ValuesIn(models_that_state({"kv_bytes_per_token"})), test_name);

} // namespace
} // namespace plimsoll::testing
