// Whole checkpoints, from the directory to the last tensor.
#include "checkpoint/checkpoint.hpp"

#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <sys/stat.h>

#include "base/regular_file.hpp"
#include "support/source_gguf.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;
using test::SparseTensor;
using testing::ElementsAre;
using testing::HasSubstr;

class Names final : public TensorVisitor {
public:
  Result<void> tensor(const TensorEntry& entry) override {
    names.emplace_back(entry.name);
    stored_bytes += entry.stored_bytes;
    files.push_back(entry.file_index);
    shapes.emplace_back(entry.shape().begin(), entry.shape().end());
    return {};
  }
  std::vector<std::string> names;
  std::vector<std::vector<std::uint64_t>> shapes;
  std::vector<std::uint32_t> files;
  std::uint64_t stored_bytes = 0;
};

// `shards` shards of four tensors each.
std::vector<std::vector<SparseTensor>> shards_of(std::size_t shards) {
  std::vector<std::vector<SparseTensor>> out(shards);
  for (std::size_t shard = 0; shard < shards; ++shard)
    for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj"})
      out[shard].push_back({"model.layers." + std::to_string(shard) + ".self_attn." + part + ".weight", "BF16", {4096, 4096}});
  return out;
}

class CheckpointTest : public testing::Test {
protected:
  void SetUp() override { test::write_text(root_ / "config.json", "{}"); }
  Result<CheckpointTotals> scan(TensorVisitor& visitor) {
    PLIMSOLL_ASSIGN(const ModelFiles files, locate_model(root_.path()));
    PLIMSOLL_ASSIGN(const Checkpoint checkpoint, open_checkpoint(files, test::source_meaning));
    return checkpoint.scan(visitor);
  }
  // The error of a scan on one thread; one on three must say the same.
  Error error() {
    Names names;
    auto result = scan(names);
    EXPECT_FALSE(result);
    if (result) return {};
    const auto files = locate_model(root_.path());
    const auto checkpoint = files ? open_checkpoint(*files, test::source_meaning) : tl::unexpected(files.error());
    if (checkpoint) {
      std::vector<Names> per_worker(3);
      const auto threaded = checkpoint->scan([&](unsigned worker) -> TensorVisitor& { return per_worker[worker]; }, 3);
      EXPECT_FALSE(threaded);
      if (!threaded) {
        EXPECT_EQ(threaded.error().message, result.error().message);
      }
    }
    return result.error();
  }
  test::TemporaryDirectory root_;
};

TEST_F(CheckpointTest, ShardsAreScannedInOrder) {
  test::write_sharded(root_.path(), shards_of(3));
  Names names;
  const auto totals = scan(names);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->tensor_count, 12U);
  EXPECT_EQ(totals->stored_bytes, 12ULL * 4096 * 4096 * 2);
  EXPECT_EQ(names.stored_bytes, totals->stored_bytes);
  EXPECT_EQ(names.names.front(), "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(names.names.back(), "model.layers.2.self_attn.o_proj.weight");
  EXPECT_THAT(totals->notes, testing::IsEmpty());
}

// Each worker is told of whole files in ascending order; together they are told what one would be.
TEST_F(CheckpointTest, ThreadsTellTheSame) {
  test::write_sharded(root_.path(), shards_of(40));
  Names one;
  ASSERT_TRUE(scan(one));
  const auto checkpoint = open_checkpoint(*locate_model(root_.path()), test::source_meaning);
  ASSERT_TRUE(checkpoint);
  for (const unsigned threads : {0U, 1U, 2U, 5U}) {
    std::vector<Names> per_worker(5);
    const auto totals = checkpoint->scan([&](unsigned worker) -> TensorVisitor& { return per_worker[worker]; }, threads);
    ASSERT_TRUE(totals) << totals.error().message;
    std::vector<std::string> per_file[40], merged;
    for (const Names& part : per_worker) {
      EXPECT_TRUE(std::is_sorted(part.files.begin(), part.files.end()));
      for (std::size_t i = 0; i < part.names.size(); ++i) per_file[part.files[i]].push_back(part.names[i]);
    }
    for (const auto& names : per_file) merged.insert(merged.end(), names.begin(), names.end());
    EXPECT_EQ(merged, one.names) << threads;
    EXPECT_EQ(totals->stored_bytes, one.stored_bytes);
  }
}

TEST_F(CheckpointTest, ATensorInTwoShardsIsRefused) {
  auto shards = shards_of(3);
  shards[2][1] = shards[0][3];
  test::write_sharded(root_.path(), shards, false);
  const Error found = error();
  EXPECT_EQ(found.code, ErrorCode::kBadCheckpoint);
  EXPECT_THAT(found.message,
              testing::AllOf(HasSubstr("'model.layers.0.self_attn.o_proj.weight'"), HasSubstr("twice"), HasSubstr("model-00001-of-00003")));
  EXPECT_THAT(found.where, HasSubstr("model-00003-of-00003.safetensors"));
}

TEST_F(CheckpointTest, ATensorTwiceInOneShardIsRefused) {
  test::write_safetensors(root_ / "model.safetensors", {{"a", "F32", {2}}, {"a", "F32", {2}}});
  EXPECT_THAT(error().message, HasSubstr("'a' is stored twice;"));
}

// Two files of one name in two folders are two shards: the index must say which holds what.
TEST_F(CheckpointTest, ShardsInFoldersAreComparedByTheirWholeName) {
  const auto shards = shards_of(2);
  test::write_safetensors(root_ / "a/m.safetensors", shards[0]);
  test::write_safetensors(root_ / "b/m.safetensors", shards[1]);
  std::map<std::string, std::string> weight_map;
  for (const auto& tensor : shards[0]) weight_map[tensor.name] = "a/m.safetensors";
  for (const auto& tensor : shards[1]) weight_map[tensor.name] = "b/m.safetensors";
  const std::string index = root_ / "model.safetensors.index.json";
  test::write_text(index, test::index_text(weight_map, 8ULL * 4096 * 4096 * 2));
  Names names;
  auto totals = scan(names);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->tensor_count, 8U);
  EXPECT_THAT(totals->notes, testing::IsEmpty());
  weight_map["model.layers.0.self_attn.q_proj.weight"] = "b/m.safetensors";
  test::write_text(index, test::index_text(weight_map, 8ULL * 4096 * 4096 * 2));
  totals = scan(names);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_THAT(totals->absent, testing::AllOf(HasSubstr("'model.layers.0.self_attn.q_proj.weight'"), HasSubstr("'b/m.safetensors'")));
}

TEST_F(CheckpointTest, TheIndexMustAgree) {
  const auto shards = shards_of(2);
  test::write_sharded(root_.path(), shards);
  const std::string index = root_ / "model.safetensors.index.json", first = "model-00001-of-00002.safetensors",
                    second = "model-00002-of-00002.safetensors";
  std::map<std::string, std::string> weight_map;
  for (const auto& tensor : shards[0]) weight_map[tensor.name] = first;
  for (const auto& tensor : shards[1]) weight_map[tensor.name] = second;
  const std::uint64_t total = 8ULL * 4096 * 4096 * 2;

  auto more = weight_map;
  more["model.norm.weight"] = second;
  test::write_text(index, test::index_text(more, total));
  Names names;
  auto totals = scan(names);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_THAT(totals->absent, testing::AllOf(HasSubstr("'model.norm.weight'"), HasSubstr(second), HasSubstr("(1 in all)")));
  EXPECT_EQ(totals->stored_bytes, total);
  EXPECT_EQ(totals->tensor_count, 8U);

  auto moved = weight_map;
  moved["model.layers.0.self_attn.q_proj.weight"] = second;
  test::write_text(index, test::index_text(moved, total));
  totals = scan(names);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_THAT(totals->absent, HasSubstr("'model.layers.0.self_attn.q_proj.weight'"));
  EXPECT_THAT(totals->notes, ElementsAre(HasSubstr("1 tensors that the index does not name")));
  EXPECT_EQ(totals->stored_bytes, total);

  auto fewer = weight_map;
  fewer.erase("model.layers.0.self_attn.q_proj.weight");
  test::write_text(index, test::index_text(fewer, total));
  totals = scan(names);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_THAT(totals->notes, ElementsAre(HasSubstr("1 tensors that the index does not name")));

  test::write_text(index, test::index_text(weight_map, total + 100));
  totals = scan(names);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_THAT(totals->notes, ElementsAre(HasSubstr("total_size")));

  test::write_text(index, "{\"weight_map\": 5}");
  EXPECT_THAT(error().where, HasSubstr("index.json"));
}

// As the safetensors library refuses them.
TEST_F(CheckpointTest, HolesAreRefused) {
  std::uint64_t file_bytes = 0;
  const std::string start = test::safetensors_start({{"a", "F32", {2}}}, file_bytes);
  test::write_sparse(root_ / "model.safetensors", start, file_bytes + 24);
  EXPECT_THAT(error().message, HasSubstr("24 bytes of the file belong to no tensor"));
  EXPECT_THAT(error().where, HasSubstr("model.safetensors"));
}

TEST_F(CheckpointTest, TheFirstBrokenShardIsNamedWhateverTheThreads) {
  test::write_sharded(root_.path(), shards_of(12), false);
  for (const char* shard : {"model-00004-of-00012.safetensors", "model-00009-of-00012.safetensors"})
    test::write_text(root_ / shard, "short");
  EXPECT_THAT(error().where, HasSubstr("model-00004-of-00012.safetensors"));
}

// A pipe, a directory and a loop of links in a shard's place: an answer at once, no waiting.
TEST_F(CheckpointTest, ShardsThatAreNoFiles) {
  test::write_sharded(root_.path(), shards_of(2), false);
  const std::string second = root_ / "model-00002-of-00002.safetensors";
  fs::remove(second);
  ASSERT_EQ(::mkfifo(second.c_str(), 0600), 0);
  EXPECT_THAT(error().message, HasSubstr("named pipe"));
  fs::remove(second);
  fs::create_directory(second);
  EXPECT_THAT(error().message, HasSubstr("a directory"));
  fs::remove(second);
  fs::create_symlink("model-00002-of-00002.safetensors", second);
  EXPECT_THAT(error().where, HasSubstr("model-00002-of-00002.safetensors"));
  fs::remove(second);
  fs::create_symlink("/dev/zero", second);
  EXPECT_THAT(error().message, HasSubstr("a device"));
}

TEST_F(CheckpointTest, AConfigAloneHasNoCheckpoint) {
  Names names;
  const auto result = scan(names);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kBadRequest);
}

// ---- where the data lie ----

class Places final : public TensorVisitor {
public:
  Result<void> tensor(const TensorEntry& entry) override {
    at[std::string(entry.stored_name)] = {entry.file_index, entry.offset_bytes, entry.stored_bytes};
    return {};
  }
  struct Place {
    std::uint32_t file = 0;
    std::uint64_t offset_bytes = 0, bytes = 0;
  };
  std::map<std::string, Place> at;
};

// The stored bytes of every tensor, in the file's own words.
std::map<std::string, std::string> contents(const std::string& model) {
  const auto files = locate_model(model);
  const auto checkpoint = files ? open_checkpoint(*files, test::source_meaning) : tl::unexpected(files.error());
  if (!checkpoint) return {{"error", checkpoint.error().message}};
  Places places;
  if (const auto totals = checkpoint->scan(places); !totals) return {{"error", totals.error().message}};
  std::map<std::string, std::string> out;
  for (const auto& [name, place] : places.at) {
    std::string& bytes = out[name];
    bytes.resize(place.bytes);
    const auto file = RegularFile::open(files->shards[place.file]);
    if (!file || !file->read(place.offset_bytes, bytes)) bytes = "unreadable";
  }
  return out;
}

TEST_F(CheckpointTest, OffsetsLeadToTheDataOfSafetensors) {
  for (const bool unusual : {false, true}) {
    std::uint64_t file_bytes = 0;
    const std::vector<SparseTensor> tensors{{"a", "U8", {4}}, {"b", "U8", {2, 3}}, {"c", "U8", {}}};
    const std::string start = test::safetensors_start(tensors, file_bytes, {.spaced = unusual, .metadata = true});
    test::write_text(root_ / "model.safetensors", start + "aaaabbbbbbc");
    EXPECT_EQ(file_bytes, start.size() + 11);
    EXPECT_THAT(contents(root_.path()), ElementsAre(testing::Pair("a", "aaaa"), testing::Pair("b", "bbbbbb"), testing::Pair("c", "c")));
  }
}

TEST_F(CheckpointTest, OffsetsLeadToTheDataOfEachShard) {
  std::uint64_t file_bytes = 0;
  test::write_text(root_ / "model-00001-of-00002.safetensors", test::safetensors_start({{"a", "U8", {2}}}, file_bytes) + "aa");
  test::write_text(root_ / "model-00002-of-00002.safetensors", test::safetensors_start({{"long.name", "U8", {3}}}, file_bytes) + "bbb");
  EXPECT_THAT(contents(root_.path()), ElementsAre(testing::Pair("a", "aa"), testing::Pair("long.name", "bbb")));
}

// Each tensor of a GGUF file begins at a multiple of 32, and so do the data.
TEST_F(CheckpointTest, OffsetsLeadToTheDataOfGguf) {
  test::GgufWriter writer;
  writer.text("general.architecture", "llama").u32("llama.block_count", 1).u32("llama.embedding_length", 8);
  writer.u32("llama.attention.head_count", 1).tensor("token_embd.weight", 0, {8, 1}, 32).tensor("output_norm.weight", 0, {1}, 4);
  writer.tensor("output.weight", 1, {2}, 4);
  const std::string padding(28, '.');
  test::write_text(root_ / "m.gguf", writer.start() + std::string(32, 'e') + "norm" + padding + "head" + padding);
  EXPECT_THAT(contents(root_ / "m.gguf"), ElementsAre(testing::Pair("output.weight", "head"), testing::Pair("output_norm.weight", "norm"),
                                                      testing::Pair("token_embd.weight", std::string(32, 'e'))));
}

// ---- GGUF ----

test::GgufWriter split(std::uint16_t number, std::uint16_t count, std::int32_t tensors) {
  test::GgufWriter writer;
  if (number == 0) {
    writer.text("general.architecture", "llama")
        .u32("llama.block_count", 1)
        .u32("llama.embedding_length", 64)
        .u32("llama.attention.head_count", 4);
    writer.tensor("token_embd.weight", 12, {256, 100}, 100 * 144);
  } else {
    writer.tensor("blk.0.attn_k.weight", 8, {64, 32}, 64 * 32 / 32 * 34);
  }
  return writer.u16("split.no", number).u16("split.count", count).i32("split.tensors.count", tensors);
}

TEST_F(CheckpointTest, GgufSplitsAreOneModel) {
  split(0, 2, 2).write(root_ / "m-00001-of-00002.gguf");
  split(1, 2, 2).write(root_ / "m-00002-of-00002.gguf");
  const auto files = locate_model(root_ / "m-00001-of-00002.gguf");
  ASSERT_TRUE(files) << files.error().message;
  const auto checkpoint = open_checkpoint(*files, test::source_meaning);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->config()["model_type"], "llama");
  EXPECT_EQ(checkpoint->config()["vocab_size"], 100);
  Names names;
  const auto totals = checkpoint->scan(names);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_THAT(names.names, ElementsAre("model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.weight"));
  EXPECT_THAT(names.shapes, ElementsAre(ElementsAre(100, 256), ElementsAre(32, 64))); // turned round
  EXPECT_EQ(totals->stored_bytes, 100U * 144 + 64 * 34);
  EXPECT_EQ(totals->tensor_count, 2U);
}

// What nobody says of an architecture is not taken for nothing; safetensors are their own order.
TEST_F(CheckpointTest, SaysHowElementsLieOrThatNobodyKnows) {
  const auto open = [this](const char* architecture, std::uint32_t experts) {
    test::GgufWriter writer;
    const std::string prefix = std::string(architecture) + ".";
    writer.text("general.architecture", architecture).u32(prefix + "block_count", 1).u32(prefix + "embedding_length", 64);
    writer.u32(prefix + "attention.head_count", 4).u32(prefix + "expert_count", experts).tensor("token_embd.weight", 0, {64, 4}, 1024);
    writer.write(root_ / "m.gguf");
    return open_checkpoint(*locate_model(root_ / "m.gguf"), test::source_meaning);
  };
  struct Row {
    const char* architecture;
    std::uint32_t experts;
    const char* tensor;
    StoredOrder order;
  };
  const StoredOrder plain, pairs{.rope_pairs = true}, one_added{.one_added = true}, transposed{.transposed = true},
      alternating{.alternating = true};
  for (const Row& row :
       {Row{"llama", 0, "blk.1.attn_q.weight", pairs}, Row{"llama", 0, "blk.17.attn_k.bias", pairs},
        Row{"llama", 0, "blk.1.attn_v.weight", plain}, Row{"llama", 0, "attn_q.weight", plain},
        Row{"llama", 8, "blk.0.attn_k.weight", pairs}, Row{"deepseek", 8, "blk.0.attn_q.weight", pairs},
        Row{"qwen3", 0, "blk.1.attn_q.weight", plain}, Row{"gemma", 0, "output_norm.weight", one_added},
        Row{"gemma2", 0, "blk.1.post_ffw_norm.weight", one_added}, Row{"gemma3", 0, "blk.1.attn_k_norm.weight", one_added},
        Row{"gemma3", 0, "blk.1.attn_k_norm.bias", plain}, Row{"deepseek2", 8, "blk.2.attn_k_b.weight", transposed},
        Row{"deepseek2", 8, "blk.2.attn_v_b.weight", plain}, Row{"gpt-oss", 8, "blk.2.ffn_up_exps.weight", alternating},
        Row{"gpt-oss", 8, "blk.2.ffn_gate_exps.bias", alternating}, Row{"gpt-oss", 8, "blk.2.ffn_down_exps.weight", plain}}) {
    const auto checkpoint = open(row.architecture, row.experts);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    const auto order = checkpoint->order_of(row.tensor);
    ASSERT_TRUE(order) << row.architecture << ": " << order.error().message;
    EXPECT_EQ(*order, row.order) << row.architecture << " " << row.tensor;
  }
  {
    test::GgufWriter writer; // heads that are dealt to as many hands as the file says
    writer.text("general.architecture", "qwen35").u32("qwen35.block_count", 1).u32("qwen35.embedding_length", 64);
    for (const char* key : {"ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank"})
      writer.u32(std::string("qwen35.") + key, 4);
    writer.u32("qwen35.ssm.group_count", 2).tensor("token_embd.weight", 0, {64, 4}, 1024).write(root_ / "m.gguf");
    const auto checkpoint = open_checkpoint(*locate_model(root_ / "m.gguf"), test::source_meaning);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    EXPECT_EQ(checkpoint->order_of("blk.0.ssm_a").value().hands, 2U);
    EXPECT_TRUE(checkpoint->order_of("blk.0.ssm_a").value().minus_exponential);
    EXPECT_EQ(checkpoint->order_of("blk.0.ssm_norm.weight").value().hands, 0U);
    EXPECT_EQ(checkpoint->order_of("blk.0.ssm_out.weight").value().dealt, "ssm.group_count");
  }
  for (const char* unknown : {"bloom", "acme"}) {
    const auto checkpoint = open(unknown, 0);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    const auto order = checkpoint->order_of("blk.0.attn_q.weight");
    ASSERT_FALSE(order) << unknown;
    EXPECT_EQ(order.error().code, ErrorCode::kUnsupportedArchitecture);
    EXPECT_THAT(order.error().message, HasSubstr("`orders`"));
    EXPECT_THAT(order.error().where, HasSubstr("m.gguf"));
  }
  std::filesystem::remove(root_ / "m.gguf");
  test::write_sharded(root_.path(), shards_of(1));
  const auto safetensors = open_checkpoint(*locate_model(root_.path()), test::source_meaning);
  ASSERT_TRUE(safetensors);
  EXPECT_EQ(safetensors->order_of("blk.1.attn_q.weight"), StoredOrder{});
}

TEST_F(CheckpointTest, GgufSplitsMustBelongTogether) {
  const auto message = [this] {
    const auto checkpoint = open_checkpoint(*locate_model(root_ / "m-00001-of-00002.gguf"), test::source_meaning);
    return checkpoint ? std::string("opened") : checkpoint.error().message;
  };
  split(0, 2, 2).write(root_ / "m-00001-of-00002.gguf");
  split(1, 3, 2).write(root_ / "m-00002-of-00002.gguf");
  EXPECT_THAT(message(), HasSubstr("one of 3 splits"));
  split(0, 2, 2).write(root_ / "m-00002-of-00002.gguf");
  EXPECT_THAT(message(), HasSubstr("it was renamed"));
  split(0, 2, 5).write(root_ / "m-00001-of-00002.gguf");
  split(1, 2, 5).write(root_ / "m-00002-of-00002.gguf");
  EXPECT_THAT(message(), HasSubstr("hold 2 tensors, expected 5"));
}

} // namespace
} // namespace plimsoll
