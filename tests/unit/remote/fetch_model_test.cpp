// Models from a server of this machine: what is asked for, what is kept, and every way in which a server can be wrong.
#include "remote/fetch_model.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <map>
#include <mutex>
#include <sys/resource.h>
#include <thread>

#include "support/http_server.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;
using test::HttpAnswer;
using test::HttpRequest;
using test::HttpServer;
using test::ServedFile;
using test::ServedFiles;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kConfig = R"({"architectures": ["LlamaForCausalLM"]})";
const std::string kFolder = "/Org/Name/resolve/main";

// A cache, an environment, and limits that make no test wait.
class FetchModel : public ::testing::Test {
protected:
  static void SetUpTestSuite() { setenv("no_proxy", "*", 1); } // whatever the machine has: servers here are of this machine
  FetchOptions options() {
    FetchOptions out;
    out.limits.first_pause = std::chrono::milliseconds(1);
    out.limits.longest_pause = std::chrono::milliseconds(5);
    out.limits.time = std::chrono::seconds(30);
    out.environment.environment = [this](const char* name) -> std::optional<std::string> {
      if (name == std::string_view("XDG_CACHE_HOME")) return cache_ / "xdg";
      if (name == std::string_view("HF_TOKEN") && !token_.empty()) return token_;
      return std::nullopt;
    };
    return out;
  }
  Result<FetchedModel> fetch(const std::string& text, const std::string& endpoint) {
    const auto model = parse_remote(text, endpoint);
    if (!model) return tl::unexpected(model.error());
    return fetch_model(*model, options_);
  }
  // hf://Org/Name of the files that are served; what is no file is the hub's list.
  Result<FetchedModel> fetch(HttpServer& server, const std::string& text = "hf://Org/Name") { return fetch(text, server.url()); }
  HttpAnswer hub(const HttpRequest& request) const {
    if (request.target == "/api/models/Org/Name/tree/main?recursive=true") return {.body = files_.listing(kFolder)};
    return files_.answer(request);
  }
  void serve_sharded(unsigned shards) {
    std::map<std::string, std::string> names;
    for (unsigned i = 0; i < shards; ++i) {
      const std::string shard = "model-0000" + std::to_string(i + 1) + "-of-0000" + std::to_string(shards) + ".safetensors";
      ServedFile file;
      file.head = test::safetensors_start({{"t" + std::to_string(i), "BF16", {1'000'000, 1'000}}}, file.file_bytes);
      file.etag = "\"shard" + std::to_string(i) + "\"";
      files_.add(kFolder + "/" + shard, std::move(file));
      names["t" + std::to_string(i)] = shard;
    }
    files_.add(kFolder + "/model.safetensors.index.json", test::index_text(names, shards * 2'000'000'000ULL));
    files_.add(kFolder + "/config.json", kConfig);
  }

  test::TemporaryDirectory cache_;
  std::string token_;
  ServedFiles files_;
  FetchOptions options_ = options();
};

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::size_t requests_with(const HttpServer& server, const std::string& header) {
  const auto seen = server.seen();
  return static_cast<std::size_t>(std::count_if(seen.begin(), seen.end(), [&](const auto& one) { return one.headers.contains(header); }));
}

TEST_F(FetchModel, ShardsBecomeFilesOfTheirLengthWithHolesForWeights) {
  serve_sharded(3);
  files_.add(kFolder + "/README.md", "no model");
  files_.add(kFolder + "/consolidated.safetensors", "none that the index names");
  HttpServer server([this](const auto& request) { return hub(request); });
  const auto model = fetch(server);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->path + "/", model->folder);
  EXPECT_EQ(model->url, server.url() + kFolder + "/");
  EXPECT_EQ(text_of(model->folder + "config.json"), kConfig);
  EXPECT_GT(fs::file_size(model->folder + "model-00002-of-00003.safetensors"), 2'000'000'000u);
  EXPECT_FALSE(fs::exists(model->folder + "README.md"));
  EXPECT_FALSE(fs::exists(model->folder + "consolidated.safetensors"));
  std::uint64_t taken = 0;
  for (const auto& request : server.seen())
    if (request.headers.contains("range")) ++taken;
  EXPECT_EQ(taken, 3u);
  const auto files = locate_model(model->path);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->shards.size(), 3u);
}

TEST_F(FetchModel, WhatIsThereIsAskedForAndNotSentAgain) {
  serve_sharded(4);
  HttpServer server([this](const auto& request) { return hub(request); });
  const auto first = fetch(server);
  ASSERT_TRUE(first) << first.error().message;
  const std::size_t before = server.seen().size();
  const auto second = fetch(server);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->path, first->path);
  EXPECT_EQ(server.seen().size(), 2 * before);
  EXPECT_EQ(requests_with(server, "if-none-match"), before - 1); // all but the list
  serve_sharded(4);
  files_.add(kFolder + "/config.json", R"({"architectures": ["Other"]})");
  const auto third = fetch(server);
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_NE(third->path, first->path);
  EXPECT_THAT(text_of(third->folder + "config.json"), HasSubstr("Other"));
  EXPECT_EQ(text_of(first->folder + "config.json"), kConfig); // whoever reads it still has it
}

TEST_F(FetchModel, WhatAnInterruptedFetchHadIsKept) {
  serve_sharded(5);
  std::atomic<bool> fails{true};
  HttpServer server([&](const auto& request) -> HttpAnswer {
    if (fails && request.target.find("00005-of") != std::string::npos) return {.status = 404};
    return hub(request);
  });
  EXPECT_FALSE(fetch(server));
  fails = false;
  const std::size_t before = requests_with(server, "if-none-match");
  ASSERT_TRUE(fetch(server));
  EXPECT_GE(requests_with(server, "if-none-match") - before, 2u);
}

TEST_F(FetchModel, DamagedCachesAreFetchedAgain) {
  serve_sharded(2);
  HttpServer server([this](const auto& request) { return hub(request); });
  const auto first = fetch(server);
  ASSERT_TRUE(first) << first.error().message;
  const std::string shard = text_of(first->folder + "config.json");
  std::vector<fs::path> heads;
  for (const auto& entry : fs::recursive_directory_iterator(cache_ / "xdg/plimsoll/heads"))
    if (entry.is_regular_file()) heads.push_back(entry.path());
  ASSERT_EQ(heads.size(), 4u);
  for (const auto& path : heads) { // bytes that are others, and names that say nonsense
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).write("garbage!", 8);
    std::ofstream(path.string() + ",,,,") << "x";
    std::ofstream(path.parent_path() / "config.json,99999999999999999999999,5,zz,e") << "x";
    std::ofstream(path.parent_path() / "config.json,10,99,0,e") << "x";
    fs::create_directories(path.parent_path() / "config.json,5,5,0000000000000000,dir");
  }
  const auto second = fetch(server);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(text_of(second->folder + "config.json"), shard);
  EXPECT_EQ(requests_with(server, "if-none-match"), 0u);
  fs::remove(second->folder + "config.json"); // a folder of a model that somebody changed
  std::ofstream(second->folder + "stray.gguf") << "x";
  const auto third = fetch(server);
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_EQ(text_of(third->folder + "config.json"), shard);
  EXPECT_FALSE(fs::exists(third->folder + "stray.gguf"));
}

TEST_F(FetchModel, NothingIsAskedAgainWithoutAnEtag) {
  ServedFile file;
  file.head = test::safetensors_start({{"t", "BF16", {10, 10}}}, file.file_bytes);
  files_.add(kFolder + "/model.safetensors", file);
  files_.add(kFolder + "/config.json", ServedFile{kConfig, std::string_view(kConfig).size()});
  HttpServer server([this](const auto& request) { return hub(request); });
  ASSERT_TRUE(fetch(server));
  ASSERT_TRUE(fetch(server));
  EXPECT_EQ(requests_with(server, "if-none-match"), 0u);
}

TEST_F(FetchModel, LongHeadersAreReadOn) {
  std::vector<test::SparseTensor> tensors;
  for (int i = 0; i < 20'000; ++i) tensors.push_back({"model.layers.0.mlp.experts." + std::to_string(i) + ".weight", "BF16", {16, 16}});
  ServedFile file;
  file.head = test::safetensors_start(tensors, file.file_bytes);
  file.etag = "\"x\"";
  ASSERT_GT(file.head.size(), 1'000'000u);
  files_.add(kFolder + "/model.safetensors", file);
  files_.add(kFolder + "/config.json", kConfig);
  HttpServer server([this](const auto& request) { return hub(request); });
  const auto model = fetch(server);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(requests_with(server, "range"), 2u);
  EXPECT_EQ(text_of(model->folder + "model.safetensors").substr(0, file.head.size()), file.head);
}

test::GgufWriter gguf_of(unsigned tokens) {
  test::GgufWriter writer;
  std::vector<std::string> texts;
  for (unsigned i = 0; i < tokens; ++i) texts.push_back("token number " + std::to_string(i));
  writer.text("general.architecture", "llama").texts("tokenizer.ggml.tokens", texts);
  writer.tensor("output.weight", 1, {4096, 1000}, 4096 * 1000 * 2);
  return writer;
}

TEST_F(FetchModel, GgufHeadersAreReadOnUntilTheyEnd) {
  const test::GgufWriter writer = gguf_of(200'000);
  ASSERT_GT(writer.start().size(), 4u << 20);
  files_.add("/x/model.gguf", ServedFile{writer.start(), writer.file_bytes(), "\"g\""});
  HttpServer server([this](const auto& request) { return files_.answer(request); });
  const auto model = fetch(server.url() + "/x/model.gguf", std::string(kHub));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->path, model->folder + "model.gguf");
  EXPECT_EQ(requests_with(server, "range"), 4u); // one, two, four, eight MiB, or to the end
  EXPECT_EQ(fs::file_size(model->path), writer.file_bytes());
}

TEST_F(FetchModel, PartsOfAGgufModelComeTogether) {
  const std::string start = gguf_of(10).start();
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"})
    files_.add(std::string("/x/") + name, ServedFile{start, 9'000'000, "\"g\""});
  HttpServer server([this](const auto& request) { return files_.answer(request); });
  const auto model = fetch(server.url() + "/x/m-00002-of-00002.gguf", std::string(kHub));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(fs::exists(model->folder + "m-00001-of-00002.gguf"));
}

struct TagRow {
  const char *text, *file, *says;
};
void PrintTo(const TagRow& row, std::ostream* out) { *out << row.text; }
class FetchModelTags : public FetchModel, public ::testing::WithParamInterface<TagRow> {};

TEST_P(FetchModelTags, PickTheFile) {
  const std::string start = gguf_of(10).start();
  for (const char* name : {"Name-Q4_K_M.gguf", "Name-UD-Q4_K_M.gguf", "Name-Q4_K_S.gguf", "Q8_0/Name-Q8_0-00001-of-00002.gguf",
                           "Q8_0/Name-Q8_0-00002-of-00002.gguf", "mmproj-F16.gguf", "Name.imatrix.gguf", "Name-IQ4_XS.gguf"})
    files_.add(kFolder + "/" + name, ServedFile{start, 9'000'000, "\"g\""});
  HttpServer server([this](const auto& request) { return hub(request); });
  const auto model = fetch(server, GetParam().text);
  ASSERT_EQ(model.has_value(), GetParam().file != nullptr) << (model ? model->path : model.error().message);
  if (model) {
    EXPECT_EQ(model->path, model->folder + GetParam().file);
    EXPECT_TRUE(fs::exists(model->folder + "mmproj-F16.gguf"));
  } else {
    EXPECT_THAT(model.error().message, HasSubstr(GetParam().says));
  }
}

INSTANTIATE_TEST_SUITE_P(All, FetchModelTags,
                         ::testing::Values(TagRow{"hf://Org/Name:Q4_K_M", "Name-Q4_K_M.gguf", ""},
                                           TagRow{"hf://Org/Name:q4_k_m", "Name-Q4_K_M.gguf", ""},
                                           TagRow{"hf://Org/Name:UD-Q4_K_M", "Name-UD-Q4_K_M.gguf", ""},
                                           TagRow{"hf://Org/Name:Q8_0", "Name-Q8_0-00001-of-00002.gguf", ""},
                                           TagRow{"hf://Org/Name:IQ4_XS", "Name-IQ4_XS.gguf", ""},
                                           TagRow{"hf://Org/Name:4_K_M", nullptr, "is 4_K_M; it has"},
                                           TagRow{"hf://Org/Name:F32", nullptr, "'Q4_K_M'"},
                                           TagRow{"hf://Org/Name", nullptr, "has 5 GGUF models; give one as hf://Org/Name:TAG"}));

TEST_F(FetchModel, FoldersOfAnyServerNeedNoList) {
  ServedFile file;
  file.head = test::safetensors_start({{"t", "BF16", {10, 10}}}, file.file_bytes);
  files_.add("/some/where/model.safetensors", file);
  files_.add("/some/where/config.json", kConfig);
  HttpServer server([this](const auto& request) { return files_.answer(request); });
  const auto model = fetch(server.url() + "/some/where", std::string(kHub));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(fs::exists(model->folder + "model.safetensors"));
  EXPECT_TRUE(fs::exists(model->folder + "config.json"));
}

TEST_F(FetchModel, ServersWithoutRangesAreReadNoFurtherThanNeeded) {
  const test::GgufWriter writer = gguf_of(150'000);
  HttpServer server([&](const auto&) { return HttpAnswer{.body = writer.start() + std::string(30'000'000, '\0')}; });
  std::uint64_t received = 0;
  options_.progress = [&](const FetchProgress& progress) { received = progress.received_bytes; };
  const auto model = fetch(server.url() + "/model.gguf", std::string(kHub));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(fs::file_size(model->path), writer.start().size() + 30'000'000);
  EXPECT_LT(received, 20'000'000u);
}

TEST_F(FetchModel, TheTokenGoesToTheHubAndNowhereElse) {
  serve_sharded(2);
  token_ = "hf_secret";
  HttpServer elsewhere([this](const auto& request) { return hub(request); });
  HttpServer server([&](const auto& request) -> HttpAnswer {
    if (request.target.find("safetensors") != std::string::npos && request.target.find("index") == std::string::npos)
      return {.status = 302, .headers = {{"Location", elsewhere.url() + request.target}}};
    return hub(request);
  });
  const auto model = fetch(server);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(elsewhere.seen().size(), 2u);
  EXPECT_EQ(requests_with(elsewhere, "authorization"), 0u);
  EXPECT_EQ(requests_with(server, "authorization"), server.seen().size());
  EXPECT_EQ(server.seen().front().headers.at("authorization"), "Bearer hf_secret");
  ASSERT_TRUE(fetch(elsewhere.url() + kFolder, server.url())); // a folder of no hub
  EXPECT_EQ(requests_with(elsewhere, "authorization"), 0u);
  for (const auto& entry : fs::recursive_directory_iterator(cache_ / "xdg"))
    if (entry.is_regular_file() && entry.file_size() < 100'000) {
      EXPECT_THAT(text_of(entry.path().string()), Not(HasSubstr("hf_secret")));
    }
}

TEST_F(FetchModel, TokensThatAreNoneAreNotSent) {
  serve_sharded(1);
  token_ = "a\r\nX-Injected: 1";
  HttpServer server([this](const auto& request) { return hub(request); });
  ASSERT_TRUE(fetch(server));
  EXPECT_EQ(requests_with(server, "authorization") + requests_with(server, "x-injected"), 0u);
}

TEST_F(FetchModel, TheTokensFileIsThatOfTheHubsClient) {
  serve_sharded(1);
  fs::create_directories(cache_ / "xdg/huggingface");
  test::write_text(cache_ / "xdg/huggingface/token", "hf_of_a_file\n");
  HttpServer server([this](const auto& request) { return hub(request); });
  ASSERT_TRUE(fetch(server));
  EXPECT_EQ(server.seen().front().headers.at("authorization"), "Bearer hf_of_a_file");
}

TEST_F(FetchModel, ListsOfSeveralPagesAreReadToTheirEnd) {
  serve_sharded(2);
  std::string url;
  HttpServer server([&](const auto& request) -> HttpAnswer {
    if (request.target == "/api/models/Org/Name/tree/main?recursive=true")
      return {.headers = {{"Link", "<" + url + "/api/next?cursor=2>; rel=\"next\""}}, .body = R"([{"type": "directory", "path": "x"}])"};
    if (request.target == "/api/next?cursor=2") return {.body = files_.listing(kFolder)};
    return files_.answer(request);
  });
  url = server.url();
  const auto model = fetch(server);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(fs::exists(model->folder + "model-00002-of-00002.safetensors"));
}

TEST_F(FetchModel, FilesBeyondTheLimitOfTheProcessAreNotMade) {
  serve_sharded(1);
  HttpServer server([this](const auto& request) { return hub(request); });
  rlimit usual = {};
  getrlimit(RLIMIT_FSIZE, &usual);
  const rlimit small{1'000'000, usual.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto model = fetch(server);
  setrlimit(RLIMIT_FSIZE, &usual);
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("ulimit -f"));
}

TEST_F(FetchModel, ServersThatFailNowAndThenAreAskedAgain) {
  serve_sharded(4);
  std::mutex asking;
  std::map<std::string, unsigned> asked; // every file fails twice
  HttpServer server([&](const auto& request) -> HttpAnswer {
    unsigned before = 0;
    {
      const std::lock_guard<std::mutex> lock(asking);
      before = asked[request.target]++;
    }
    switch (before) {
    case 0: return {.status = 503, .headers = {{"Retry-After", "120"}}};
    case 1: return {.body = "half", .promised_bytes = 1'000'000};
    default: return hub(request);
    }
  });
  const auto model = fetch(server);
  ASSERT_TRUE(model) << model.error().message;
}

TEST_F(FetchModel, ConnectionsAreFewAndKept) {
  serve_sharded(9);
  HttpServer server([this](const auto& request) { return hub(request); });
  options_.limits.connections = 3;
  ASSERT_TRUE(fetch(server));
  EXPECT_LE(server.connections(), 3u);
}

TEST_F(FetchModel, ProgressEndsWithAllFiles) {
  serve_sharded(3);
  HttpServer server([this](const auto& request) { return hub(request); });
  FetchProgress last;
  options_.progress = [&](const FetchProgress& progress) { last = progress; };
  ASSERT_TRUE(fetch(server));
  EXPECT_TRUE(last.finished);
  EXPECT_EQ(last.files_done, last.files);
  EXPECT_EQ(last.files, 6u);
}

TEST_F(FetchModel, FetchesAtOnceHaveOneCache) {
  serve_sharded(6);
  HttpServer server([this](const auto& request) { return hub(request); });
  std::atomic<unsigned> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      const auto model = fetch(server);
      if (model && locate_model(model->path)) ++good;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 4u);
}

// ---- what is wrong -------------------------------------------------------------------------------------------

struct WrongServer {
  const char* name;
  HttpAnswer (*answer)(const HttpRequest& request, const ServedFiles& files);
  const char *says, *advises;
};
void PrintTo(const WrongServer& row, std::ostream* out) { *out << row.name; }
class FetchModelWrong : public FetchModel, public ::testing::WithParamInterface<WrongServer> {};

bool is_shard(const HttpRequest& request) { return request.target.ends_with(".safetensors"); }
HttpAnswer with_list(const HttpRequest& request, const ServedFiles& files) {
  if (request.target.starts_with("/api/")) return {.body = files.listing(kFolder)};
  return files.answer(request);
}

TEST_P(FetchModelWrong, IsAnErrorThatSaysWhatToDo) {
  serve_sharded(2);
  token_ = "hf_secret";
  options_.limits.time = std::chrono::seconds(3);
  options_.limits.stall_time = std::chrono::seconds(1);
  options_.limits.received_bytes = 4 << 20;
  HttpServer server([&](const auto& request) { return GetParam().answer(request, files_); });
  const auto model = fetch(server);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code == ErrorCode::kBadRequest || model.error().code == ErrorCode::kBadCheckpoint ||
                model.error().code == ErrorCode::kBadConfig,
            true);
  EXPECT_THAT(model.error().message, AllOf(HasSubstr(GetParam().says), HasSubstr(GetParam().advises)));
  EXPECT_THAT(model.error().where, HasSubstr(server.url()));
  EXPECT_THAT(model.error().message + model.error().where, Not(HasSubstr("secret")));
  for (const auto& entry : fs::recursive_directory_iterator(cache_ / "xdg"))
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr(".new.")));
}

INSTANTIATE_TEST_SUITE_P(
    All, FetchModelWrong,
    ::testing::Values(
        WrongServer{"Gated",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      return request.target.starts_with("/api/") ? with_list(request, files)
                                                                 : HttpAnswer{.status = 403, .headers = {{"X-Error-Code", "GatedRepo"}}};
                    },
                    "gated: accept its licence at", "HF_TOKEN"},
        WrongServer{"Unauthorized", [](const HttpRequest&, const ServedFiles&) { return HttpAnswer{.status = 401}; }, "private or gated", "HF_TOKEN"},
        WrongServer{"NoRepository",
                    [](const HttpRequest&, const ServedFiles&) { return HttpAnswer{.status = 404, .headers = {{"X-Error-Code", "RepoNotFound"}}}; },
                    "knows no repository 'Org/Name'", "look at the name"},
        WrongServer{"NoRevision",
                    [](const HttpRequest&, const ServedFiles&) { return HttpAnswer{.status = 404, .headers = {{"X-Error-Code", "RevisionNotFound"}}}; },
                    "no revision 'main'", ""},
        WrongServer{"NoFile",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      return is_shard(request) ? HttpAnswer{.status = 404} : with_list(request, files);
                    },
                    "there is no such file", "look at the URL"},
        WrongServer{"TooManyRequests", [](const HttpRequest&, const ServedFiles&) { return HttpAnswer{.status = 429}; }, "fewer requests", "later"},
        WrongServer{"ServerError", [](const HttpRequest&, const ServedFiles&) { return HttpAnswer{.status = 500}; }, "4 times", "later"},
        WrongServer{"Teapot", [](const HttpRequest&, const ServedFiles&) { return HttpAnswer{.status = 418}; }, "status 418", ""},
        WrongServer{"EmptyShard",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      return is_shard(request) ? HttpAnswer{.status = 416} : with_list(request, files);
                    },
                    "empty or truncated", ""},
        WrongServer{"RedirectLoop",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      if (!is_shard(request)) return with_list(request, files);
                      return HttpAnswer{.status = 302, .headers = {{"Location", request.target}}};
                    },
                    "redirects", "from one place to another"},
        WrongServer{"RedirectToFiles",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      if (!is_shard(request)) return with_list(request, files);
                      return HttpAnswer{.status = 302, .headers = {{"Location", "file:///etc/passwd"}}};
                    },
                    "cannot be fetched", "a redirect leads where nothing is fetched"},
        WrongServer{"Truncated",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      HttpAnswer answer = with_list(request, files);
                      if (is_shard(request)) {
                        answer.promised_bytes = answer.body.size();
                        answer.body.resize(answer.body.size() / 2);
                      }
                      return answer;
                    },
                    "4 times", "try again"},
        WrongServer{"ShortRange",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      HttpAnswer answer = with_list(request, files);
                      if (is_shard(request)) answer.body.resize(100);
                      return answer;
                    },
                    "truncated", "try again"},
        WrongServer{"OtherRange",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      HttpAnswer answer = with_list(request, files);
                      if (is_shard(request)) answer.headers = {{"Content-Range", "bytes 5-10/1000"}};
                      return answer;
                    },
                    "its ranges cannot be used", "bytes 5-10/1000"},
        WrongServer{"NoLengthInRange",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      HttpAnswer answer = with_list(request, files);
                      if (is_shard(request)) answer.headers = {{"Content-Range", "bytes 0-131071/*"}};
                      return answer;
                    },
                    "its ranges cannot be used", ""},
        WrongServer{"NoLength",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      if (!is_shard(request)) return with_list(request, files);
                      return HttpAnswer{.body = std::string(1'000'000, 'x'), .says_length = false};
                    },
                    "does not say how long the file is", ""},
        WrongServer{"OtherLength",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      HttpAnswer answer = with_list(request, files);
                      if (is_shard(request)) answer.headers = {{"Content-Range", "bytes 0-131071/999999"}};
                      return answer;
                    },
                    "has 999999 bytes, and the repository lists it with", "try again"},
        WrongServer{"LengthThatNoFileHas",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      if (request.target.starts_with("/api/"))
                        return HttpAnswer{.body = R"([{"type": "file", "path": "config.json"}, {"type": "file", "path": "model.safetensors"}])"};
                      HttpAnswer answer = files.answer(request);
                      if (is_shard(request))
                        answer = {.status = 206, .headers = {{"Content-Range", "bytes 0-131071/18446744073709551615"}}, .body = std::string(131'072, '\1')};
                      return answer;
                    },
                    "18446744073709551615 bytes, which no file", ""},
        WrongServer{"Packed",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      HttpAnswer answer = with_list(request, files);
                      if (is_shard(request)) answer.headers.emplace_back("Content-Encoding", "gzip");
                      return answer;
                    },
                    "packs the file (gzip)", "give a URL"},
        WrongServer{"Slow",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      HttpAnswer answer = with_list(request, files);
                      if (is_shard(request)) {
                        answer.pause = std::chrono::milliseconds(50);
                        answer.step_bytes = 1;
                      }
                      return answer;
                    },
                    "", "--fetch-timeout"},
        WrongServer{"Flood",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      if (!request.target.ends_with("config.json")) return with_list(request, files);
                      return HttpAnswer{.body = std::string(60'000'000, ' ')};
                    },
                    "more than 4194304 bytes", ""},
        WrongServer{"ManyHeaders",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      HttpAnswer answer = with_list(request, files);
                      for (int i = 0; i < 2'000; ++i) answer.headers.emplace_back("X-A", "b");
                      return answer;
                    },
                    "", "headers"},
        WrongServer{"ListIsNone", [](const HttpRequest&, const ServedFiles&) { return HttpAnswer{.body = "<html>"}; }, "", ""},
        WrongServer{"ListIsAnObject", [](const HttpRequest&, const ServedFiles&) { return HttpAnswer{.body = "{}"}; }, "a list of files was expected", ""},
        WrongServer{"ListGoesElsewhere",
                    [](const HttpRequest&, const ServedFiles&) {
                      return HttpAnswer{.headers = {{"Link", "<http://127.0.0.1:1/api/x>; rel=\"next\""}}, .body = "[]"};
                    },
                    "goes on where none of the hub's does", ""},
        WrongServer{"ListWithoutEnd",
                    [](const HttpRequest& request, const ServedFiles&) {
                      return HttpAnswer{.headers = {{"Link", "<http://" + request.headers.at("host") + "/api/x>; rel=\"next\""}}, .body = "[]"};
                    },
                    "the list of the repository's files", ""},
        WrongServer{"NoModel", [](const HttpRequest&, const ServedFiles&) { return HttpAnswer{.body = R"([{"type": "file", "path": "README.md"}])"}; },
                    "neither a config.json nor a GGUF model", "give the URL"},
        WrongServer{"PathsThatLeadOut",
                    [](const HttpRequest&, const ServedFiles&) {
                      return HttpAnswer{.body = R"([{"type": "file", "path": "../config.json"}, {"type": "file", "path": "/etc/config.json"}, 7])"};
                    },
                    "neither a config.json nor a GGUF model", ""},
        WrongServer{"IndexThatLeadsOut",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      if (request.target.ends_with("index.json")) {
                        const std::string text = R"({"weight_map": {"a": "../../x.safetensors"}})";
                        return HttpAnswer{.headers = {{"ETag", "\"i\""}}, .body = text};
                      }
                      if (request.target.starts_with("/api/"))
                        return HttpAnswer{.body = R"([{"type": "file", "path": "config.json"}, {"type": "file", "path": "model.safetensors.index.json"}])"};
                      return files.answer(request);
                    },
                    "", ""},
        WrongServer{"IndexOfFilesThatAreNotThere",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      if (request.target.ends_with("index.json")) return HttpAnswer{.body = R"({"weight_map": {"a": "x.safetensors"}})"};
                      if (request.target.starts_with("/api/"))
                        return HttpAnswer{.body = R"([{"type": "file", "path": "config.json"}, {"type": "file", "path": "model.safetensors.index.json"}])"};
                      return files.answer(request);
                    },
                    "the index names 'x.safetensors', which the repository lacks", ""},
        WrongServer{"IndexOfTooMany",
                    [](const HttpRequest& request, const ServedFiles& files) {
                      if (request.target.starts_with("/api/"))
                        return HttpAnswer{.body = R"([{"type": "file", "path": "config.json"}, {"type": "file", "path": "model.safetensors.index.json"}])"};
                      if (!request.target.ends_with("index.json")) return files.answer(request);
                      std::string text = R"({"weight_map": {"a": "0.safetensors")";
                      for (int i = 1; i < 10'000; ++i) text += ", \"t" + std::to_string(i) + "\": \"" + std::to_string(i) + ".safetensors\"";
                      return HttpAnswer{.body = text + "}}"};
                    },
                    "the index names 10000 files", ""}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(FetchModel, NobodyThereIsAnErrorThatNamesTheUrl) {
  std::string url;
  {
    url = HttpServer([](const auto&) { return HttpAnswer{}; }).url();
  }
  const auto model = fetch("hf://Org/Name", url);
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, AllOf(HasSubstr("cannot be fetched"), HasSubstr("look at the network")));
  EXPECT_THAT(model.error().where, HasSubstr(url));
}

TEST_F(FetchModel, CachesThatCannotBeWrittenAreNamed) {
  serve_sharded(1);
  HttpServer server([this](const auto& request) { return hub(request); });
  test::write_text(cache_ / "xdg", "a file");
  const auto model = fetch(server);
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("set XDG_CACHE_HOME"));
}

} // namespace
} // namespace plimsoll
