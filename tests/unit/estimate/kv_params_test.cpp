// The documented KV arithmetic against its worked examples, and the layouts it refuses.
#include "estimate/kv_params.hpp"

#include <gtest/gtest.h>

#include "unit/estimate/estimator_cases.hpp"

namespace plimsoll {
namespace {

using cases::Json;

std::int64_t number(Wide value) { return narrow(value).value_or(-1); }

TEST(KvParams, PriceAPageAsDocumented) {
  for (const Json& c : cases::load("kv_params")) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const auto params = make_kv_params(cases::request(c["request"]));
    ASSERT_TRUE(params.has_value()) << params.error().message;
    const Json& expect = c["expect"];
    EXPECT_EQ(number(params->bytes_per_block), expect["bytes_per_block"].get<std::int64_t>());
    EXPECT_EQ(params->tensor_parallel, expect["tensor_parallel"].get<std::int64_t>());
    EXPECT_EQ(params->replicates_kv, expect["replicates_kv"].get<bool>());
    EXPECT_EQ(params->slack_tokens, expect["slack_tokens"].get<std::int64_t>());
    EXPECT_EQ(number(params->row_bytes_per_request), expect["row_bytes_per_request"].get<std::int64_t>());
    ASSERT_EQ(params->leaves.size(), expect["leaf_page_bytes"].size());
    for (std::size_t i = 0; i < params->leaves.size(); ++i) {
      EXPECT_EQ(number(params->leaves[i].page_bytes), expect["leaf_page_bytes"][i].get<std::int64_t>());
      EXPECT_EQ(number(params->leaves[i].row_bytes), expect["leaf_row_bytes"][i].get<std::int64_t>());
    }
  }
}

TEST(KvParams, CountBlocksAsDocumented) {
  for (const Json& c : cases::load("kv_blocks")) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const KvParams params = make_kv_params(cases::request(c["request"])).value();
    const auto batch = c["batch"].get<std::int64_t>();
    const auto blocks = num_device_blocks(params, c["budget_bytes"].get<std::int64_t>(), batch, c["length_tokens"].get<std::int64_t>(),
                                          c["null_block"].get<bool>());
    ASSERT_TRUE(blocks.has_value()) << blocks.error().message;
    const Json& expect = c["expect"];
    if (expect.contains("blocks")) {
      EXPECT_EQ(number(blocks->blocks), expect["blocks"].get<std::int64_t>());
    } else {
      EXPECT_EQ(number(estimated_memory_size(params, blocks->blocks, batch)), expect["bytes"].get<std::int64_t>());
    }
  }
}

TEST(KvParams, CapacityAsDocumented) {
  for (const Json& c : cases::load("capacity")) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const KvParams params = make_kv_params(cases::request(c["request"])).value();
    const Wide budget = c["budget_bytes"].get<std::int64_t>();
    const auto tokens = capacity_tokens(params, budget);
    ASSERT_TRUE(tokens.has_value()) << tokens.error().message;
    EXPECT_EQ(number(tokens->value()), c["expect"]["tokens"].get<std::int64_t>());
  }
}

TEST(KvParams, RefuseWhatCannotBeLaidOut) {
  const auto refused = [](const char* cache, const char* more, int devices) {
    Json json;
    for (int i = 0; i < devices; ++i) json["devices"].push_back({{"free_bytes", 1000}});
    json["kv_cache"]["caches"].push_back(Json::parse(cache));
    json.update(Json::parse(more));
    json["max_length"] = 1;
    const auto params = make_kv_params(cases::request(json));
    return params ? std::string("laid out") : params.error().where;
  };
  const char* mha = R"({"layers": 2, "kv_heads": 6, "head_dim": 64})";
  EXPECT_EQ(refused(mha, "{}", 2), "laid out");
  EXPECT_EQ(refused(mha, "{}", 4), "/kv_cache/caches/0/kv_heads");
  EXPECT_EQ(refused(mha, R"({"parallelism": {"dp": 3}})", 4), "/parallelism/dp");
  EXPECT_EQ(refused(mha, R"({"parallelism": {"dp": 8}})", 4), "/parallelism/dp");
  EXPECT_EQ(refused(R"({"layers": 2, "kv_heads": 2, "head_dim": 64, "allow_kv_head_replication": true})", "{}", 4), "laid out");
  EXPECT_EQ(refused(R"({"kind": "mla", "layers": 2, "query_heads": 6, "head_dim": 64})", "{}", 4), "/kv_cache/caches/0/query_heads");
  EXPECT_EQ(refused(R"({"layers": 2, "kv_heads": 4, "head_dim": 64, "window_tokens": 1})", "{}", 4), "/kv_cache/caches/0/window_tokens");
  EXPECT_EQ(refused(R"({"layers": 2, "kv_heads": 4, "head_dim": 64, "dtype": "int8", "scales": {}})", "{}", 4),
            "/kv_cache/caches/0/scales/granularity");
  EXPECT_EQ(refused(R"({"layers": 2, "kv_heads": 4, "head_dim": 64, "scales": {}})", "{}", 4), "laid out"); // bfloat16 is not quantised
  EXPECT_EQ(refused(mha, R"({"draft": {"num_draft_tokens": 1, "method": "magic"}})", 2), "/draft/method");
  EXPECT_EQ(refused(R"({"layers": 9223372036854775807, "kv_heads": 9223372036854775807, "head_dim": 9223372036854775807})", "{}", 1),
            "/kv_cache/caches");
}

} // namespace
} // namespace plimsoll
