// The GGUF header reader: metadata, types, shapes, and what it says of hostile files.
#include "checkpoint/gguf.hpp"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

using test::gguf_string;
using test::GgufWriter;
using test::little_endian;
using testing::HasSubstr;

Result<GgufHeader> parse(std::string_view start, std::uint64_t file_bytes) {
  return parse_gguf(std::as_bytes(std::span(start)), file_bytes, "f.gguf");
}
Result<GgufHeader> parse(const GgufWriter& writer) {
  const std::string start = writer.start();
  return parse(start, writer.file_bytes());
}

TEST(Gguf, KnowsWhetherAllOfAHeaderIsAtHand) {
  GgufWriter writer;
  writer.text("general.architecture", "llama").u32s("sizes", {1, 2, 3}).texts("tokenizer.ggml.tokens", {"a", "bc", ""});
  writer.tensor("output.weight", 1, {64, 64}, 64 * 64 * 2).tensor("output_norm.weight", 0, {64}, 256);
  const std::string start = writer.start();
  std::size_t end = start.size(); // of the last tensor's line, in front of the padding
  while (is_whole_gguf_header(std::as_bytes(std::span(start)).first(end - 1), writer.file_bytes())) --end;
  EXPECT_LT(start.size() - end, 32u);
  for (std::size_t length = 0; length <= start.size(); ++length)
    EXPECT_EQ(is_whole_gguf_header(std::as_bytes(std::span(start)).first(length), writer.file_bytes()), length >= end) << length;
  const std::string wrong = "GGUF" + little_endian(3, 4) + little_endian(UINT64_MAX, 8) + little_endian(UINT64_MAX, 8);
  EXPECT_TRUE(is_whole_gguf_header(std::as_bytes(std::span(wrong)), 1ULL << 40)); // more will not make it right
  EXPECT_TRUE(is_whole_gguf_header(std::as_bytes(std::span("no GGUF file", 12)), 1ULL << 40));
  EXPECT_FALSE(is_whole_gguf_header({}, 1ULL << 40));
}

TEST(Gguf, ReadsMetadataAndCountsLongArrays) {
  for (const std::uint32_t version : {2U, 3U}) {
    GgufWriter writer(version);
    writer.text("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .f32("llama.eps", 1e-5F)
        .flag("llama.flag", true)
        .i32("llama.neg", -3);
    writer.u32s("llama.attention.head_count_kv", {8, 0})
        .texts("tokenizer.ggml.tokens", {"a", "bc", ""})
        .u32s("long", std::vector<std::uint32_t>(5000, 1));
    const auto header = parse(writer);
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->version, version);
    const auto& values = header->metadata.values;
    EXPECT_EQ(values.at("general.architecture"), "llama");
    EXPECT_EQ(values.at("llama.block_count"), 2);
    EXPECT_EQ(values.at("llama.eps").dump(), "1e-05");
    EXPECT_EQ(values.at("llama.flag"), true);
    EXPECT_EQ(values.at("llama.neg"), -3);
    EXPECT_EQ(values.at("llama.attention.head_count_kv").dump(), "[8,0]");
    EXPECT_EQ(header->metadata.array_counts.at("tokenizer.ggml.tokens"), 3U);
    EXPECT_EQ(header->metadata.array_counts.at("long"), 5000U);
    EXPECT_FALSE(values.contains("tokenizer.ggml.tokens"));
  }
}

struct TypeCase {
  std::uint32_t number;
  const char* name;
  std::uint64_t bytes_of_512;
};

// Bytes of 512 elements: ggml's block sizes.
TEST(Gguf, KnowsEveryTypeThatGgmlStores) {
  const TypeCase cases[] = {{0, "float32", 2048},  {1, "float16", 1024}, {2, "q4_0", 288},       {3, "q4_1", 320},     {6, "q5_0", 352},
                            {7, "q5_1", 384},      {8, "q8_0", 544},     {10, "q2_k", 168},      {11, "q3_k", 220},    {12, "q4_k", 288},
                            {13, "q5_k", 352},     {14, "q6_k", 420},    {15, "q8_k", 584},      {16, "iq2_xxs", 132}, {17, "iq2_xs", 148},
                            {18, "iq3_xxs", 196},  {19, "iq1_s", 100},   {20, "iq4_nl", 288},    {21, "iq3_s", 220},   {22, "iq2_s", 164},
                            {23, "iq4_xs", 272},   {24, "int8", 512},    {25, "int16", 1024},    {26, "int32", 2048},  {27, "int64", 4096},
                            {28, "float64", 4096}, {29, "iq1_m", 112},   {30, "bfloat16", 1024}, {34, "tq1_0", 108},   {35, "tq2_0", 132},
                            {39, "mxfp4", 272},    {40, "nvfp4", 288},   {41, "q1_0", 72},       {42, "q2_0", 144}};
  GgufWriter writer;
  for (const TypeCase& c : cases) writer.tensor(c.name, c.number, {256, 2}, c.bytes_of_512);
  const auto header = parse(writer);
  ASSERT_TRUE(header) << header.error().message;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    const GgufTensor& tensor = header->tensors[i];
    EXPECT_EQ(header->name(tensor), cases[i].name);
    EXPECT_EQ(tensor.dtype->name, cases[i].name);
    EXPECT_EQ(tensor.stored_bytes, cases[i].bytes_of_512) << cases[i].name;
    EXPECT_EQ(tensor.elements, 512U);
    sum += cases[i].bytes_of_512;
  }
  EXPECT_EQ(header->stored_bytes, sum);
  for (const std::uint32_t removed : {4U, 5U, 31U, 32U, 33U, 36U, 37U, 38U, 43U, 1000U, UINT32_MAX})
    EXPECT_EQ(ggml_type(removed), nullptr) << removed;
}

std::string preamble(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
  return "GGUF" + little_endian(version, 4) + little_endian(tensors, 8) + little_endian(pairs, 8);
}

struct Hostile {
  const char* name;
  std::string start;
  const char* says;
};

TEST(Gguf, RefusesHostileHeaders) {
  const std::string array = little_endian(9, 4);
  const auto pair = [](const std::string& type_and_value) { return preamble(0, 1) + gguf_string("the.key") + type_and_value; };
  const auto tensor = [](const std::string& rest) { return preamble(1, 0) + gguf_string("the.tensor") + rest; };
  const Hostile cases[] = {
      {"empty", "", "does not begin"},
      {"other magic", "PK\x03\x04" + std::string(60, '\0'), "does not begin"},
      {"magic alone", "GGUF", "version"},
      {"version 1", preamble(0, 0, 1), "version 1"},
      {"version 4", preamble(0, 0, 4), "version 4"},
      {"big-endian version", std::string("GGUF\0\0\0\3", 8) + std::string(16, '\0'), "big-endian"},
      {"big-endian magic", "FUGG" + little_endian(3, 4) + std::string(16, '\0'), "big-endian"},
      {"2^60 tensors", preamble(1ULL << 60, 0) + std::string(100, '\0'), "announces 1152921504606846976 tensors"},
      {"2^60 keys", preamble(0, 1ULL << 60) + std::string(100, '\0'), "announces 1152921504606846976 metadata keys"},
      {"2^64-1 keys", preamble(0, UINT64_MAX) + std::string(100, '\0'), "metadata keys"},
      {"key beyond the end", preamble(0, 1) + little_endian(60'000, 8) + std::string(100, 'k'), "beyond the end"},
      {"key of 2^63", preamble(0, 1) + little_endian(1ULL << 63, 8) + std::string(100, 'k'), "expected at most 65535"},
      {"string beyond the end", pair(little_endian(8, 4) + little_endian(1'000'000, 8)), "beyond the end"},
      {"string of 2^64-1", pair(little_endian(8, 4) + little_endian(UINT64_MAX, 8) + "abc"), "beyond the end"},
      {"unknown value type", pair(little_endian(13, 4) + std::string(40, '\0')), "unknown metadata type 13"},
      {"unknown array type", pair(array + little_endian(77, 4) + little_endian(1, 8)), "unknown metadata type 77"},
      {"array of arrays", pair(array + array + little_endian(1, 8) + array + array + little_endian(1, 8)), "array of arrays"},
      {"array of 2^60 bytes", pair(array + little_endian(0, 4) + little_endian(1ULL << 60, 8)), "beyond the end"},
      {"array of 2^61 words", pair(array + little_endian(10, 4) + little_endian(1ULL << 61, 8)), "beyond the end"},
      {"array of 2^60 strings", pair(array + little_endian(8, 4) + little_endian(1ULL << 60, 8)), "beyond the end"},
      {"string in an array beyond the end",
       pair(array + little_endian(8, 4) + little_endian(2, 8) + gguf_string("a") + little_endian(1ULL << 62, 8)), "beyond the end"},
      {"key twice",
       preamble(0, 2) + (gguf_string("the.key") + little_endian(0, 4) + "1") + (gguf_string("the.key") + little_endian(0, 4) + "1"),
       "twice"},
      {"alignment 0", preamble(0, 1) + gguf_string("general.alignment") + little_endian(4, 4) + little_endian(0, 4), "power of two"},
      {"alignment 33", preamble(0, 1) + gguf_string("general.alignment") + little_endian(4, 4) + little_endian(33, 4), "power of two"},
      {"alignment as text", preamble(0, 1) + gguf_string("general.alignment") + little_endian(8, 4) + gguf_string("32"), "power of two"},
      {"name beyond the end", preamble(1, 0) + little_endian(1000, 8) + std::string(50, 'n'), "beyond the end"},
      {"name of 2^40", preamble(1, 0) + little_endian(1ULL << 40, 8) + std::string(50, 'n'), "expected 1 to 1024"},
      {"five dimensions", tensor(little_endian(5, 4) + std::string(80, '\1')), "5 dimensions"},
      {"2^32-1 dimensions", tensor(little_endian(UINT32_MAX, 4) + std::string(80, '\1')), "dimensions"},
      {"overflowing shape",
       tensor(little_endian(2, 4) + little_endian(1ULL << 40, 8) + little_endian(1ULL << 40, 8) + std::string(12, '\0')), "64 bits"},
      {"removed type", tensor(little_endian(1, 4) + little_endian(32, 8) + little_endian(4, 4) + little_endian(0, 8)), "ggml type 4"},
      {"part of a block", tensor(little_endian(1, 4) + little_endian(31, 8) + little_endian(2, 4) + little_endian(0, 8)), "multiple of 32"},
      {"crooked offset", tensor(little_endian(1, 4) + little_endian(1, 8) + little_endian(0, 4) + little_endian(7, 8)), "alignment 32"},
      {"offset beyond the file", tensor(little_endian(1, 4) + little_endian(1, 8) + little_endian(0, 4) + little_endian(1ULL << 62, 8)),
       "data bytes"},
      {"tensor of no file's size", tensor(little_endian(1, 4) + little_endian(1ULL << 50, 8) + little_endian(0, 4) + little_endian(0, 8)),
       "damaged"},
  };
  for (const Hostile& c : cases) {
    const auto begin = std::chrono::steady_clock::now();
    const auto header = parse(c.start, c.start.size());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1)) << c.name;
    ASSERT_FALSE(header) << c.name;
    EXPECT_EQ(header.error().code, ErrorCode::kBadCheckpoint) << c.name;
    EXPECT_THAT(header.error().message, HasSubstr(c.says)) << c.name;
    EXPECT_THAT(header.error().where, HasSubstr("f.gguf")) << c.name;
    if (c.start.find("the.tensor") != std::string::npos) {
      EXPECT_THAT(header.error().where, HasSubstr("'the.tensor'")) << c.name;
    }
    if (c.start.find("the.key") != std::string::npos) {
      EXPECT_THAT(header.error().where, HasSubstr("'the.key'")) << c.name;
    }
  }
}

TEST(Gguf, RefusesOverlapsAndDuplicates) {
  const std::string room(4096, '\0');
  std::string overlap = GgufWriter().tensor_at("a", 0, {32}, 0).tensor_at("b", 0, {32}, 96).start();
  auto header = parse(overlap, overlap.size() + 4096);
  ASSERT_FALSE(header);
  EXPECT_THAT(header.error().message, HasSubstr("'a' and 'b'"));
  header = parse(GgufWriter().tensor("a", 0, {32}, 128).tensor("a", 0, {32}, 128));
  ASSERT_FALSE(header);
  EXPECT_THAT(header.error().message, HasSubstr("'a' occurs twice"));
}

TEST(Gguf, RefusesEveryTruncation) {
  GgufWriter writer;
  writer.text("general.architecture", "llama")
      .texts("tokens", {"a", "b"})
      .u32s("numbers", {1, 2, 3})
      .tensor("a", 0, {32}, 128)
      .tensor("b", 12, {256, 3}, 432);
  const std::string start = writer.start();
  ASSERT_TRUE(parse(start, writer.file_bytes()));
  std::uint64_t headers = 0; // whole ones: what follows is padding
  for (std::uint64_t cut = 0; cut < start.size(); ++cut) {
    const auto header = parse(std::string_view(start).substr(0, cut), cut);
    EXPECT_TRUE(header || headers == 0) << cut;
    EXPECT_EQ(header ? header->lacking_bytes : 560U, 560U) << cut;
    headers += header ? 1U : 0U;
  }
  EXPECT_LT(headers, 32U);
}

// Whoever fetched the header alone, or part of the data, hears how much is not there.
TEST(Gguf, SaysWhatTheFileLacks) {
  const GgufWriter writer = GgufWriter().tensor("a", 0, {32}, 128).tensor("b", 12, {256, 3}, 432);
  const std::uint64_t start = writer.start().size();
  for (const auto& [bytes, lacking] :
       {std::pair(start, 560U), {start + 128, 432U}, {start + 279, 281U}, {start + 560, 0U}, {start + 576, 0U}}) {
    const auto header = parse(writer.start(), bytes);
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->lacking_bytes, lacking);
    EXPECT_EQ(header->stored_bytes, 560U);
  }
  for (const std::uint64_t bytes : {start + 280, start + 559}) {
    const auto header = parse(writer.start(), bytes);
    ASSERT_FALSE(header);
    EXPECT_THAT(header.error().message, HasSubstr("truncated"));
  }
}

// The window must not show: strings and arrays across its edge, read from a file and from memory.
TEST(Gguf, ReadsTheSameThroughTheWindow) {
  GgufWriter writer;
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < 40'000; ++i) tokens.push_back(std::string(i % 23, 'x'));
  writer.text("template", std::string(300'000, 't'))
      .texts("tokens", tokens)
      .u32s("types", std::vector<std::uint32_t>(100'000, 1))
      .u32("after", 7);
  writer.tensor("a", 0, {32}, 128);
  const test::TemporaryDirectory directory;
  writer.write(directory / "a.gguf");
  const auto file = RegularFile::open(directory / "a.gguf");
  ASSERT_TRUE(file);
  const auto from_file = read_gguf(*file);
  const auto from_memory = parse(writer);
  ASSERT_TRUE(from_file && from_memory) << from_file.error().message;
  for (const auto* header : {&*from_file, &*from_memory}) {
    EXPECT_EQ(header->metadata.array_counts.at("tokens"), 40'000U);
    EXPECT_EQ(header->metadata.values.at("after"), 7);
    EXPECT_TRUE(header->metadata.values.at("template").is_null()); // too long to keep
    EXPECT_EQ(header->header_bytes, writer.start().size());
  }
}

// Zeros without end must not be walked without end.
TEST(Gguf, AHugeSparseArrayIsRefusedQuickly) {
  const test::TemporaryDirectory directory;
  const std::string start =
      preamble(0, 1) + gguf_string("tokens") + little_endian(9, 4) + little_endian(8, 4) + little_endian(1ULL << 36, 8);
  test::write_sparse(directory / "a.gguf", start, 1ULL << 41);
  const auto file = RegularFile::open(directory / "a.gguf");
  ASSERT_TRUE(file);
  const auto begin = std::chrono::steady_clock::now();
  const auto header = read_gguf(*file);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  ASSERT_FALSE(header);
  EXPECT_THAT(header.error().message, HasSubstr("beyond the end"));
}

} // namespace
} // namespace plimsoll
