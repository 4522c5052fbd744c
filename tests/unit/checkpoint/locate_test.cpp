// Where a model's files are found, and what is said where they are not.
#include "checkpoint/locate.hpp"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "checkpoint/known_models.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;
using test::write_text;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<test::SparseTensor> kOne{{"a", "F32", {2}}}, kTwo{{"b", "F32", {2}}};

std::vector<std::string> names(const ModelFiles& files) {
  std::vector<std::string> out;
  for (const std::string& path : files.shards) out.push_back(fs::path(path).filename().string());
  return out;
}

class Locate : public testing::Test {
protected:
  void config(const std::string& directory) { write_text(directory + "/config.json", "{}"); }
  void shard(const std::string& path) { test::write_safetensors(path, kOne); }
  void gguf(const std::string& path) { test::GgufWriter().write(path); }
  // A process without any environment but these.
  LocateOptions with(std::map<std::string, std::string> variables, std::string catalogue = {}) {
    return {std::move(catalogue), [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
              const auto found = variables.find(name);
              return found == variables.end() ? std::nullopt : std::optional(found->second);
            }};
  }
  test::TemporaryDirectory root_;
  const std::string model_ = root_ / "model";
};

TEST_F(Locate, ASingleSafetensorsFile) {
  config(model_);
  shard(model_ + "/model.safetensors");
  shard(model_ + "/consolidated.safetensors");
  write_text(model_ + "/hf_quant_config.json", "{}");
  const auto files = locate_model(model_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->origin, ModelOrigin::kDirectory);
  EXPECT_EQ(files->format, CheckpointFormat::kSafetensors);
  EXPECT_THAT(names(*files), ElementsAre("model.safetensors"));
  EXPECT_EQ(files->config_path, model_ + "/config.json");
  EXPECT_EQ(files->hf_quant_config_path, model_ + "/hf_quant_config.json");
  EXPECT_FALSE(files->index_path);
}

TEST_F(Locate, ShardsWithAndWithoutAnIndex) {
  config(model_);
  test::write_sharded(model_, {kOne, kTwo});
  auto files = locate_model(model_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_TRUE(files->index_path);
  EXPECT_THAT(names(*files), ElementsAre("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
  fs::remove(*files->index_path);
  shard(model_ + "/consolidated-00001-of-00001.safetensors"); // a second copy under another name
  files = locate_model(model_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->shards.size(), 2U);
  EXPECT_FALSE(files->index_path);
}

TEST_F(Locate, OtherNumberings) {
  for (const char* style :
       {"model_0000{}-of-00002.safetensors", "model-00000{}-of-000002.safetensors", "model-0000{}-of-000002.safetensors"}) {
    const std::string directory = root_ / std::string(style).substr(0, 8) + std::to_string(std::string(style).size());
    config(directory);
    for (const char* number : {"1", "2"}) {
      std::string name = style;
      shard(directory + "/" + name.replace(name.find("{}"), 2, number));
    }
    const auto files = locate_model(directory);
    ASSERT_TRUE(files) << style << files.error().message;
    EXPECT_EQ(files->shards.size(), 2U) << style;
  }
}

TEST_F(Locate, AMissingShardIsNamed) {
  config(model_);
  test::write_sharded(model_, {kOne, kTwo});
  fs::remove(model_ + "/model-00002-of-00002.safetensors");
  for (const bool index : {true, false}) {
    if (!index) fs::remove(model_ + "/model.safetensors.index.json");
    const auto files = locate_model(model_);
    ASSERT_FALSE(files);
    EXPECT_EQ(files.error().code, ErrorCode::kBadCheckpoint);
    EXPECT_THAT(files.error().message, HasSubstr("model-00002-of-00002.safetensors"));
  }
}

TEST_F(Locate, TheIndexDecidesWhichFilesCount) {
  config(model_);
  shard(model_ + "/part-a.safetensors");
  shard(model_ + "/part-b.safetensors");
  shard(model_ + "/training-state.safetensors");
  write_text(model_ + "/model.safetensors.index.json", test::index_text({{"a", "part-a.safetensors"}, {"b", "part-b.safetensors"}}, 16));
  const auto files = locate_model(model_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_THAT(names(*files), ElementsAre("part-a.safetensors", "part-b.safetensors"));
}

TEST_F(Locate, AnIndexMayNameFilesInFoldersBelow) {
  config(model_);
  shard(model_ + "/sub/m.safetensors");
  const std::string index = model_ + "/model.safetensors.index.json";
  write_text(index, test::index_text({{"a", "sub/m.safetensors"}}, 8));
  auto files = locate_model(model_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_THAT(files->shards, ElementsAre(model_ + "/sub/m.safetensors"));
  EXPECT_EQ(files->shard_name(0), "sub/m.safetensors");
  // Beside a set that is complete without it, and with a slash too many.
  shard(model_ + "/model-00001-of-00001.safetensors");
  write_text(index, test::index_text({{"a", "sub/m.safetensors"}, {"b", "model-00001-of-00001.safetensors"}}, 16));
  files = locate_model(model_ + "/");
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->shards.size(), 2U);
  EXPECT_EQ(files->shard_name(1), "sub/m.safetensors");
  fs::remove(model_ + "/sub/m.safetensors");
  files = locate_model(model_);
  ASSERT_FALSE(files);
  EXPECT_THAT(files.error().message, HasSubstr("'sub/m.safetensors', which the directory lacks"));
}

// A file may be a link, as in the Hugging Face cache; a folder that leads out may not.
TEST_F(Locate, AFolderOfShardsDoesNotLeadOut) {
  config(model_);
  shard(root_ / "elsewhere/m.safetensors");
  write_text(model_ + "/model.safetensors.index.json", test::index_text({{"a", "sub/m.safetensors"}}, 8));
  fs::create_directories(model_ + "/real");
  fs::create_directory_symlink(root_ / "elsewhere", model_ + "/sub");
  auto files = locate_model(model_);
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, ErrorCode::kBadCheckpoint);
  EXPECT_THAT(files.error().message, HasSubstr("leads out"));
  EXPECT_EQ(files.error().where, model_ + "/sub/m.safetensors");
  fs::remove(model_ + "/sub");
  fs::create_directory_symlink("real", model_ + "/sub");
  fs::create_symlink(root_ / "elsewhere/m.safetensors", model_ + "/real/m.safetensors");
  files = locate_model(model_);
  EXPECT_TRUE(files) << files.error().message;
}

TEST_F(Locate, AConfigAlonePlansFromTheConfig) {
  config(model_);
  const auto files = locate_model(model_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->format, CheckpointFormat::kNone);
  EXPECT_THAT(files->shards, testing::IsEmpty());
}

TEST_F(Locate, AConfigFileSpeaksForTheShardsBesideItUnlessItHasAnotherName) {
  config(model_);
  shard(model_ + "/model.safetensors");
  auto files = locate_model(model_ + "/config.json");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->origin, ModelOrigin::kConfigFile);
  EXPECT_EQ(files->format, CheckpointFormat::kSafetensors);
  write_text(model_ + "/other.json", "{}");
  files = locate_model(model_ + "/other.json");
  ASSERT_TRUE(files);
  EXPECT_EQ(files->config_path, model_ + "/other.json");
  EXPECT_EQ(files->format, CheckpointFormat::kNone);
}

TEST_F(Locate, GgufFilesAndDirectories) {
  gguf(model_ + "/m.gguf");
  gguf(model_ + "/mmproj-m.gguf");
  auto files = locate_model(model_ + "/m.gguf");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->origin, ModelOrigin::kGgufFile);
  EXPECT_FALSE(files->config_path);
  files = locate_model(model_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->format, CheckpointFormat::kGguf);
  EXPECT_THAT(names(*files), ElementsAre("m.gguf"));
  gguf(model_ + "/n.gguf");
  files = locate_model(model_);
  ASSERT_FALSE(files);
  EXPECT_THAT(files.error().message, HasSubstr("'m.gguf', 'n.gguf'"));
}

TEST_F(Locate, AnySplitFindsTheOthers) {
  for (const char* name : {"/x-00001-of-00003.gguf", "/x-00002-of-00003.gguf", "/x-00003-of-00003.gguf"}) gguf(model_ + name);
  for (const char* name : {"/x-00001-of-00003.gguf", "/x-00002-of-00003.gguf"}) {
    const auto files = locate_model(model_ + name);
    ASSERT_TRUE(files) << files.error().message;
    EXPECT_THAT(names(*files), ElementsAre("x-00001-of-00003.gguf", "x-00002-of-00003.gguf", "x-00003-of-00003.gguf"));
  }
  fs::remove(model_ + "/x-00003-of-00003.gguf");
  const auto files = locate_model(model_ + "/x-00001-of-00003.gguf");
  ASSERT_FALSE(files);
  EXPECT_THAT(files.error().message, HasSubstr("x-00003-of-00003.gguf"));
}

TEST_F(Locate, AGgufFileNeedsNoExtension) {
  gguf(root_ / "sha256-0123");
  const auto files = locate_model(root_ / "sha256-0123");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->format, CheckpointFormat::kGguf);
}

TEST_F(Locate, TheHuggingFaceCache) {
  const std::string repository = root_ / "hub/models--org--name", blobs = repository + "/blobs",
                    snapshot = repository + "/snapshots/abc123";
  write_text(blobs + "/1", "{}");
  test::write_safetensors(blobs + "/2", kOne);
  fs::create_directories(snapshot);
  fs::create_symlink("../../blobs/1", snapshot + "/config.json");
  fs::create_symlink("../../blobs/2", snapshot + "/model.safetensors");
  write_text(repository + "/refs/main", "abc123\n");
  for (const auto& variables : {std::map<std::string, std::string>{{"HF_HUB_CACHE", root_ / "hub"}}, {{"HF_HOME", root_.path()}}}) {
    const auto files = locate_model("org/name", with(variables));
    ASSERT_TRUE(files) << files.error().message;
    EXPECT_EQ(files->origin, ModelOrigin::kHfCache);
    EXPECT_EQ(files->config_path, snapshot + "/config.json");
    EXPECT_THAT(names(*files), ElementsAre("model.safetensors"));
  }
  EXPECT_EQ(hf_cache_directory(with({{"HOME", "/h"}})), "/h/.cache/huggingface/hub");
  EXPECT_EQ(hf_cache_directory(with({{"HOME", "/h"}, {"HF_HOME", "/f"}})), "/f/hub");
  EXPECT_EQ(hf_cache_directory(with({})), "");
  // A reference that leads elsewhere is refused.
  write_text(repository + "/refs/main", "../../../elsewhere");
  EXPECT_FALSE(locate_model("org/name", with({{"HF_HOME", root_.path()}})));
}

TEST_F(Locate, TheCatalogueComesLast) {
  write_text(root_ / "catalogue/org__name.json", "{}");
  const auto files = locate_model("org/name", with({}, root_ / "catalogue"));
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->origin, ModelOrigin::kCatalogue);
  EXPECT_EQ(files->name, "org/name");
  EXPECT_EQ(files->config_path, root_ / "catalogue/org__name.json");
}

// The file that the catalogue's models are known by too, beside their folder.
TEST_F(Locate, NamesAreFoundAsPeopleTypeThem) {
  for (const char* entry : {"meta__Llama-3.1-8B", "meta__Meta-Llama-3-8B", "one__Twin-1B", "two__Twin-1B", "zai-org__glm_4-9b"})
    write_text(root_ / "catalogue/models/" + entry + ".json", "{}");
  write_text(root_ / "catalogue/model_names.json",
             "{\"names\": [\n    {\"name\": \"meta/Meta-Llama-3.1-8B\", \"model\": \"meta/Llama-3.1-8B\"}\n]}");
  const LocateOptions options = with({}, root_ / "catalogue/models");
  const std::vector<std::pair<const char*, const char*>> rows{
      {"meta/llama-3.1-8b", "meta/Llama-3.1-8B"},
      {"llama-3.1-8b", "meta/Llama-3.1-8B"},
      {"Llama_3.1-8B", "meta/Llama-3.1-8B"},
      {"meta-llama-3.1-8b", "meta/Llama-3.1-8B"},
      {"meta/Meta-Llama-3.1-8B", "meta/Llama-3.1-8B"},
      {"GLM-4-9B", "zai-org/glm_4-9b"},
      {" Llama 3.1 8B ", "meta/Llama-3.1-8B"},
      {"meta/Llama-3.1-8B/", "meta/Llama-3.1-8B"},
      {"https://huggingface.co/meta/Llama-3.1-8B/blob/main/config.json", "meta/Llama-3.1-8B"},
      {"hf.co/META/LLAMA-3.1-8B", "meta/Llama-3.1-8B"}};
  for (const auto& [typed, found] : rows) {
    const auto files = locate_model(typed, options);
    ASSERT_TRUE(files) << typed << ": " << files.error().message;
    EXPECT_EQ(files->name, found) << typed;
    EXPECT_EQ(files->origin, ModelOrigin::kCatalogue) << typed;
  }
  const std::vector<std::pair<const char*, const char*>> refused{
      {"twin-1b", "it may be one/Twin-1B or two/Twin-1B"},
      {"meta/Llama-3.1-9B", "did you mean meta/Llama-3.1-8B"},
      {"copies/Llama-3.1-8B", "did you mean meta/Llama-3.1-8B"},
      {"copies/Llama-3.1-8B-GGUF:Q4_K_M", "did you mean meta/Llama-3.1-8B"},
      {"llama3.1:8b", "did you mean meta/Llama-3.1-8B"}, // which names a quantised file elsewhere
      {"llama-3:8b", "did you mean meta/Llama-3.1-8B or meta/Meta-Llama-3-8B"},
      {"twin", "did you mean one/Twin-1B or two/Twin-1B"}, // names that say more, the shortest first
      {"llama8b", "did you mean meta/Llama-3.1-8B or meta/Meta-Llama-3-8B"},
      {"https://huggingface.co/nobody/x", "nothing is downloaded: fetch it with `hf download nobody/x`"},
      {"meta/Llama-3.1-8B@v2", "neither its revisions nor its GGUF files"},
      {"meta/Llama-3.1-8B:Q4_K_M", "neither its revisions nor its GGUF files"},
      {"zzzzzzzzzz", "`plimsoll models` lists"}};
  for (const auto& [typed, said] : refused) {
    const auto files = locate_model(typed, options);
    ASSERT_FALSE(files) << typed;
    EXPECT_EQ(files.error().code, ErrorCode::kBadRequest);
    EXPECT_THAT(files.error().message, HasSubstr(said)) << typed;
  }
  for (const char* row : {R"({"name": "a"})", R"({"name": "a", "model": "meta/Llama-3.1-8B", "quantization": "none/such"})",
                          R"({"name": "a", "model": "meta/Llama-3.1-8B", "config": 1})", R"({"name": "a", "model)",
                          R"({"name": "a", "model": "meta/Llama-3.1-8B", "assumed": 1})"}) {
    write_text(root_ / "catalogue/model_names.json", std::string("{\"names\": [\n    ") + row + "\n]}");
    const auto broken = locate_model("A", options);
    ASSERT_FALSE(broken) << row;
    EXPECT_THAT(broken.error().where, HasSubstr("model_names.json: byte 1"));
    EXPECT_TRUE(locate_model("llama-3.1-8b", options)) << row; // no row but the one that was asked for is read
    const auto all = read_other_names(root_ / "catalogue/models");
    ASSERT_FALSE(all) << row;
    EXPECT_THAT(all.error().where, HasSubstr("model_names.json"));
  }
}

// An entry under another name and but for some keys; what the cache has under that name comes first.
TEST_F(Locate, VariantsOfTheCatalogue) {
  write_text(root_ / "catalogue/models/meta__Llama-3.1-8B.json", "{}");
  write_text(root_ / "catalogue/model_names.json",
             R"({"quantizations": {
    "four": {"config": {"quantization_config": {"bits": 4}}},
    "eight": {"config": {"quantization_config": {"bits": 8}}}
  },
  "names": [
    {"name": "other/Llama-3.1-8B-int8", "model": "some/Llama-3.1-8B-int8"},
    {"name": "some/Llama-3.1-8B-int8", "model": "meta/Llama-3.1-8B", "quantization": "eight", "config": {"max_position_embeddings": 4096}, "assumed": "lengths"}
  ]})");
  const LocateOptions options = with({{"HF_HUB_CACHE", root_ / "hub"}}, root_ / "catalogue/models");
  for (const char* typed : {"some/Llama-3.1-8B-int8", "llama-3.1-8b-INT8", "other/llama-3.1-8b-int8"}) {
    const auto files = locate_model(typed, options);
    ASSERT_TRUE(files) << typed << ": " << files.error().message;
    EXPECT_EQ(files->name, "some/Llama-3.1-8B-int8") << typed;
    EXPECT_THAT(*files->config_path, HasSubstr("meta__Llama-3.1-8B.json"));
    EXPECT_EQ(files->changes.dump(), R"({"quantization_config":{"bits":8},"max_position_embeddings":4096})");
    EXPECT_EQ(files->assumed, "lengths");
  }
  EXPECT_TRUE(locate_model("meta/Llama-3.1-8B", options)->changes.is_null());
  config(root_ / "hub/models--some--Llama-3.1-8B-int8/snapshots/abc123");
  const auto cached = locate_model("some/llama-3.1-8b-INT8", options);
  ASSERT_TRUE(cached) << cached.error().message;
  EXPECT_EQ(cached->origin, ModelOrigin::kHfCache);
  EXPECT_TRUE(cached->changes.is_null());
  const auto folder = cached_folder("some/Llama-3.1-8B-int8", options);
  ASSERT_TRUE(folder);
  EXPECT_THAT(*folder, HasSubstr("/snapshots/abc123"));
  EXPECT_FALSE(cached_folder("some/other", options));
}

TEST_F(Locate, RevisionsAndGgufTagsOfTheCache) {
  const std::string repository = root_ / "hub/models--org--m-GGUF";
  for (const char* commit : {"abc123", "def456"}) config(repository + "/snapshots/" + commit);
  for (const char* file : {"m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-Q8_0.gguf", "IQ1_S/m-IQ1_S-00001-of-00001.gguf"})
    gguf(repository + "/snapshots/abc123/" + file);
  write_text(repository + "/refs/main", "abc123");
  write_text(repository + "/refs/dev", "def456");
  const LocateOptions options = with({{"HF_HUB_CACHE", root_ / "hub"}});
  const std::vector<std::pair<const char*, const char*>> rows{
      {"org/m-GGUF:q4_k_m", "m-Q4_K_M.gguf"},
      {"hf.co/org/m-gguf:Q8_0", "m-Q8_0.gguf"},
      {"org/m-GGUF:IQ1_S", "m-IQ1_S-00001-of-00001.gguf"},
      {"https://huggingface.co/org/m-GGUF/blob/main/m-Q8_0.gguf", "m-Q8_0.gguf"},
      {"https://huggingface.co/org/m-GGUF/tree/main/IQ1_S", "m-IQ1_S-00001-of-00001.gguf"}};
  for (const auto& [typed, file] : rows) {
    const auto files = locate_model(typed, options);
    ASSERT_TRUE(files) << typed << ": " << files.error().message;
    EXPECT_THAT(names(*files), ElementsAre(file)) << typed;
  }
  for (const char* typed : {"org/m-GGUF@dev", "org/m-GGUF@def456"}) {
    const auto files = locate_model(typed, options);
    ASSERT_TRUE(files) << files.error().message;
    EXPECT_THAT(*files->config_path, HasSubstr("/def456/"));
  }
  const auto absent = locate_model("org/m-GGUF:Q2_K", options);
  ASSERT_FALSE(absent);
  EXPECT_THAT(absent.error().message, testing::AllOf(HasSubstr("'Q2_K'"), HasSubstr("m-Q4_K_M.gguf")));
  EXPECT_FALSE(locate_model("org/m-GGUF@gone", options));
}

TEST_F(Locate, SaysWhereItLooked) {
  const auto files = locate_model("org/nothing", with({{"HF_HOME", "/nowhere"}}, root_ / "catalogue"));
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, ErrorCode::kBadRequest);
  EXPECT_THAT(files.error().message, testing::AllOf(HasSubstr("'org/nothing'"), HasSubstr("/nowhere/hub"), HasSubstr("catalogue")));
}

TEST_F(Locate, NamesThatAreNoNamesAreNotLookedUp) {
  write_text(root_ / "catalogue/..__x.json", "{}");
  for (const char* name : {"", "../x", "a/b/c", "/nowhere/at/all", "org/", ".hidden/x", "a b/c"})
    EXPECT_FALSE(locate_model(name, with({{"HF_HOME", root_.path()}}, root_ / "catalogue"))) << name;
  EXPECT_FALSE(locate_model(std::string("a\0b", 3), with({})));
  EXPECT_FALSE(locate_model(std::string(10'000, 'a'), with({{"HF_HOME", root_.path()}})));
}

// None of these may block, and each says what it found.
TEST_F(Locate, ThingsThatAreNoFiles) {
  config(model_);
  ASSERT_EQ(::mkfifo((root_ / "pipe").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((root_ / "pipe.gguf").c_str(), 0600), 0);
  fs::create_symlink("loop", root_ / "loop");
  for (const std::string& name :
       {root_ / "pipe", root_ / "pipe.gguf", root_ / "loop", std::string("/dev/zero"), std::string("/dev/null")}) {
    const auto files = locate_model(name, with({}));
    ASSERT_FALSE(files) << name;
    EXPECT_EQ(files.error().where, name);
  }
  const std::string other = root_ / "other";
  fs::create_directories(other + "/config.json");
  EXPECT_FALSE(locate_model(other));
  fs::remove(other + "/config.json");
  ASSERT_EQ(::mkfifo((other + "/config.json").c_str(), 0600), 0);
  EXPECT_FALSE(locate_model(other));
  fs::create_directories(root_ / "empty");
  const auto empty = locate_model(root_ / "empty");
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, ErrorCode::kBadConfig);
}

} // namespace
} // namespace plimsoll
