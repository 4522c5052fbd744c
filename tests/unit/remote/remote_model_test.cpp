// What a URL in the place of a model means, and what is refused as one.
#include "remote/remote_model.hpp"

#include <gmock/gmock.h>

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct UrlRow {
  const char *text, *endpoint, *repository, *revision, *folder_url, *folder, *file, *tag;
};
void PrintTo(const UrlRow& row, std::ostream* out) { *out << row.text; }

class RemoteModelUrls : public ::testing::TestWithParam<UrlRow> {};

TEST_P(RemoteModelUrls, AreRead) {
  const UrlRow& row = GetParam();
  ASSERT_TRUE(is_remote(row.text));
  const auto model = parse_remote(row.text, "http://127.0.0.1:9/hub");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->endpoint, row.endpoint);
  EXPECT_EQ(model->repository, row.repository);
  EXPECT_EQ(model->revision, row.revision);
  EXPECT_EQ(model->folder_url, row.folder_url);
  EXPECT_EQ(model->folder, row.folder);
  EXPECT_EQ(model->file, row.file);
  EXPECT_EQ(model->tag, row.tag);
}

constexpr const char* kMirror = "http://127.0.0.1:9/hub";
INSTANTIATE_TEST_SUITE_P(
    All, RemoteModelUrls,
    ::testing::Values(
        UrlRow{"hf://Org/Na.me-1", kMirror, "Org/Na.me-1", "main", "http://127.0.0.1:9/hub/Org/Na.me-1/resolve/main/", "", "", ""},
        UrlRow{"hf:Org/Name", kMirror, "Org/Name", "main", "http://127.0.0.1:9/hub/Org/Name/resolve/main/", "", "", ""},
        UrlRow{"hf://gpt2", kMirror, "gpt2", "main", "http://127.0.0.1:9/hub/gpt2/resolve/main/", "", "", ""},
        UrlRow{"hf://models/Org/Name", kMirror, "Org/Name", "main", "http://127.0.0.1:9/hub/Org/Name/resolve/main/", "", "", ""},
        UrlRow{"hf://Org/Name@v1.0", kMirror, "Org/Name", "v1.0", "http://127.0.0.1:9/hub/Org/Name/resolve/v1.0/", "", "", ""},
        UrlRow{"hf://Org/Name@refs/pr/7", kMirror, "Org/Name", "refs/pr/7", "http://127.0.0.1:9/hub/Org/Name/resolve/refs%2Fpr%2F7/", "",
               "", ""},
        UrlRow{"hf://Org/Name@refs/pr/7/sub/x.gguf", kMirror, "Org/Name", "refs/pr/7",
               "http://127.0.0.1:9/hub/Org/Name/resolve/refs%2Fpr%2F7/sub/", "sub/", "x.gguf", ""},
        UrlRow{"hf://Org/Name@dev/sub", kMirror, "Org/Name", "dev", "http://127.0.0.1:9/hub/Org/Name/resolve/dev/sub/", "sub/", "", ""},
        UrlRow{"hf://Org/Name:Q4_K_M", kMirror, "Org/Name", "main", "http://127.0.0.1:9/hub/Org/Name/resolve/main/", "", "", "Q4_K_M"},
        UrlRow{"hf.co/Org/Name:IQ4_XS", kMirror, "Org/Name", "main", "http://127.0.0.1:9/hub/Org/Name/resolve/main/", "", "", "IQ4_XS"},
        UrlRow{"https://huggingface.co/Org/Name", "https://huggingface.co", "Org/Name", "main",
               "https://huggingface.co/Org/Name/resolve/main/", "", "", ""},
        UrlRow{"https://HuggingFace.co/Org/Name/", "https://huggingface.co", "Org/Name", "main",
               "https://huggingface.co/Org/Name/resolve/main/", "", "", ""},
        UrlRow{"https://huggingface.co/Org/Name/tree/v2/sub%20folder", "https://huggingface.co", "Org/Name", "v2",
               "https://huggingface.co/Org/Name/resolve/v2/sub%20folder/", "sub folder/", "", ""},
        UrlRow{"https://huggingface.co/Org/Name/tree/refs%2Fpr%2F1", "https://huggingface.co", "Org/Name", "refs/pr/1",
               "https://huggingface.co/Org/Name/resolve/refs%2Fpr%2F1/", "", "", ""},
        UrlRow{"https://huggingface.co/Org/Name/blob/main/q/Name-Q8_0.gguf", "https://huggingface.co", "Org/Name", "main",
               "https://huggingface.co/Org/Name/resolve/main/q/", "q/", "Name-Q8_0.gguf", ""},
        UrlRow{"https://huggingface.co/Org/Name/resolve/main/config.json?download=true", "https://huggingface.co", "Org/Name", "main",
               "https://huggingface.co/Org/Name/resolve/main/", "", "config.json", ""},
        UrlRow{"https://www.hf.co/Org/Name/tree/main?library=vllm&local-app=x#usage", "https://huggingface.co", "Org/Name", "main",
               "https://huggingface.co/Org/Name/resolve/main/", "", "", ""},
        UrlRow{"http://127.0.0.1:9/hub/Org/Name/tree/main", kMirror, "Org/Name", "main", "http://127.0.0.1:9/hub/Org/Name/resolve/main/",
               "", "", ""},
        UrlRow{"https://Files.Example/a/b/model.gguf", "", "", "", "https://files.example/a/b/", "", "model.gguf", ""},
        UrlRow{"https://files.example/a/b/", "", "", "", "https://files.example/a/b/", "", "", ""},
        UrlRow{"http://files.example:8080/a%20b/config.json", "", "", "", "http://files.example:8080/a%20b/", "", "config.json", ""},
        UrlRow{"https://files.example", "", "", "", "https://files.example/", "", "", ""}));

struct WrongUrl {
  const char *text, *says;
};
void PrintTo(const WrongUrl& row, std::ostream* out) { *out << row.text; }

class RemoteModelWrongUrls : public ::testing::TestWithParam<WrongUrl> {};

TEST_P(RemoteModelWrongUrls, AreRefused) {
  const WrongUrl& row = GetParam();
  ASSERT_TRUE(is_remote(row.text));
  const auto model = parse_remote(row.text);
  ASSERT_FALSE(model) << model->folder_url << " " << model->file;
  EXPECT_EQ(model.error().code, ErrorCode::kBadRequest);
  EXPECT_THAT(model.error().message, HasSubstr(row.says));
  EXPECT_THAT(model.error().message + model.error().where, Not(HasSubstr("secret")));
}

INSTANTIATE_TEST_SUITE_P(
    All, RemoteModelWrongUrls,
    ::testing::Values(
        WrongUrl{"hf://", "names no repository"}, WrongUrl{"hf://a/..", "names no repository"},
        WrongUrl{"hf://../etc", "names no repository"}, WrongUrl{"hf://.a/b", "names no repository"},
        WrongUrl{"hf://datasets/a/b", "no repository of a model"}, WrongUrl{"hf://spaces/a/b", "no repository of a model"},
        WrongUrl{"hf://a/b@", "no branch"}, WrongUrl{"hf://a/b@../c", "no branch"}, WrongUrl{"hf://a/b@x/../../c", "the path"},
        WrongUrl{"hf://a/b:", "quantisation"}, WrongUrl{"hf://a/b:Q4 K", "space"}, WrongUrl{"hf://a/b:$(x)", "quantisation"},
        WrongUrl{"hf://a/b/c.gguf:Q4_0", "leave out one"}, WrongUrl{"hf://a/b/../../c", "the path"},
        WrongUrl{"https://huggingface.co/a/b/blob/main/model.safetensors", "one safetensors file"},
        WrongUrl{"https://huggingface.co/a/b/blob/main/model.safetensors.index.json", "the index"},
        WrongUrl{"https://huggingface.co/a/b/blob/main/README.md", "no model"},
        WrongUrl{"https://huggingface.co/a/b/tree", "a revision was expected"},
        WrongUrl{"https://huggingface.co/a/b/tree/main/..%2f..%2fc", "the path"},
        WrongUrl{"https://huggingface.co/a/b/tree/%zz", "no branch"}, WrongUrl{"https://huggingface.co", "names no repository"},
        WrongUrl{"https://u:secret@files.example/m.gguf", "a name or a password"},
        WrongUrl{"https://secret@huggingface.co/a/b", "a name or a password"},
        WrongUrl{"https://files.example/m.gguf?sig=secret", "a query"}, WrongUrl{"https://files.example/m.gguf#x", "a query"},
        WrongUrl{"https://files.example/a/../../m.gguf", "a part that is none"},
        WrongUrl{"https://files.example/a/%2e%2e/m.gguf", "a part that is none"},
        WrongUrl{"https://files.example/a//m.gguf", "an empty part"}, WrongUrl{"https://files.example/..%2Fm.gguf", "a name that none"},
        WrongUrl{"https://files.example/a\nb", "control"}, WrongUrl{"https://files.example/a b", "a space"},
        WrongUrl{"https:///m.gguf", "no name of a host"}, WrongUrl{"https://../a/m.gguf", "no name of a host"},
        WrongUrl{"https://a$b/m.gguf", "no name of a host"}, WrongUrl{"file:///etc/passwd", "nothing is fetched by"},
        WrongUrl{"ftp://a/b.gguf", "nothing is fetched by"}, WrongUrl{"s3://bucket/model", "nothing is fetched by"}));

TEST(RemoteModel, OverlongUrlsAreRefused) {
  EXPECT_FALSE(parse_remote("https://files.example/" + std::string(5'000, 'a') + ".gguf"));
  EXPECT_FALSE(parse_remote("https://files.example/" + std::string(300, 'a') + "/m.gguf"));
  EXPECT_FALSE(parse_remote("hf://" + std::string(200, 'a') + "/b"));
}

TEST(RemoteModel, NamesOfFilesAreNoUrls) {
  for (const char* text : {"org/name", "./model", "/a/b", "model.gguf", "C:/models", "huggingface", "hfco/a"})
    EXPECT_FALSE(is_remote(text)) << text;
}

TEST(RemoteModel, StrangersPathsStayInside) {
  for (const char* path : {"a", "a/b.safetensors", "a b", "..a", "a..b/c"}) EXPECT_TRUE(is_safe_path(path)) << path;
  for (const char* path : {"", "/a", "a/", "..", "../a", "a/../b", "a/./b", "a//b", "a\\b", "a\nb"})
    EXPECT_FALSE(is_safe_path(path)) << path;
  EXPECT_FALSE(is_safe_path(std::string(300, 'a')));
  EXPECT_FALSE(is_safe_path(std::string_view("a\0b", 3)));
}

} // namespace
} // namespace plimsoll
