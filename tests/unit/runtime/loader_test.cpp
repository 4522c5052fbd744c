// Weights in memory: those that the tiny models were made of, whatever the format and order they are stored in; and files that change, lie
// or are not there when they are loaded.
#include "runtime/loader.hpp"

#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sys/stat.h>

#include "support/filled_tensor.hpp"
#include "support/opened_model.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_bytes.hpp"
#include "support/tiny_gguf.hpp"
#include "support/tiny_hybrid_weights.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll::loader_test {
namespace {

namespace fs = std::filesystem;
using test::TinyFormat;
using test::TinyModel;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Bytes = std::vector<std::byte>;

// Memory by label and layer.
class Memory {
public:
  Result<std::vector<std::span<std::byte>>> load(const WeightSources& sources, const WeightsProgress& progress = {}) {
    tensors.clear();
    return load_weights(
        sources,
        [this](const WeightTensor& tensor) -> Result<std::span<std::byte>> {
          Bytes& bytes = tensors[{tensor.label, tensor.layer}];
          bytes.assign(tensor.bytes, std::byte{0xee});
          return std::span(bytes);
        },
        progress);
  }
  std::map<std::pair<std::string, std::uint32_t>, Bytes> tensors;
};

std::string text(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::vector<float> floats(const Bytes& bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

// ---- what was stored is what is loaded ----

// Gemma's score divisor is no key of GGUF files, so whoever converts puts it into the weights unless it is the head's width.
TinyModel model_of(const std::string& name) {
  TinyModel model = test::tiny_model(name);
  auto config = nlohmann::ordered_json::parse(model.config);
  if (!config.contains("query_pre_attn_scalar")) return model;
  config["query_pre_attn_scalar"] = config["head_dim"];
  return test::tiny_model_of(config.dump(), 1);
}

// The numbers of a class in one layer, as the model was made: expert after expert.
std::vector<float> made(const TinyModel& model, const WeightClass& c, std::uint32_t layer) {
  std::vector<float> out;
  const bool apart = c.pattern.find("{expert}") != std::string::npos;
  for (std::uint64_t e = 0; e < (apart ? c.whole_experts() : 1); ++e) {
    const std::string name = tensor_name(c.pattern, layer, e);
    for (const test::TinyTensor& tensor : model.tensors)
      if (tensor.name == name) out.insert(out.end(), tensor.values.begin(), tensor.values.end());
  }
  return out;
}

class LoadedTinyModel : public ::testing::TestWithParam<std::string> {
protected:
  WeightSources write(TinyFormat format, std::uint32_t shards) {
    const std::string folder = folder_ / std::to_string(folders_++);
    fs::create_directory(folder);
    test::write_tiny_folder(model_, folder, format, shards);
    auto opened = test::open_model(folder);
    EXPECT_TRUE(opened) << opened.error().message;
    data_ = opened->model;
    auto sources = weight_sources(*data_, opened->checkpoint);
    EXPECT_TRUE(sources) << sources.error().message;
    return std::move(*sources);
  }
  TinyModel model_ = model_of(GetParam());
  std::shared_ptr<const Model::Data> data_;
  test::TemporaryDirectory folder_;
  int folders_ = 0;
};

TEST_P(LoadedTinyModel, HoldsTheNumbersItWasMadeOf) {
  Memory memory;
  for (const auto& [format, type] :
       {std::pair{TinyFormat::kF32, "float32"}, {TinyFormat::kF16, "float16"}, {TinyFormat::kBF16, "bfloat16"}})
    for (const std::uint32_t shards : {1U, 4U}) {
      const WeightSources sources = write(format, shards);
      const auto loaded = memory.load(sources);
      ASSERT_TRUE(loaded) << loaded.error().message;
      std::size_t compared = 0;
      for (const WeightClass& c : data_->declared.weights) {
        if (c.role != PLIMSOLL_ROLE_MODEL) continue;
        for (std::size_t i = 0; i < std::max<std::size_t>(1, c.layers.size()); ++i) {
          const std::uint32_t layer = c.layers.empty() ? UINT32_MAX : c.layers[i];
          const TinyFormat stored = test::stored_format(c.pattern, format);
          ASSERT_TRUE(memory.tensors.contains({c.label, layer})) << c.label;
          EXPECT_TRUE(text(memory.tensors[{c.label, layer}]) == test::tiny_bytes(made(model_, c, layer), stored))
              << c.label << " " << layer << " " << type << " " << shards;
          ++compared;
        }
      }
      EXPECT_EQ(compared, sources.tensors.size());
      for (std::size_t i = 0; i < sources.tensors.size(); ++i)
        EXPECT_EQ((*loaded)[i].data(), (memory.tensors[{sources.tensors[i].label, sources.tensors[i].layer}].data()));
    }
}

// What a GGUF file does not say is refused before anything is loaded (weight_sources_test.cpp).
const std::set<std::string> kNotFromGguf{"llama3",  "phi3",         "phi4",    "granite_hybrid", "qwen3_next",   "exaone4", "olmo3",
                                         "smollm3", "glm4",         "cohere2", "minimax_m2",     "qwen3_vl_moe", "phi",     "starcoder2",
                                         "llama4",  "llama4_lists", "gemma4",  "gemma4_inputs",  "gemma4_moe",   "opt",     "bloom",
                                         "mpt",     "falcon",       "olmo",    "chatglm"};

TEST_P(LoadedTinyModel, IsTheSameFromGguf) {
  if (kNotFromGguf.contains(GetParam()) || test::is_tiny_hybrid(nlohmann::json::parse(model_.config))) return;
  const bool one_added = GetParam().starts_with("gemma");
  for (const TinyFormat format : {TinyFormat::kF32, TinyFormat::kF16, TinyFormat::kBF16}) {
    Memory expected, found;
    const WeightSources sources = write(format, 1);
    ASSERT_TRUE(expected.load(sources));
    const std::string path = folder_ / "model.gguf";
    test::write_tiny_gguf(model_, path, format);
    const auto gguf = test::sources_of(path);
    ASSERT_TRUE(gguf) << gguf.error().message;
    const auto loaded = found.load(*gguf);
    ASSERT_TRUE(loaded) << loaded.error().message;
    ASSERT_EQ(sources.tensors.size(), gguf->tensors.size());
    for (std::size_t i = 0; i < sources.tensors.size(); ++i) {
      const WeightTensor &a = sources.tensors[i], &b = gguf->tensors[i];
      ASSERT_EQ(std::tie(a.label, a.layer, a.dims, a.experts), std::tie(b.label, b.layer, b.dims, b.experts));
      const Bytes &x = expected.tensors[{a.label, a.layer}], &y = found.tensors[{b.label, b.layer}];
      if (a.dtype != b.dtype) continue; // GGUF keeps vectors and routers in float32
      if (!one_added || a.dims.size() != 1) {
        EXPECT_TRUE(x == y) << a.label << " " << a.layer << " " << a.dtype;
        continue;
      }
      // Adding 1 rounded g; 1 + g is what the norm multiplies by, and that is the same.
      const std::vector<float> gains = floats(x), others = floats(y);
      for (std::size_t g = 0; g < gains.size(); ++g) ASSERT_EQ(1 + gains[g], 1 + others[g]) << a.label << " " << a.layer;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Loader, LoadedTinyModel, ::testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& info) { return info.param; });

// ---- strides ----

class LoaderTest : public ::testing::Test {
protected:
  // A file of so many numbers, each its own place.
  std::string numbers(std::size_t count, TinyFormat format = TinyFormat::kF32) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
    const std::string path = folder_ / "numbers";
    std::ofstream(path, std::ios::binary) << test::tiny_bytes(values, format);
    return path;
  }
  static WeightTensor tensor(std::uint64_t elements, std::vector<WeightPiece> pieces) {
    WeightTensor out;
    out.label = "w";
    out.dtype = "float32";
    out.bytes = elements * 4;
    out.dims = {elements};
    out.pieces = std::move(pieces);
    return out;
  }
  static WeightPiece piece(std::uint64_t from, std::uint64_t elements, std::uint64_t to, std::vector<WeightAxis> axes = {}) {
    WeightPiece out;
    out.offset_bytes = from * 4;
    out.bytes = elements * 4;
    out.to_bytes = to * 4;
    out.axes = std::move(axes);
    return out;
  }
  Error error(const WeightSources& sources) {
    Memory memory;
    const auto loaded = memory.load(sources);
    EXPECT_FALSE(loaded);
    return loaded ? Error{} : loaded.error();
  }
  test::TemporaryDirectory folder_;
};

// Any permutation of any dimensions puts each element where the definition says, across the borders of what is read at once.
TEST_F(LoaderTest, ElementsGoWhereTheirAxesLead) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const std::size_t rank = 1 + random() % 4;
    std::vector<WeightAxis> axes(rank);
    std::uint64_t elements = 1;
    for (WeightAxis& axis : axes) elements *= axis.extent = 1 + random() % (round < 40 ? 9 : 40);
    std::vector<std::size_t> order(rank);
    for (std::size_t i = 0; i < rank; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    std::uint64_t stride = 1 + random() % 2;
    for (const std::size_t i : order) {
      axes[i].to_stride_elements = stride;
      stride *= axes[i].extent;
    }
    const std::uint64_t from = random() % 5, to = random() % 5, room = to + stride;
    const WeightSources sources{{numbers(from + elements)}, {tensor(room, {piece(from, elements, to, axes)})}};
    Memory memory;
    const auto loaded = memory.load(sources);
    ASSERT_TRUE(loaded) << loaded.error().message;
    const std::vector<int> expected = test::filled(sources.tensors[0]);
    const std::vector<float> found = floats(memory.tensors[{"w", UINT32_MAX}]);
    ASSERT_EQ(expected.size(), found.size());
    for (std::size_t i = 0; i < found.size(); ++i)
      if (expected[i] >= 0) ASSERT_EQ(found[i], static_cast<float>(expected[i])) << round << " " << i;
      else ASSERT_EQ(std::bit_cast<std::uint32_t>(found[i]), 0xeeeeeeeeU) << round << " " << i;
  }
}

TEST_F(LoaderTest, ReadsInManyBlocks) {
  constexpr std::uint64_t kRows = 1200, kColumns = 1001; // 4.8 MB
  const WeightSources sources{{numbers(kRows * kColumns)},
                              {tensor(kRows * kColumns, {piece(0, kRows * kColumns, 0, {{kRows, 1}, {kColumns, kRows}})}),
                               tensor(700'000, {piece(77, 700'000, 0)})}};
  Memory memory;
  std::vector<std::byte> turned(sources.tensors[0].bytes), straight(sources.tensors[1].bytes);
  const auto loaded = load_weights(sources, [&](const WeightTensor& tensor) -> Result<std::span<std::byte>> {
    return std::span(tensor.pieces[0].axes.empty() ? straight : turned);
  });
  ASSERT_TRUE(loaded) << loaded.error().message;
  const std::vector<float> found = floats(turned), plain = floats(straight);
  for (std::uint64_t row = 0; row < kRows; ++row)
    for (std::uint64_t column = 0; column < kColumns; ++column)
      ASSERT_EQ(found[column * kRows + row], static_cast<float>(row * kColumns + column));
  for (std::size_t i = 0; i < plain.size(); ++i) ASSERT_EQ(plain[i], static_cast<float>(77 + i));
}

TEST_F(LoaderTest, TypesOfTwoBytesAndGainsWithOneAdded) {
  WeightSources sources{{numbers(8, TinyFormat::kBF16)}, {tensor(2, {piece(0, 2, 0, {{2, 2}, {2, 1}})})}};
  sources.tensors[0].dtype = "bfloat16"; // [2, 2] turned into columns
  sources.tensors[0].pieces[0].axes = {{2, 1}, {2, 2}};
  Memory memory;
  ASSERT_TRUE(memory.load(sources));
  EXPECT_EQ(text(memory.tensors[{"w", UINT32_MAX}]), test::tiny_bytes(std::vector<float>{0, 2, 1, 3}, TinyFormat::kBF16));

  sources = {{numbers(4)}, {tensor(4, {piece(0, 4, 0)})}};
  sources.tensors[0].pieces[0].minus_one = true;
  ASSERT_TRUE(memory.load(sources));
  EXPECT_EQ(floats(memory.tensors[{"w", UINT32_MAX}]), (std::vector<float>{-1, 0, 1, 2}));
}

// A file keeps -exp(x) of what a state decays by.
TEST_F(LoaderTest, LogarithmsOfWhatIsBelowZero) {
  const auto written = [this](const std::vector<float>& values) {
    test::write_text(folder_ / "decays", test::tiny_bytes(values, TinyFormat::kF32));
    WeightSources sources{{folder_ / "decays"}, {tensor(values.size(), {piece(0, values.size(), 0)})}};
    sources.tensors[0].pieces[0].logarithm = true;
    return sources;
  };
  Memory memory;
  ASSERT_TRUE(memory.load(written({-1, -std::exp(2.0F), -std::exp(-3.0F), -0.0F})));
  const std::vector<float> found = floats(memory.tensors[{"w", UINT32_MAX}]);
  EXPECT_FLOAT_EQ(found[0], 0);
  EXPECT_FLOAT_EQ(found[1], 2);
  EXPECT_FLOAT_EQ(found[2], -3);
  EXPECT_EQ(found[3], -std::numeric_limits<float>::infinity());
  for (const float odd :
       {0.5F, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const auto refused = memory.load(written({-1, odd}));
    ASSERT_FALSE(refused) << odd;
    EXPECT_EQ(refused.error().code, ErrorCode::kBadCheckpoint);
    EXPECT_THAT(refused.error().message, HasSubstr("stored as -exp(x)"));
    EXPECT_THAT(refused.error().where, HasSubstr("decays"));
  }
}

// ---- progress ----

TEST_F(LoaderTest, TellsHowFarItIs) {
  test::write_sparse(folder_ / "zeros", "", 100U << 20);
  constexpr std::uint64_t kElements = 25U << 20;
  const WeightSources sources{{folder_ / "zeros"}, {tensor(kElements, {piece(0, kElements, 0)})}};
  Memory memory;
  std::vector<std::uint64_t> told;
  ASSERT_TRUE(memory.load(sources, [&](std::uint64_t done, std::uint64_t total) -> Result<void> {
    EXPECT_EQ(total, kElements * 4);
    told.push_back(done);
    return {};
  }));
  EXPECT_EQ(told.size(), 7U); // every 16 MiB of 100
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), kElements * 4);
  int calls = 0;
  const auto stopped = memory.load(sources, [&](std::uint64_t, std::uint64_t) -> Result<void> {
    ++calls;
    return fail(ErrorCode::kBadRequest, "stopped");
  });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().message, "stopped");
  EXPECT_EQ(calls, 1);
}

TEST_F(LoaderTest, NothingIsSomething) {
  Memory memory;
  std::vector<std::uint64_t> told;
  const auto loaded = memory.load({}, [&](std::uint64_t done, std::uint64_t total) -> Result<void> {
    told.insert(told.end(), {done, total});
    return {};
  });
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(loaded->empty());
  EXPECT_EQ(told, (std::vector<std::uint64_t>{0, 0}));
}

// ---- files that are not what they were ----

TEST_F(LoaderTest, AFileThatShrankIsAnErrorBeforeAnyMemoryIsAskedFor) {
  const std::string path = numbers(100);
  const WeightSources sources{{path}, {tensor(100, {piece(0, 100, 0)})}};
  fs::resize_file(path, 399);
  Memory memory;
  const auto loaded = memory.load(sources);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kBadCheckpoint);
  EXPECT_EQ(loaded.error().message, "the file has 399 bytes, expected at least 400; it was changed after its header was read");
  EXPECT_EQ(loaded.error().where, path);
  EXPECT_TRUE(memory.tensors.empty());
}

TEST_F(LoaderTest, AFileThatShrinksMeanwhileIsAnError) {
  const std::string path = folder_ / "zeros";
  test::write_sparse(path, "", 64U << 20);
  constexpr std::uint64_t kElements = 16U << 20;
  const WeightSources sources{{path}, {tensor(kElements, {piece(0, kElements, 0)})}};
  Memory memory;
  const auto loaded = memory.load(sources, [&](std::uint64_t, std::uint64_t) -> Result<void> {
    fs::resize_file(path, 1U << 20);
    return {};
  });
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kBadCheckpoint);
  EXPECT_THAT(loaded.error().message, HasSubstr("the file ends at byte"));
}

TEST_F(LoaderTest, FilesThatAreNoFiles) {
  const auto message = [&](const std::string& path) {
    const Error found = error({{numbers(4), path}, {tensor(4, {piece(0, 4, 0)}), [] {
                                                      WeightTensor other = tensor(4, {piece(0, 4, 0)});
                                                      other.pieces[0].file = 1;
                                                      return other;
                                                    }()}});
    EXPECT_EQ(found.code, ErrorCode::kBadCheckpoint) << path;
    EXPECT_EQ(found.where, path);
    return found.message;
  };
  fs::create_symlink("loop", folder_ / "loop");
  fs::create_directory(folder_ / "folder");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message(folder_ / "gone"), HasSubstr("No such file"));
  EXPECT_THAT(message(folder_ / "loop"), HasSubstr("symbolic links"));
  EXPECT_THAT(message(folder_ / "folder"), HasSubstr("expected a file, found a directory"));
  EXPECT_THAT(message(folder_ / "pipe"), HasSubstr("expected a file, found a named pipe"));
  EXPECT_THAT(message("/dev/zero"), HasSubstr("expected a file, found a device"));
}

TEST_F(LoaderTest, AShardThatWentAwayIsNamed) {
  test::write_tiny_folder(test::tiny_model("llama"), folder_.path(), TinyFormat::kF32, 3);
  const auto sources = test::sources_of(folder_.path());
  ASSERT_TRUE(sources) << sources.error().message;
  fs::remove(folder_ / "model-00002-of-00003.safetensors");
  const Error found = error(*sources);
  EXPECT_EQ(found.code, ErrorCode::kBadCheckpoint);
  EXPECT_THAT(found.where, HasSubstr("model-00002-of-00003.safetensors"));
}

// ---- sources that lie ----

TEST_F(LoaderTest, SourcesThatLeadOutsideAreRefused) {
  const std::string path = numbers(16);
  constexpr std::uint64_t kHuge = UINT64_MAX / 4;
  struct Row {
    const char* what;
    WeightPiece piece;
    const char* says;
  };
  const Row rows[] = {
      {"beyond the tensor", piece(0, 8, 1), "a run beyond its tensor"},
      {"far beyond the tensor", piece(0, 8, kHuge), "a run beyond its tensor"},
      {"longer than the tensor", piece(0, 9, 0), "a run beyond its tensor"},
      {"of nothing", piece(0, 0, 0), "a run of no whole elements"},
      {"beyond 64 bits", piece(kHuge, 8, 0), "a run beyond any file"},
      {"a stride out of it", piece(0, 8, 0, {{2, 8}, {4, 1}}), "a run beyond its tensor"},
      {"a huge stride", piece(0, 8, 0, {{2, kHuge}, {4, 1}}), "a run beyond its tensor"},
      {"axes too short", piece(0, 8, 0, {{2, 4}, {2, 1}}), "axes of another size than their run"},
      {"axes of nothing", piece(0, 8, 0, {{0, 4}, {8, 1}}), "an axis of no elements"},
      {"axes beyond 64 bits", piece(0, 8, 0, {{1ULL << 40, 0}, {1ULL << 40, 0}}), "axes of another size than their run"},
  };
  for (const Row& row : rows) {
    const Error found = error({{path}, {tensor(8, {row.piece})}});
    EXPECT_EQ(found.code, ErrorCode::kInternal) << row.what;
    EXPECT_THAT(found.message, AllOf(HasSubstr("'w'"), HasSubstr(row.says))) << row.what;
  }
  WeightSources sources{{path}, {tensor(8, {piece(0, 8, 0)})}};
  sources.tensors[0].pieces[0].file = 1;
  EXPECT_THAT(error(sources).message, HasSubstr("a file that is not listed"));
  sources = {{path}, {tensor(8, {piece(0, 8, 0)})}};
  sources.tensors[0].dtype = "int8";
  EXPECT_THAT(error(sources).message, HasSubstr("a type that is not loaded"));
  sources.tensors[0].dtype = "float16";
  sources.tensors[0].pieces[0].minus_one = true;
  EXPECT_THAT(error(sources).message, HasSubstr("1 is taken off"));
  sources.tensors[0].pieces[0].minus_one = false;
  sources.tensors[0].pieces[0].logarithm = true;
  EXPECT_THAT(error(sources).message, HasSubstr("logarithms are taken of other elements"));
  sources = {{path}, {tensor(8, {piece(12, 8, 0)})}};
  EXPECT_THAT(error(sources).message, HasSubstr("the file has 64 bytes, expected at least 80"));
}

TEST_F(LoaderTest, MemoryThatIsRefusedOrOfAnotherSize) {
  const WeightSources sources{{numbers(16)}, {tensor(8, {piece(0, 8, 0)})}};
  const auto refused = load_weights(sources, [](const WeightTensor&) -> Result<std::span<std::byte>> {
    return fail(ErrorCode::kOverPlan, "beyond the plan", "weights");
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverPlan);
  std::array<std::byte, 36> memory{};
  const auto larger = load_weights(sources, [&](const WeightTensor&) -> Result<std::span<std::byte>> { return std::span(memory); });
  ASSERT_FALSE(larger);
  EXPECT_THAT(larger.error().message, HasSubstr("36 bytes of memory for 32"));
}

} // namespace
} // namespace plimsoll::loader_test
