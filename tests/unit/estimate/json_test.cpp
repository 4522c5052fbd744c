// Requests and results as JSON: defaults, every key, and hostile text with the place of its error.
#include "plimsoll/estimate_json.hpp"

#include <gtest/gtest.h>

#include "estimate/json_place.hpp"
#include "plimsoll/limits.hpp"
#include "unit/estimate/estimator_cases.hpp"

namespace plimsoll {
namespace {

struct Bad {
  const char* name;
  const char* text;
  const char* where;
};
void PrintTo(const Bad& row, std::ostream* out) { *out << row.name; }
class BadRequest : public testing::TestWithParam<Bad> {};
TEST_P(BadRequest, IsRefusedWithItsPlace) {
  const auto request = parse_estimate_request(GetParam().text);
  ASSERT_FALSE(request.has_value());
  EXPECT_EQ(request.error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(request.error().where, GetParam().where) << request.error().message;
  const auto answer = cases::Json::parse(estimate_line(GetParam().text));
  EXPECT_FALSE(answer["fits"].get<bool>());
  EXPECT_EQ(answer["error"]["code"], "bad_request");
}
constexpr Bad kBad[] = {
    {"Empty", "", ""},
    {"NotJson", "devices: 1", ""},
    {"List", "[]", ""},
    {"NoDevices", "{}", "/devices"},
    {"Truncated", R"({"devices": [{"free_bytes": 1})", "/devices/0"},
    {"TrailingComma", R"({"max_length": 1,})", "/"},
    {"UnknownKey", R"({"max_lenght": 1})", "/max_lenght"},
    {"UnknownKeyBelow", R"({"kv_cache": {"caches": [{"heads": 1}]}})", "/kv_cache/caches/0/heads"},
    {"SlashInKey", R"({"a/b~": 1})", "/a~1b~0"},
    {"Twice", R"({"max_length": 1, "max_length": 2})", "/max_length"},
    {"TwiceNull", R"({"max_length": null, "max_length": 2})", "/max_length"},
    {"String", R"({"max_length": "1"})", "/max_length"},
    {"Fraction", R"({"max_length": 1.5})", "/max_length"},
    {"Bool", R"({"devices": [{"free_bytes": true}]})", "/devices/0/free_bytes"},
    {"NumberForBool", R"({"max_length_given": 1})", "/max_length_given"},
    {"Negative", R"({"max_batch_size": -1})", "/max_batch_size"},
    {"Beyond63Bits", R"({"max_length": 9223372036854775808})", "/max_length"},
    {"Beyond64Bits", R"({"max_length": 18446744073709551616})", "/max_length"},
    {"LargestUnsigned", R"({"sizes": {"weights_bytes": 18446744073709551615}})", "/sizes/weights_bytes"},
    {"BeyondADouble", R"({"device_memory_utilization": 1e400})", "/device_memory_utilization"},
    {"NotANumber", R"({"device_memory_utilization": NaN})", "/device_memory_utilization"},
    {"UnknownAccounting", R"({"accounting": "fair"})", "/accounting"},
    {"UnknownKind", R"({"kv_cache": {"caches": [{"kind": "lru"}]}})", "/kv_cache/caches/0/kind"},
    {"UnknownType", R"({"kv_cache": {"caches": [{"dtype": "bf17"}]}})", "/kv_cache/caches/0/dtype"},
    {"NoLayers", R"({"kv_cache": {"caches": [{"kv_heads": 1, "head_dim": 64}]}})", "/kv_cache/caches/0"},
    {"NoQueryHeads", R"({"kv_cache": {"caches": [{"kind": "mla", "layers": 1, "head_dim": 64}]}})", "/kv_cache/caches/0"},
    {"NoRegions", R"({"kv_cache": {"caches": [{"kind": "state"}]}})", "/kv_cache/caches/0"},
    {"RegionsWhereNoneAre", R"({"kv_cache": {"caches": [{"regions": [{"layers": 1, "row_shape": [1]}], "layers": 1}]}})",
     "/kv_cache/caches/0"},
    {"DeviceWithoutMemory", R"({"devices": [{"host": true}]})", "/devices/0"},
    {"ShapeOfStrings", R"({"kv_cache": {"caches": [{"regions": [{"row_shape": ["a"]}]}]}})", "/kv_cache/caches/0/regions/0/row_shape/0"},
};
INSTANTIATE_TEST_SUITE_P(EstimateJson, BadRequest, testing::ValuesIn(kBad), [](const auto& info) { return info.param.name; });

TEST(EstimateJson, RefusesDeepAndHugeText) {
  const std::string deep = std::string(100000, '[');
  EXPECT_EQ(parse_estimate_request(deep).error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(parse_estimate_request(R"({"devices": )" + std::string(200, '[') + std::string(200, ']') + "}").error().code,
            ErrorCode::kBadRequest);
  const std::string document = R"({"devices": [{"free_bytes": 1}]})";
  EXPECT_TRUE(parse_estimate_request(document + std::string(kMaxEstimateBytes - document.size(), ' ')).has_value());
  EXPECT_EQ(parse_estimate_request(document + std::string(kMaxEstimateBytes - document.size() + 1, ' ')).error().code,
            ErrorCode::kBadRequest);
  // A refused text leaves the parser usable.
  EXPECT_TRUE(parse_estimate_request(R"({"devices": [{"free_bytes": 1}]})").has_value());
}

// The same limits as anywhere else: plimsoll/limits.hpp.
TEST(EstimateJson, LimitsAreThoseOfRequests) {
  struct Limit {
    const char* before;
    std::uint64_t most;
    const char* after;
    const char* where;
  };
  const std::string head = R"({"devices": [{"free_bytes": 1}], )";
  for (const Limit& c : {Limit{R"("max_length": )", kMaxTokens, "}", "/max_length"},
                         {R"("max_batch_size": )", kMaxSequences, "}", "/max_batch_size"},
                         {R"("max_batch_input_tokens": )", kMaxTokens, "}", "/max_batch_input_tokens"},
                         {R"("kv_cache": {"page_tokens": )", kMaxPageTokens, "}}", "/kv_cache/page_tokens"},
                         {R"("draft": {"max_length": )", kMaxTokens, "}}", "/draft/max_length"},
                         {R"("draft": {"num_draft_tokens": )", kMaxDraftTokens, "}}", "/draft/num_draft_tokens"}}) {
    EXPECT_TRUE(parse_estimate_request(head + c.before + std::to_string(c.most) + c.after)) << c.where;
    const auto beyond = parse_estimate_request(head + c.before + std::to_string(c.most + 1) + c.after);
    ASSERT_FALSE(beyond) << c.where;
    EXPECT_EQ(beyond.error().where, c.where);
  }
  std::string many = R"({"devices": [)";
  for (std::uint64_t i = 0; i < kMaxRanks; ++i) many += R"({"free_bytes":1},)";
  EXPECT_TRUE(parse_estimate_request(many.substr(0, many.size() - 1) + "]}"));
  EXPECT_FALSE(parse_estimate_request(many + R"({"free_bytes":1}]})"));
}

TEST(EstimateJson, NullAndAbsentAreTheDefault) {
  const auto a = parse_estimate_request(R"({"devices": [{"free_bytes": 5, "total_bytes": null, "host": null}], "max_length": null,
    "accounting": null, "draft": null, "kv_cache": null, "vision_cache": null, "parallelism": {"dp": null}, "sizes": {}})");
  ASSERT_TRUE(a.has_value()) << a.error().message;
  EXPECT_EQ(a->accounting, Accounting::kPerDevice);
  EXPECT_EQ(a->device_memory_utilization, 0.9);
  EXPECT_EQ(a->max_batch_input_tokens, 8192);
  EXPECT_EQ(a->page_tokens, 128);
  EXPECT_EQ(a->data_parallel_degree, 1);
  EXPECT_FALSE(a->vision_cache.has_value());
  EXPECT_FALSE(a->max_length_given);
  EXPECT_FALSE(a->devices[0].total_bytes.has_value());
}

TEST(EstimateJson, ReadsEveryKey) {
  const auto a = parse_estimate_request(R"({"accounting": "per-device", "devices": [{"free_bytes": 1, "total_bytes": 2, "host": true,
    "max_allocation_bytes": 3, "name": "x"}], "parallelism": {"dp": 1}, "device_memory_utilization": 1,
    "sizes": {"weights_bytes": [4], "activation_bytes": 5, "signal_buffer_bytes": 6},
    "kv_cache": {"page_tokens": 64, "state_rows_per_sequence": 1, "caches": [
      {"label": "a", "kind": "msa", "dtype": "int8", "layers": 7, "kv_heads": 8, "query_heads": null, "head_dim": 9, "window_tokens": 10,
       "scales": {"dtype": "float16", "granularity": 3}, "allow_kv_head_replication": true, "per_layer_buffers": true},
      {"label": "b", "kind": "state", "regions": [{"label": "r", "layers": 1, "row_shape": [2, 3], "dtype": "bfloat16"}]}]},
    "max_length": 11, "max_length_given": true, "max_batch_size": 12, "max_batch_input_tokens": 13,
    "draft": {"max_length": 14, "num_draft_tokens": 15, "method": "mtp"},
    "vision_cache": {"utilization": 0.5, "row_elements": 16, "row_dtype": "float32", "entry_bytes": 17}})");
  ASSERT_TRUE(a.has_value()) << a.error().where << a.error().message;
  EXPECT_EQ(a->devices[0].name, "x");
  EXPECT_EQ(a->devices[0].max_allocation_bytes, 3);
  EXPECT_EQ(a->weights.per_device_bytes, std::vector<std::int64_t>{4});
  EXPECT_EQ(a->signal_buffers.total_bytes, 6);
  EXPECT_EQ(a->caches[0].kind, CacheKind::kFull);
  EXPECT_EQ(a->caches[0].scales->granularity, 3);
  EXPECT_TRUE(a->caches[0].per_layer_buffers);
  EXPECT_EQ(a->caches[1].regions[0].row_shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(a->state_rows_per_sequence, 1);
  EXPECT_EQ(a->draft.method, "mtp");
  EXPECT_EQ(a->vision_cache->row_type.block_bytes, 4U);
}

TEST(EstimateJson, ResultKeysKeepTheirOrder) {
  EstimateResult result;
  result.error = Error{ErrorCode::kBadRequest, "a \"quoted\"\nline", "/x"};
  EXPECT_EQ(estimate_result_json(result, Accounting::kPooled),
            R"({"fits": false, "max_batch_size": null, "max_length": null, "kv_cache_bytes": null, "kv_budget_bytes": null, )"
            R"("footprint_bytes": null, "free_bytes": null, "static_bytes": null, "pages_per_replica": null, )"
            R"("max_supported_sequence_length": null, "vision_cache": null, "warnings": [], )"
            R"("error": {"code": "bad_request", "message": "a \"quoted\"\nline", "where": "/x"}})");
}

TEST(EstimateJson, EveryLineIsOneDocument) {
  for (const char* text : {"", "x", "{}", "\"\\ud800\"", "{\"a\xff\": 1}", R"({"devices": [{"free_bytes": 1}], "max_length": 1})"}) {
    const std::string line = estimate_line(text);
    EXPECT_TRUE(cases::Json::accept(line)) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos);
  }
}

TEST(JsonPlace, PointsAtTheBreak) {
  EXPECT_EQ(json_error_pointer(R"({"a": [1, {"b": tru}]})"), "/a/1/b");
  EXPECT_EQ(json_error_pointer(R"({"a": 01})"), "/a");
  EXPECT_EQ(json_error_pointer(R"({"a": {}, "b": [], "c": +1})"), "/c");
  EXPECT_EQ(json_error_pointer(R"({"a": "x\"y", "b": [1 2]})"), "/b/0");
  EXPECT_EQ(json_error_pointer(R"({"a": 1})"), "");
  EXPECT_EQ(json_error_pointer(std::string(300, '[')).size(), 256U * 2);
}

} // namespace
} // namespace plimsoll
