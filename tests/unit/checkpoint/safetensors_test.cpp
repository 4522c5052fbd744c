// The safetensors header reader: what it tells of good files, and what it says of hostile ones.
#include "checkpoint/safetensors.hpp"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

using testing::HasSubstr;

// Writes down what it is told.
class Listener final : public TensorVisitor {
public:
  Result<void> tensor(const TensorEntry& entry) override {
    std::string line(entry.name);
    line += " " + std::string(entry.dtype.safetensors) + " [";
    for (const std::uint64_t dim : entry.shape()) line += std::to_string(dim) + ",";
    lines.push_back(line + "] " + std::to_string(entry.stored_bytes));
    if (entry.name == refuse) return fail(ErrorCode::kBadRequest, "refused");
    return {};
  }
  std::vector<std::string> lines;
  std::string refuse = "-";
};

Result<HeaderTotals> parse(std::string_view start, std::uint64_t file_bytes, TensorVisitor& visitor) {
  return parse_safetensors_header(std::as_bytes(std::span(start)), file_bytes, visitor);
}

// A header over `data_bytes` of data.
Result<HeaderTotals> parse_header(std::string_view header, std::uint64_t data_bytes) {
  Listener listener;
  const std::string start = test::safetensors_start_of(header);
  return parse(start, start.size() + data_bytes, listener);
}

const std::vector<test::SparseTensor> kTensors{{"model.embed_tokens.weight", "BF16", {128, 16}},
                                               {"model.layers.0.mlp.experts.gate_up_proj", "BF16", {4, 16, 64}},
                                               {"scale", "F32", {}},
                                               {"empty", "F32", {0, 7}},
                                               {"packed", "F4", {2, 3}},
                                               {"weight", "F8_E4M3", {3}}};

TEST(Safetensors, TellsNamesShapesAndBytesInOrder) {
  std::uint64_t file_bytes = 0;
  const std::string start = test::safetensors_start(kTensors, file_bytes);
  Listener listener;
  const auto totals = parse(start, file_bytes, listener);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_THAT(listener.lines, testing::ElementsAre("model.embed_tokens.weight BF16 [128,16,] 4096",
                                                   "model.layers.0.mlp.experts.gate_up_proj BF16 [4,16,64,] 8192", "scale F32 [] 4",
                                                   "empty F32 [0,7,] 0", "packed F4 [2,3,] 3", "weight F8_E4M3 [3,] 3"));
  EXPECT_EQ(totals->tensor_count, 6U);
  EXPECT_EQ(totals->stored_bytes, 4096U + 8192 + 4 + 3 + 3);
  EXPECT_EQ(totals->header_bytes, start.size());
  EXPECT_EQ(totals->hole_bytes, 0U);
}

// The fast path and simdjson must tell the same; the second style is one that the fast path does not know.
TEST(Safetensors, SpacedHeadersReadTheSame) {
  std::vector<std::string> told[2];
  std::vector<std::uint64_t> hashes[2];
  std::uint64_t fingerprints[2] = {};
  for (const bool spaced : {false, true}) {
    std::uint64_t file_bytes = 0;
    const std::string start = test::safetensors_start(kTensors, file_bytes, {spaced, true});
    Listener listener;
    SafetensorsReader reader;
    const auto totals = reader.read(std::as_bytes(std::span(start)), file_bytes, "dir/a.safetensors", 0, listener, &hashes[spaced]);
    ASSERT_TRUE(totals) << totals.error().message;
    told[spaced] = listener.lines;
    fingerprints[spaced] = totals->fingerprint;
  }
  EXPECT_EQ(told[0], told[1]);
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_EQ(fingerprints[0], fingerprints[1]);
}

TEST(Safetensors, AnUnusualTensorAmongUsualOnesIsVisitedOnce) {
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b\u0041":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},)"
      R"("__metadata__":{"k":"v\n"}, "c":{"shape":[1],"dtype":"F32","data_offsets":[8,12],"note":"x"}}   )";
  Listener listener;
  const std::string start = test::safetensors_start_of(header);
  const auto totals = parse(start, start.size() + 12, listener);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_THAT(listener.lines, testing::ElementsAre("a F32 [1,] 4", "bA F32 [1,] 4", "c F32 [1,] 4"));
  EXPECT_EQ(totals->stored_bytes, 12U);
}

TEST(Safetensors, OffsetsNeedNoOrderAndHolesAreCounted) {
  const auto totals =
      parse_header(R"({"b":{"dtype":"U8","shape":[4],"data_offsets":[8,12]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 20);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->stored_bytes, 8U);
  EXPECT_EQ(totals->hole_bytes, 4U + 8U);
}

TEST(Safetensors, AnEmptyHeaderHasNoTensors) {
  const auto totals = parse_header("{}", 0);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->tensor_count, 0U);
}

TEST(Safetensors, TheVisitorsErrorIsTheResult) {
  std::uint64_t file_bytes = 0;
  const std::string start = test::safetensors_start(kTensors, file_bytes);
  Listener listener;
  listener.refuse = "scale";
  const auto totals = parse(start, file_bytes, listener);
  ASSERT_FALSE(totals);
  EXPECT_EQ(totals.error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(listener.lines.size(), 3U);
}

struct HostileLength {
  const char* name;
  std::uint64_t length, file_bytes;
  const char* says;
};

TEST(Safetensors, RefusesImpossibleHeaderLengths) {
  const HostileLength cases[] = {
      {"zero", 0, 1000, "header length is 0"},
      {"one", 1, 1000, "header length is 1"},
      {"2^63", 1ULL << 63, 1000, "header length is 9223372036854775808"},
      {"2^64-1", UINT64_MAX, 1000, "header length is 18446744073709551615"},
      {"one beyond", 993, 1000, "the file has only 1000 bytes"},
      {"over the limit", kSafetensorsHeaderLimitBytes + 1, 1ULL << 40, "expected at most 100000000"},
  };
  for (const HostileLength& c : cases) {
    Listener listener;
    const auto result = parse(test::little_endian(c.length, 8) + "{}", c.file_bytes, listener);
    ASSERT_FALSE(result) << c.name;
    EXPECT_EQ(result.error().code, ErrorCode::kBadCheckpoint) << c.name;
    EXPECT_THAT(result.error().message, HasSubstr(c.says)) << c.name;
  }
  Listener listener;
  EXPECT_FALSE(parse("1234567", 7, listener));
  EXPECT_FALSE(parse("", 0, listener));
}

struct HostileHeader {
  const char* name;
  std::string header;
  const char* says;
};

std::string one(const std::string& fields) { return "{\"t\":{" + fields + "}}"; }

TEST(Safetensors, RefusesHostileHeadersAndNamesTheTensor) {
  const std::string deep(100'000, '[');
  const HostileHeader cases[] = {
      {"no object", "[1,2]", "JSON"},
      {"no JSON", "{\"t\"", "JSON"},
      {"cut", R"({"t":{"dtype":"U8","shape":[4],"data_off)", "JSON"},
      {"text after", "{} x", "JSON"},
      {"two documents", "{}{}", "after the closing brace"},
      {"tensor is a number", R"({"t":5})", "JSON"},
      {"no dtype", one(R"("shape":[4],"data_offsets":[0,4])"), "lacks dtype"},
      {"shape twice", one(R"("dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4])"), "twice"},
      {"unknown dtype", one(R"("dtype":"Q9","shape":[4],"data_offsets":[0,4])"), "'Q9'"},
      {"empty dtype", one(R"("dtype":"","shape":[4],"data_offsets":[0,0])"), "dtype ''"},
      {"lower-case dtype", one(R"("dtype":"u8","shape":[4],"data_offsets":[0,4])"), "'u8'"},
      {"dtype is a number", one(R"("dtype":8,"shape":[4],"data_offsets":[0,4])"), "JSON"},
      {"shape is a number", one(R"("dtype":"U8","shape":4,"data_offsets":[0,4])"), "JSON"},
      {"negative dimension", one(R"("dtype":"U8","shape":[-4],"data_offsets":[0,4])"), "whole numbers"},
      {"fraction", one(R"("dtype":"U8","shape":[4.0],"data_offsets":[0,4])"), "whole numbers"},
      {"huge number", one(R"("dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,4])"), "whole numbers"},
      {"nine dimensions", one(R"("dtype":"U8","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,4])"), "more than 8"},
      {"overflowing shape", one(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4])"), "64 bits"},
      {"overflowing bytes", one(R"("dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,4])"), "64 bits"},
      {"one offset", one(R"("dtype":"U8","shape":[4],"data_offsets":[4])"), "expected 2"},
      {"three offsets", one(R"("dtype":"U8","shape":[4],"data_offsets":[0,4,8])"), "expected 2"},
      {"backwards", one(R"("dtype":"U8","shape":[4],"data_offsets":[4,0])"), "backwards"},
      {"beyond the file", one(R"("dtype":"U8","shape":[400],"data_offsets":[0,400])"), "only 64 data bytes"},
      {"offset 2^63", one(R"("dtype":"U8","shape":[4],"data_offsets":[9223372036854775804,9223372036854775808])"), "only 64 data bytes"},
      {"shape and bytes", one(R"("dtype":"U8","shape":[5],"data_offsets":[0,4])"), "needs 5 bytes"},
      {"half a byte", one(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])"), "whole number of bytes"},
      {"overlap", R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"t":{"dtype":"U8","shape":[8],"data_offsets":[4,12]}})",
       "'a' and 't'"},
      {"same place", R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"t":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
       "both claim"},
      {"depth in a tensor", one("\"x\":" + deep), "nested"},
      {"depth in metadata", "{\"__metadata__\":" + deep + "}", "JSON"},
      {"depth in a shape", one("\"dtype\":\"U8\",\"shape\":" + deep), ""},
      {"depth everywhere", deep, "JSON"},
      {"metadata of numbers", R"({"__metadata__":{"a":1}})", "JSON"},
      {"metadata twice", R"({"__metadata__":{},"__metadata__":{}})", "twice"},
      {"broken UTF-8", "{\"\xff\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", "JSON"},
      {"zeros", std::string(64, '\0'), "JSON"},
  };
  for (const HostileHeader& c : cases) {
    const auto begin = std::chrono::steady_clock::now();
    const auto result = parse_header(c.header, 64);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1)) << c.name;
    ASSERT_FALSE(result) << c.name;
    EXPECT_EQ(result.error().code, ErrorCode::kBadCheckpoint) << c.name;
    EXPECT_THAT(result.error().message, HasSubstr(c.says)) << c.name;
    if (c.header.find("\"t\":{") != std::string::npos && std::string_view(c.name) != "cut") {
      EXPECT_THAT(result.error().message, HasSubstr("'t'")) << c.name;
    }
  }
}

TEST(Safetensors, RefusesEveryTruncation) {
  std::uint64_t file_bytes = 0;
  const std::string start = test::safetensors_start(kTensors, file_bytes);
  for (std::uint64_t cut = 0; cut < file_bytes; cut += cut < start.size() ? 1U : 97U) {
    Listener listener;
    EXPECT_FALSE(parse(std::string_view(start).substr(0, cut), cut, listener)) << cut;
  }
}

TEST(Safetensors, AHugeHeaderOfZerosInASparseFileIsRefusedQuickly) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "a.safetensors";
  test::write_sparse(path, test::little_endian(kSafetensorsHeaderLimitBytes, 8), 1ULL << 40);
  const auto file = RegularFile::open(path);
  ASSERT_TRUE(file);
  Listener listener;
  SafetensorsReader reader;
  const auto result = reader.read(*file, 0, listener);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().where, HasSubstr("a.safetensors"));
}

} // namespace
} // namespace plimsoll
