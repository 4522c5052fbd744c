// The hub: where it is, who asks, what a repository holds and which of its files are a model.
// Called by fetch_model.cpp. Reads the environment and the token's file of the hub's own client; opens no socket. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/locate.hpp"
#include "plimsoll/result.hpp"
#include "remote/remote_model.hpp"

namespace plimsoll {

// HF_ENDPOINT, or https://huggingface.co; kBadRequest where the variable is no http or https URL of a host.
Result<std::string> hub_endpoint(const LocateOptions& environment);

// HF_TOKEN, or the file that `hf auth login` writes; empty where there is none, or what there is is none.
std::string hub_token(const LocateOptions& environment);
// The token for a URL: that of the hub's own host, over a connection that nobody reads along, and nothing for any other.
std::string token_for(const std::string& url, const RemoteModel& model, const std::string& token);

struct RepositoryFile {
  std::string path;
  std::optional<std::uint64_t> bytes;
};

// The URL of the first page of a repository's files.
std::string listing_url(const RemoteModel& model);
// One page of them into `files`, entries that are no files and paths that none can have left out. kBadRequest where it is no list.
Result<void> read_listing(std::string text, const std::string& url, std::vector<RepositoryFile>& files);

// What is fetched of a repository.
struct Chosen {
  std::vector<RepositoryFile> whole; // config.json and the like
  std::optional<RepositoryFile> index;
  std::vector<RepositoryFile> shards; // safetensors, or the parts of one GGUF model; without those that the index will name
  std::vector<RepositoryFile> projectors;
  bool gguf = false;
};
// The files of the model that is meant, among all below its folder. kBadRequest where there is none, or where several GGUF models are there
// and the tag fits none or more than one: the message has the tags.
Result<Chosen> choose_files(const RemoteModel& model, const std::vector<RepositoryFile>& files);

} // namespace plimsoll
