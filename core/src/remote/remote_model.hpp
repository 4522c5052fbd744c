// What a MODEL argument that is a URL means: a repository of the hub, a folder or a file of any server.
// Called by host/context.cpp before anything is looked for. Reads text only: never opens a file or a socket. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "plimsoll/result.hpp"

namespace plimsoll {

inline constexpr std::string_view kHub = "https://huggingface.co";

struct RemoteModel {
  std::string endpoint;   // of the hub: "https://huggingface.co", without a slash at its end; empty where this is no hub
  std::string repository; // "ORG/NAME", or "NAME" of the hub's oldest
  std::string revision;   // a branch, a tag or a commit
  std::string folder_url; // where the model's files are, with a slash at its end; of a hub that of its files at that revision
  std::string folder;     // inside a repository: empty, or "sub/folder/"
  std::string file;       // "model-Q4_K_M.gguf" or "config.json", where the URL names one; as it is called, nothing escaped
  std::string tag;        // "Q4_K_M": the GGUF file of a repository that is meant

  bool is_hub() const { return !endpoint.empty(); }
};

// Whether a text is a URL at all, or a name of the hub's ("hf.co/ORG/NAME"), right or wrong.
bool is_remote(std::string_view model);

// hf://ORG/NAME[@REVISION][/FILE][:TAG], hf.co/ORG/NAME[:TAG], https://huggingface.co/ORG/NAME[/tree|blob|resolve|raw/REVISION[/PATH]], the
// same below `endpoint`, and any other https or http URL of a folder, a .gguf file or a .json. kBadRequest for everything else, for
// credentials and for queries in a URL, which would stand in plans.
Result<RemoteModel> parse_remote(std::string_view model, std::string_view endpoint = kHub);

// ORG/NAME of the hub, as `parse_remote` has it of "hf://ORG/NAME"; kBadRequest where it is no name of a repository.
Result<RemoteModel> hub_repository(std::string_view name, std::string_view endpoint = kHub);

// A path in a URL: everything that is no letter, digit, "-", ".", "_", "~" or "/" escaped; a slash too, where it is one segment.
std::string escaped_path(std::string_view path, bool is_segment = false);

// Whether a path that a stranger names may become one of ours: relative, no "..", no empty parts, nothing but printable text, and short.
bool is_safe_path(std::string_view path);

// "HOST[:PORT]" of a URL, in lower case.
std::string host_of(std::string_view url);

} // namespace plimsoll
