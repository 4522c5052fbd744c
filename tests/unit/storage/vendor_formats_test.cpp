// Types and formats of a plugin's own: bytes of real layers, whole and in shards, and what is refused.
#include "storage/vendor_formats.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/stored_name.hpp"
#include "unit/storage/bf16.hpp"

namespace plimsoll {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kBf16;

Json json(const std::string& text) { return Json::parse(text); }

std::shared_ptr<const VendorFormats> read(const std::string& types, const std::string& formats) {
  const Json type_node = json(types);
  const Json format_node = json(formats);
  auto out = read_vendor_formats(&type_node, &format_node, "plugin.yaml");
  EXPECT_TRUE(out) << out.error().where << ": " << out.error().message;
  return out ? *out : VendorFormats::none();
}

constexpr const char* kTypes = R"({"acme_lat5": {"block": 64, "bytes": 42}})";
constexpr const char* kFormats = R"({
  "acme_q3": {"bits_per_element": 3, "block": 128, "along": "input", "packed": "uint8",
              "scales": [{"type": "float16", "inputs": 128},
                         {"type": "float32", "inputs": "all", "outputs": "all", "name": "weight_scale_2"}]},
  "acme_q3_plain": {"bits_per_element": 3},
  "acme_q6_rows": {"bits_per_element": 6, "along": "output", "packed": "int32", "scales": [{"type": "bfloat16", "outputs": 32, "inputs": 64}]},
  "acme_lat": {"bits_per_element": 4, "scales": [{"type": "acme_lat5", "inputs": 16, "name": "acme_zeros"}, {"type": "float32", "name": "scale"}]},
  "mxfp4_acme": {"bits_per_element": 4}
})";

// "name type [dims]" of every tensor.
std::vector<std::string> named_listing(const Storage& storage, std::string_view class_name, const LinearShape& shape) {
  std::vector<std::string> lines;
  storage.tensors(class_name, shape, [&](std::string_view name, const Dtype& dtype, std::span<const std::uint64_t> dims) {
    std::string line = std::string(name) + " " + std::string(dtype.name) + " [";
    for (std::size_t i = 0; i < dims.size(); ++i) line += (i ? "," : "") + std::to_string(dims[i]);
    lines.push_back(line + "]");
  });
  return lines;
}

std::uint64_t bytes(const Storage& storage, const LinearShape& shape) {
  const Checked sum = storage.bytes(shape);
  EXPECT_FALSE(sum.overflowed());
  return sum.value();
}

TEST(VendorFormats, BlocksAlongTheInputsOfARealLayer) {
  const auto own = read(kTypes, kFormats);
  const Storage& q3 = *own->find_format("acme_q3");
  EXPECT_EQ(q3.name(), "acme_q3");
  EXPECT_EQ(q3.weight_bits(), 3U);
  EXPECT_EQ(q3.element_bytes(kBf16), 1U);
  EXPECT_FALSE(q3.is_plain());
  EXPECT_TRUE(q3.exact());
  // Llama-3.1-8B's o_proj: 4096 rows of 32 blocks, 48 bytes and a float16 for each.
  const LinearShape o_proj = LinearShape::matrix(4096, 4096, kBf16);
  EXPECT_THAT(
      named_listing(q3, "o_proj.weight", o_proj),
      ElementsAre("o_proj.weight uint8 [4096,1536]", "o_proj.weight_scale float16 [4096,32]", "o_proj.weight_scale_2 float32 [1,1]"));
  EXPECT_EQ(bytes(q3, o_proj), 6291456U + 262144U + 4U);
  // 300 inputs are two blocks and 44 elements of a third, which is filled up.
  const LinearShape odd = LinearShape::matrix(4096, 300, kBf16);
  EXPECT_THAT(named_listing(q3, "a.weight", odd),
              ElementsAre("a.weight uint8 [4096,144]", "a.weight_scale float16 [4096,3]", "a.weight_scale_2 float32 [1,1]"));
  EXPECT_EQ(bytes(q3, odd), 4096U * 3 * 48 + 4096U * 3 * 2 + 4U);
  EXPECT_EQ(bytes(q3, LinearShape::matrix(4096, 1, kBf16)), 4096U * 48 + 4096U * 2 + 4U);
  // A vector is never converted.
  const std::array<std::uint64_t, 1> norm{4096};
  EXPECT_EQ(bytes(q3, LinearShape::of(norm, kBf16)), 8192U);
}

// What a rank holds: the same with its local dims.
TEST(VendorFormats, ShardsAreFilledUpEachForItself) {
  const auto own = read(kTypes, kFormats);
  const Storage& q3 = *own->find_format("acme_q3");
  // Two ranks: half of the rows, as gate_proj is cut, and half of the inputs, as down_proj is.
  EXPECT_EQ(bytes(q3, LinearShape::matrix(2048, 4096, kBf16)), 2048U * 32 * 50 + 4U);
  EXPECT_EQ(bytes(q3, LinearShape::matrix(4096, 2048, kBf16)), 4096U * 16 * 50 + 4U);
  // 150 of 300 inputs are two blocks on either rank: four together, where the whole has three.
  EXPECT_EQ(bytes(q3, LinearShape::matrix(4096, 150, kBf16)), 4096U * 2 * 50 + 4U);
  // Rows of 6 bits packed into int32 along the outputs: 16 rows are three words.
  const Storage& rows = *own->find_format("acme_q6_rows");
  EXPECT_EQ(bytes(rows, LinearShape::matrix(1024, 256, kBf16)), 64U * 3 * 256 * 4 + 32U * 4 * 2);
  EXPECT_EQ(bytes(rows, LinearShape::matrix(500, 256, kBf16)), 32U * 3 * 256 * 4 + 16U * 4 * 2);
}

TEST(VendorFormats, StackedExpertsAndTheirTransposes) {
  const auto own = read(kTypes, kFormats);
  const Storage& q3 = *own->find_format("acme_q3");
  // 8 experts of Mixtral's w1.
  const LinearShape experts = LinearShape::packed(8, 14336, 4096, kBf16);
  EXPECT_THAT(named_listing(q3, "experts.up_proj", experts),
              ElementsAre("experts.up_proj uint8 [8,14336,1536]", "experts.up_proj_weight_scale float16 [8,14336,32]",
                          "experts.up_proj_weight_scale_2 float32 [8,1,1]"));
  EXPECT_EQ(bytes(q3, experts), 8U * (14336U * 32 * 50 + 4));
  const LinearShape transposed = LinearShape::packed_in_out(8, 4096, 14336, kBf16);
  EXPECT_EQ(named_listing(q3, "experts.up_proj", transposed).front(), "experts.up_proj uint8 [8,1536,14336]");
  EXPECT_EQ(bytes(q3, transposed), bytes(q3, experts));
}

TEST(VendorFormats, DefaultsAndOwnTypes) {
  const auto own = read(kTypes, kFormats);
  // The fewest elements of 3 bits that make whole bytes: 8 in 3.
  const Storage& plain = *own->find_format("acme_q3_plain");
  EXPECT_THAT(named_listing(plain, "a.weight", LinearShape::matrix(10, 17, kBf16)), ElementsAre("a.weight uint8 [10,9]"));
  // One scale for a row where nothing is said, and scales of a type of the manifest's own: 64 x 256 of them in blocks of 64.
  const Storage& lat = *own->find_format("acme_lat");
  const LinearShape shape = LinearShape::matrix(64, 4096, kBf16);
  EXPECT_THAT(named_listing(lat, "a.weight", shape),
              ElementsAre("a.weight uint8 [64,2048]", "a.acme_zeros acme_lat5 [64,256]", "a.scale float32 [64,1]"));
  EXPECT_EQ(bytes(lat, shape), 64U * 2048 + 64U * 256 / 64 * 42 + 64U * 4);
  EXPECT_EQ(own->find_type("acme_lat5")->bytes(65).value(), 84U);
  // A name means nothing: these are no 4-bit floats.
  EXPECT_FALSE(own->find_format("mxfp4_acme")->is_fp4());
  // What the host has is not found here.
  EXPECT_EQ(own->find_type("float16"), nullptr);
  EXPECT_EQ(own->find_format("plain"), nullptr);
  EXPECT_EQ(own->find_format("acme_q4"), nullptr);
}

TEST(VendorFormats, NoKeysAreNoFormats) {
  const auto none = read_vendor_formats(nullptr, nullptr, "plugin.yaml");
  ASSERT_TRUE(none);
  EXPECT_TRUE((*none)->types.empty());
  EXPECT_TRUE((*none)->formats.empty());
  ASSERT_NE(VendorFormats::none(), nullptr);
  EXPECT_EQ(VendorFormats::none()->find_type("acme"), nullptr);
}

// A checkpoint's tensor is found to be of its class by the name of its scale.
TEST(VendorFormats, ScaleNamesAreKnownInCheckpoints) {
  const auto own = read(kTypes, kFormats);
  EXPECT_THAT(own->scale_names, ElementsAre("acme_zeros", "scale")); // the others are known anyhow
  struct Case {
    const char* name;
    const char* stem; // empty: no such suffix
    bool has_weight;
  };
  const Case cases[] = {
      {"l.q_proj.acme_zeros", "l.q_proj", true},
      {"l.q_proj.scale", "l.q_proj", true},
      {"experts.up_proj_acme_zeros", "experts.up_proj", false},
      {"l.q_proj.weight_scale", "l.q_proj", true},                // as without
      {"experts.up_proj_weight_scale", "experts.up_proj", false}, // and not "experts.up_proj_weight" with "scale"
      {"l.q_proj.weight", "", false},
      {"l.q_projacme_zeros", "", false},
      {"acme_zeros", "", false},
  };
  for (const Case& c : cases) {
    const auto found = parse_stored_name(c.name, own->scale_names);
    ASSERT_EQ(found.has_value(), *c.stem != '\0') << c.name;
    if (!found) continue;
    EXPECT_EQ(found->stem, c.stem) << c.name;
    EXPECT_EQ(found->has_weight, c.has_weight) << c.name;
    EXPECT_EQ(found->role, StoredRole::kScale) << c.name;
  }
  EXPECT_FALSE(parse_stored_name("l.q_proj.acme_zeros"));
}

struct Refused {
  const char* types;
  const char* formats;
  const char* says;
  const char* pointer;
};

TEST(VendorFormats, AreRefusedWithTheKeyAtFault) {
  const Refused cases[] = {
      {"[]", "{}", "a JSON array instead of keys and values", "/types"},
      {R"({"a": 3})", "{}", "3 instead of keys and values", "/types/a"},
      {R"({"a": {}})", "{}", "nothing instead of an integer from 1 to 16777216", "/types/a/bytes"},
      {R"({"a": {"bytes": 0}})", "{}", "0 instead of an integer from 1 to 16777216", "/types/a/bytes"},
      {R"({"a": {"bytes": 16777217}})", "{}", "16777217 instead of an integer", "/types/a/bytes"},
      {R"({"a": {"bytes": "2"}})", "{}", "\"2\" instead of an integer", "/types/a/bytes"},
      {R"({"a": {"bytes": 1.5}})", "{}", "1.5 instead of an integer", "/types/a/bytes"},
      {R"({"a": {"bytes": 1, "block": 0}})", "{}", "0 instead of an integer from 1 to 1048576", "/types/a/block"},
      {R"({"a": {"bytes": 1, "block": 1048577}})", "{}", "1048577 instead of an integer", "/types/a/block"},
      {R"({"a": {"bytes": 1, "blok": 2}})", "{}", "an unknown key; did you mean block?", "/types/a/blok"},
      {R"({"a": {"bytes": 1, "xyz": 2}})", "{}", "an unknown key; block, bytes are known", "/types/a/xyz"},
      {R"({"bfloat16": {"bytes": 2}})", "{}", "'bfloat16' is built in", "/types/bfloat16"},
      {R"({"fp8": {"bytes": 1}})", "{}", "'fp8' is built in", "/types/fp8"},
      {R"({"bf16": {"bytes": 2}})", "{}", "'bf16' is built in", "/types/bf16"}, // as safetensors says it
      {R"({"state": {"bytes": 2}})", "{}", "'state' is built in", "/types/state"},
      {R"({"": {"bytes": 2}})", "{}", "a name of 1 to 64 of a-z, 0-9, _ . and - was expected", "/types/"},
      {R"({"Acme": {"bytes": 2}})", "{}", "a name of 1 to 64 of a-z", "/types/Acme"},
      {R"({"a b": {"bytes": 2}})", "{}", "a name of 1 to 64 of a-z", "/types/a b"},
      {R"({"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": {"bytes": 2}})", "{}", "a name of 1 to 64",
       "/types/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
      {"{}", "3", "3 instead of keys and values", "/formats"},
      {"{}", R"({"q": []})", "a JSON array instead of keys and values", "/formats/q"},
      {"{}", R"({"q": {}})", "nothing instead of an integer from 1 to 64", "/formats/q/bits_per_element"},
      {"{}", R"({"q": {"bits_per_element": 65}})", "65 instead of an integer from 1 to 64", "/formats/q/bits_per_element"},
      {"{}", R"({"q": {"bits_per_element": 3, "block": 100}})", "100 elements of 3 bits make no whole uint8; a multiple of 8 was expected",
       "/formats/q/block"},
      {"{}", R"({"q": {"bits_per_element": 3, "block": 24, "packed": "int32"}})", "make no whole int32; a multiple of 32",
       "/formats/q/block"},
      {"{}", R"({"q": {"bits_per_element": 3, "block": 0}})", "0 instead of an integer from 1 to 1048576", "/formats/q/block"},
      {"{}", R"({"q": {"bits_per_element": 3, "block": 1048584}})", "1048584 instead of an integer", "/formats/q/block"},
      {"{}", R"({"q": {"bits_per_element": 3, "along": "rows"}})", "\"rows\" instead of input or output", "/formats/q/along"},
      {"{}", R"({"q": {"bits_per_element": 3, "along": 1}})", "1 instead of a string", "/formats/q/along"},
      {"{}", R"({"q": {"bits_per_element": 3, "packed": "float16"}})", "instead of an integer type of the host", "/formats/q/packed"},
      {R"({"a": {"bytes": 1}})", R"({"q": {"bits_per_element": 3, "packed": "a"}})", "instead of an integer type of the host",
       "/formats/q/packed"},
      {"{}", R"({"q": {"bits_per_element": 3, "bloc": 8}})", "an unknown key; did you mean block?", "/formats/q/bloc"},
      {"{}", R"({"plain": {"bits_per_element": 3}})", "'plain' is built in", "/formats/plain"},
      {"{}", R"({"fp8_block_32x32": {"bits_per_element": 8}})", "'fp8_block_32x32' is built in", "/formats/fp8_block_32x32"},
      {"{}", R"({"Q": {"bits_per_element": 3}})", "a name of 1 to 64 of a-z", "/formats/Q"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": {"type": "float16"}}})", "instead of a list", "/formats/q/scales"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": ["float16"]}})", "instead of keys and values", "/formats/q/scales/0"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{}]}})", "nothing instead of a type", "/formats/q/scales/0/type"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": 16}]}})", "16 instead of a string", "/formats/q/scales/0/type"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "flat16"}]}})", "\"flat16\" instead of a type",
       "/formats/q/scales/0/type"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16", "inputs": 0}]}})", "0 instead of an integer from 1",
       "/formats/q/scales/0/inputs"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16", "outputs": "every"}]}})",
       "\"every\" instead of an integer from 1 to 1048576, or all", "/formats/q/scales/0/outputs"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16", "output": 1}]}})", "did you mean outputs?",
       "/formats/q/scales/0/output"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16"}, {"type": "float16"}]}})", "a name was expected",
       "/formats/q/scales/1/name"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16"}, {"type": "float16", "name": "weight_scale"}]}})",
       "two scales are called 'weight_scale'", "/formats/q/scales/1/name"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16", "name": ""}]}})", "1 to 64 letters, digits and _",
       "/formats/q/scales/0/name"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16", "name": "a.b"}]}})", "1 to 64 letters, digits and _",
       "/formats/q/scales/0/name"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16", "name": "weight"}]}})", "what another tensor is called",
       "/formats/q/scales/0/name"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16", "name": "bias"}]}})", "what another tensor is called",
       "/formats/q/scales/0/name"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16", "name": "k_scale"}]}})", "what another tensor is called",
       "/formats/q/scales/0/name"},
      {"{}", R"({"q": {"bits_per_element": 3, "scales": [{"type": "float16", "name": "qweight"}]}})", "what another tensor is called",
       "/formats/q/scales/0/name"},
  };
  for (const Refused& c : cases) {
    const Json types = json(c.types);
    const Json formats = json(c.formats);
    const auto refused = read_vendor_formats(&types, &formats, "plugin.yaml");
    ASSERT_FALSE(refused) << c.types << c.formats;
    EXPECT_EQ(refused.error().code, ErrorCode::kPluginFailed);
    EXPECT_THAT(refused.error().message, HasSubstr(c.says)) << c.types << c.formats;
    EXPECT_EQ(refused.error().where, std::string("plugin.yaml: ") + c.pointer) << refused.error().message;
  }
}

TEST(VendorFormats, TheirNumberEnds) {
  const auto many = [](int n, const std::string& value) {
    Json out = Json::object();
    for (int i = 0; i < n; ++i) out["n" + std::to_string(i)] = json(value);
    return out;
  };
  const Json types = many(64, R"({"bytes": 1})");
  const Json formats = many(64, R"({"bits_per_element": 4})");
  EXPECT_TRUE(read_vendor_formats(&types, &formats, "f"));
  const Json more_types = many(65, R"({"bytes": 1})");
  const Json more_formats = many(65, R"({"bits_per_element": 4})");
  EXPECT_EQ(read_vendor_formats(&more_types, nullptr, "f").error().message, "65 types; at most 64 are read");
  EXPECT_EQ(read_vendor_formats(nullptr, &more_formats, "f").error().message, "65 formats; at most 64 are read");
  Json scales = json(R"({"q": {"bits_per_element": 4, "scales": []}})");
  for (int i = 0; i < 9; ++i) {
    const auto read = read_vendor_formats(nullptr, &scales, "f");
    EXPECT_TRUE(read) << i;
    scales["q"]["scales"].push_back(Json{{"type", "float16"}, {"name", "s" + std::to_string(i)}});
  }
  EXPECT_EQ(read_vendor_formats(nullptr, &scales, "f").error().message, "9 scales; at most 8 are read");
}

// The largest that can be said, of the largest matrix: too large for 64 bits, and said so.
TEST(VendorFormats, DoNotWrap) {
  const auto own = read(R"({"t": {"bytes": 16777216}})",
                        R"({"q": {"bits_per_element": 64, "block": 1048576, "packed": "int64", "scales": [{"type": "t", "inputs": 1}]}})");
  const std::uint64_t most = std::uint64_t{1} << 40;
  EXPECT_TRUE(own->find_format("q")->bytes(LinearShape::matrix(most, most, kBf16)).overflowed());
  EXPECT_EQ(own->find_format("q")->bytes(LinearShape::matrix(1, 1, kBf16)).value(), 1048576U * 8 + 16777216U);
}

} // namespace
} // namespace plimsoll
