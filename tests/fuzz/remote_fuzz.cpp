// URLs of models, lists of repositories and the names of what is kept: any text is something that stays inside, or an error with a message.
#include "fuzz/fuzz.hpp"
#include "remote/hub.hpp"

#include <cstdlib>

namespace plimsoll::fuzz {

std::vector<std::string> seeds() {
  return {"hf://Org/Name@refs/pr/1/sub/x.gguf",
          "hf.co/Org/Name:Q4_K_M",
          "https://huggingface.co/Org/Name/tree/main/sub%20folder",
          "https://huggingface.co/Org/Name/resolve/v1.0/m-00001-of-00002.gguf?download=true",
          "http://user:pass@[::1]:8080/a/../b/model.gguf",
          R"([{"type": "file", "path": "config.json", "size": 12}, {"type": "file", "path": "model.safetensors.index.json"}])",
          R"([{"type": "file", "path": "a/M-Q4_K_M-00001-of-00002.gguf"}, {"type": "file", "path": "mmproj-F16.gguf", "size": -1}])",
          R"([{"type": "directory", "path": "../x"}, {"type": "file", "path": "M.gguf"}, {"type": "file", "path": "N.gguf"}, 7])"};
}

static void check(const Error& error) {
  if (error.message.empty() || error.where.find('\n') != std::string::npos) std::abort();
}

static void check_path(std::string_view path) {
  if (!is_safe_path(path)) std::abort();
}

void fuzz_one(std::string_view input) {
  RemoteModel model;
  model.endpoint = kHub;
  model.repository = "Org/Name";
  model.revision = "main";
  if (const auto read = parse_remote(input)) {
    model = *read;
    if (model.folder_url.back() != '/' || model.folder_url.find("://") == std::string::npos) std::abort();
    if (model.folder_url.find("/../") != std::string::npos || model.folder_url.find_first_of("?# ") != std::string::npos) std::abort();
    if (host_of(model.folder_url).find('@') != std::string::npos) std::abort();
    if (!model.file.empty()) check_path(model.file);
    if (!model.folder.empty()) check_path(model.folder.substr(0, model.folder.size() - 1));
  } else {
    check(read.error());
  }
  std::vector<RepositoryFile> files;
  if (const auto read = read_listing(std::string(input), "https://hub/list", files); !read) return check(read.error());
  for (const char* tag : {"", "Q4_K_M"}) {
    model.tag = tag;
    const auto chosen = choose_files(model, files);
    if (!chosen) {
      check(chosen.error());
      continue;
    }
    for (const auto* list : {&chosen->whole, &chosen->shards, &chosen->projectors})
      for (const RepositoryFile& file : *list) check_path(file.path);
    if (chosen->gguf && chosen->shards.empty()) std::abort();
  }
}

} // namespace plimsoll::fuzz
