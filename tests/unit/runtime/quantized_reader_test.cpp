// Quantised matrices out of files: any run of their elements, several in one tensor, more rows than are read at once, and files that lie.
#include "runtime/quantized_reader.hpp"

#include <cstring>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/loader.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::quantized_reader_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// One file whose arrays follow one another.
class QuantizedFile : public ::testing::Test {
protected:
  StoredArray put(const std::string& name, const std::string& dtype, std::uint64_t rows, std::uint64_t columns, const std::string& bytes) {
    StoredArray out{name, dtype, 0, bytes_.size(), rows, columns};
    bytes_ += bytes;
    return out;
  }
  // Two matrices of 3 x 4 in int8: 1 to 24, rows scaled by 1, 2, 4 and 8, 16, 32.
  QuantizedMatrices small() {
    QuantizedMatrices out;
    out.format = "int8_bytes_channel";
    out.how.element = Unpacking::Element::kInteger;
    out.how.index = Unpacking::Index::kMayBe;
    out.how.block_out = 1;
    out.matrices = 2;
    out.rows = 3;
    out.columns = 4;
    std::vector<std::int8_t> quants(24);
    for (std::size_t i = 0; i < quants.size(); ++i) quants[i] = static_cast<std::int8_t>(i + 1);
    out.quants = put("w.weight", "int8", 3, 4, raw(quants));
    out.scales = put("w.weight_scale", "float32", 3, 1, raw(std::vector<float>{1, 2, 4, 8, 16, 32}));
    return out;
  }
  // One of 2 x 8 in GPTQ's layout with groups of 4.
  QuantizedMatrices gptq(const std::vector<std::int32_t>& index) {
    QuantizedMatrices out;
    out.format = "gptq_int4_g4";
    out.how.element = Unpacking::Element::kInteger;
    out.how.bits = 4;
    out.how.order = Unpacking::Order::kByInput;
    out.how.zero = Unpacking::Zero::kStoredLess;
    out.how.index = Unpacking::Index::kMust;
    out.how.block_out = 1;
    out.how.block_in = 4;
    out.rows = 2;
    out.columns = 8;
    out.quants = put("m.qweight", "int32", 1, 2, raw(std::vector<std::uint32_t>{0x76543210, 0x76543210}));
    out.scales = put("m.scales", "float32", 2, 2, raw(std::vector<float>{1, 2, 10, 20}));
    out.zeros = put("m.qzeros", "int32", 2, 1, raw(std::vector<std::uint32_t>{0x77, 0x77}));
    out.index = put("m.g_idx", "int32", 1, 8, raw(index));
    return out;
  }
  Result<std::vector<float>> read(const QuantizedMatrices& from, std::uint64_t first, std::uint64_t n) {
    test::write_text(path_, bytes_);
    const std::vector<std::string> files{path_};
    std::vector<float> out;
    PLIMSOLL_TRY(QuantizedReader(files).read(from, first, n, [&](std::span<const float> row) -> Result<void> {
      out.insert(out.end(), row.begin(), row.end());
      return {};
    }));
    return out;
  }
  std::string error(const QuantizedMatrices& from) {
    const auto found = read(from, 0, from.matrices * from.rows * from.columns);
    EXPECT_FALSE(found);
    if (found) return "";
    EXPECT_EQ(found.error().code, ErrorCode::kBadCheckpoint);
    EXPECT_EQ(found.error().where, path_);
    return found.error().message;
  }

  test::TemporaryDirectory folder_;
  std::string path_ = folder_ / "q.bin", bytes_;
};

TEST_F(QuantizedFile, AnyRunOfElementsIsReadAsAPartOfAll) {
  const QuantizedMatrices from = small();
  ASSERT_EQ(inconsistency_of(from, 1), "");
  const std::vector<float> all{1, 2, 3, 4, 10, 12, 14, 16, 36, 40, 44, 48, 104, 112, 120, 128, 272, 288, 304, 320, 672, 704, 736, 768};
  for (std::uint64_t first = 0; first < all.size(); ++first)
    for (std::uint64_t n = 1; n <= all.size() - first; ++n) {
      const auto found = read(from, first, n);
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_EQ(*found, std::vector<float>(all.begin() + static_cast<long>(first), all.begin() + static_cast<long>(first + n)))
          << first << " " << n;
    }
}

TEST_F(QuantizedFile, AnIndexSaysWhichGroupAnInputIsIn) {
  const auto in_order = read(gptq({0, 0, 0, 0, 1, 1, 1, 1}), 0, 16);
  ASSERT_TRUE(in_order) << in_order.error().message;
  EXPECT_THAT(*in_order, ElementsAre(-8, -7, -6, -5, -40, -30, -20, -10, -16, -14, -12, -10, -80, -60, -40, -20));
  const auto mixed = read(gptq({1, 0, 1, 0, 1, 0, 1, 0}), 0, 8);
  ASSERT_TRUE(mixed) << mixed.error().message;
  EXPECT_THAT(*mixed, ElementsAre(-80, -7, -60, -5, -40, -3, -20, -1));
}

TEST_F(QuantizedFile, AnIndexThatLeadsNowhereIsRefused) {
  EXPECT_THAT(error(gptq({0, 0, 0, 2, 1, 1, 1, 1})), AllOf(HasSubstr("'m.g_idx'"), HasSubstr("input 3 is in group 2, and there are 2")));
  EXPECT_THAT(error(gptq({0, 0, 0, 0, 1, 1, 1, INT32_MIN})), HasSubstr("input 7 is in group -2147483648"));
  EXPECT_THAT(error(gptq(std::vector<std::int32_t>(8, -1))), HasSubstr("input 0 is in group -1"));
}

TEST_F(QuantizedFile, CompressedTensorsLeaveAnIndexUnset) {
  QuantizedMatrices from = small();
  from.matrices = 1;
  from.how.block_in = 2;
  from.scales = put("w.weight_scale", "float32", 3, 2, raw(std::vector<float>{1, 10, 1, 10, 1, 10}));
  from.index = put("w.weight_g_idx", "int32", 1, 4, raw(std::vector<std::int32_t>(4, -1)));
  const auto found = read(from, 0, 4);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, ElementsAre(1, 2, 30, 40));
  from.index = put("w.weight_g_idx", "int32", 1, 4, raw(std::vector<std::int32_t>{-1, 0, 0, 1}));
  EXPECT_THAT(error(from), HasSubstr("input 0 is in group -1"));
}

TEST_F(QuantizedFile, AShapeThatTheFileSaysIsHeldAgainstTheModels) {
  QuantizedMatrices from = small();
  from.matrices = 1;
  from.shape = put("w.weight_shape", "int64", 1, 2, raw(std::vector<std::int64_t>{3, 4}));
  EXPECT_TRUE(read(from, 0, 12));
  from.shape = put("w.weight_shape", "int32", 1, 2, raw(std::vector<std::int32_t>{3, 4}));
  EXPECT_TRUE(read(from, 0, 12));
  from.shape = put("w.weight_shape", "int64", 1, 2, raw(std::vector<std::int64_t>{4, -3}));
  EXPECT_THAT(error(from), AllOf(HasSubstr("'w.weight_shape' says [4, 18446744073709551613], expected [3, 4]")));
}

// More than is read at once, in rows that begin and end within AWQ's words of eight.
TEST_F(QuantizedFile, BandsOfRowsFollowOneAnother) {
  QuantizedMatrices from;
  from.how.element = Unpacking::Element::kInteger;
  from.how.bits = 4;
  from.how.order = Unpacking::Order::kByInputOutputs;
  from.how.zero = Unpacking::Zero::kStored;
  from.how.block_out = 1;
  from.rows = 40;
  from.columns = 1U << 18;
  std::vector<std::uint32_t> words(from.columns * 5);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint32_t>(i * 2654435761U);
  from.quants = put("m.qweight", "int32", from.columns, 5, raw(words));
  from.scales = put("m.scales", "float32", 1, 40, raw(std::vector<float>(40, 1.0F)));
  from.zeros = put("m.qzeros", "int32", 1, 5, raw(std::vector<std::uint32_t>(5, 0x88888888)));
  ASSERT_EQ(inconsistency_of(from, 1), "");
  test::write_text(path_, bytes_);
  const std::vector<std::string> files{path_};
  constexpr std::array<std::uint32_t, 8> kPlace{0, 4, 1, 5, 2, 6, 3, 7};
  std::uint64_t row = 0, wrong = 0;
  const auto done = QuantizedReader(files).read(from, 0, from.rows * from.columns, [&](std::span<const float> elements) -> Result<void> {
    EXPECT_EQ(elements.size(), from.columns);
    for (std::size_t i = row % 7; i < elements.size(); i += 7) {
      const std::uint32_t quant = words[i * 5 + row / 8] >> (4 * kPlace[row % 8]) & 15;
      if (elements[i] != static_cast<float>(quant) - 8) ++wrong;
    }
    ++row;
    return {};
  });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(row, from.rows);
  EXPECT_EQ(wrong, 0);
}

// Whoever makes sources may be wrong: a loader finds it before it reads.
TEST_F(QuantizedFile, SourcesThatContradictThemselvesAreRefused) {
  using Change = std::function<void(QuantizedMatrices&)>;
  const std::vector<std::pair<const char*, Change>> changes{
      {"bits", [](auto& m) { m.how.bits = 0; }},
      {"odd bits", [](auto& m) { m.how.bits = 3; }},
      {"no rows", [](auto& m) { m.rows = 0; }},
      {"no matrices", [](auto& m) { m.matrices = 0; }},
      {"wide", [](auto& m) { m.columns = UINT64_MAX; }},
      {"large", [](auto& m) { m.matrices = UINT64_MAX / 8; }},
      {"quants", [](auto& m) { ++m.quants.columns; }},
      {"type of quants", [](auto& m) { m.quants.dtype = "float32"; }},
      {"unknown type", [](auto& m) { m.quants.dtype = "int5"; }},
      {"scales", [](auto& m) { ++m.scales.rows; }},
      {"no scales", [](auto& m) { m.scales.dtype.clear(); }},
      {"type of scales", [](auto& m) { m.scales.dtype = "int32"; }},
      {"no zeros", [](auto& m) { m.zeros.dtype.clear(); }},
      {"zeros", [](auto& m) { ++m.zeros.rows; }},
      {"zeros of none", [](auto& m) { m.how.zero = Unpacking::Zero::kNone; }},
      {"no second", [](auto& m) { m.how.second = Unpacking::Second::kTimes; }},
      {"second of none", [](auto& m) { m.second = m.scales; }},
      {"index", [](auto& m) { m.index.columns = 1; }},
      {"index of none", [](auto& m) { m.how.index = Unpacking::Index::kNone; }},
      {"shape", [](auto& m) { m.shape = m.scales; }},
      {"file", [](auto& m) { m.scales.file = 1; }},
      {"end", [](auto& m) { m.zeros.offset_bytes = UINT64_MAX; }},
  };
  for (const auto& [name, change] : changes) {
    QuantizedMatrices from = gptq({0, 0, 0, 0, 1, 1, 1, 1});
    ASSERT_EQ(inconsistency_of(from, 1), "");
    change(from);
    EXPECT_NE(inconsistency_of(from, 1), "") << name;
  }
}

TEST_F(QuantizedFile, ALoaderRefusesRunsBeyondTheirMatrices) {
  const auto load = [&](const std::function<void(WeightTensor&)>& change) {
    bytes_.clear();
    WeightTensor tensor{"w", UINT32_MAX, "float32", 0, {3, 4}, 1, {}, 48, {}};
    WeightPiece& piece = tensor.pieces.emplace_back();
    auto matrices = small();
    piece.bytes = 48;
    piece.quantized = std::make_shared<const QuantizedMatrices>(matrices);
    change(tensor);
    test::write_text(path_, bytes_);
    std::vector<float> memory(12);
    WeightSources sources;
    sources.files = {path_};
    sources.tensors = {tensor};
    const auto loaded = load_weights(
        sources, [&](const WeightTensor&) -> Result<std::span<std::byte>> { return std::as_writable_bytes(std::span(memory)); });
    return loaded ? "" : loaded.error().message;
  };
  EXPECT_EQ(load([](WeightTensor&) {}), "");
  EXPECT_EQ(load([](WeightTensor& t) { t.pieces[0].offset_bytes = 48; }), "");
  for (const std::uint64_t offset : {52U, 2U, 96U})
    EXPECT_THAT(load([&](WeightTensor& t) { t.pieces[0].offset_bytes = offset; }), HasSubstr("inconsistent")) << offset;
  EXPECT_THAT(load([](WeightTensor& t) { t.pieces[0].minus_one = true; }), HasSubstr("inconsistent"));
  EXPECT_THAT(load([](WeightTensor& t) { t.pieces[0].block_type = "q8_0"; }), HasSubstr("inconsistent"));
  EXPECT_THAT(load([](WeightTensor& t) { t.dtype = "bfloat16"; }), HasSubstr("inconsistent"));
  EXPECT_THAT(load([&](WeightTensor&) { bytes_.resize(bytes_.size() - 1); }), HasSubstr("it was changed after its header was read"));
}

} // namespace
} // namespace plimsoll::quantized_reader_test
