// From the MODEL argument to files: a directory, a config, a GGUF file, a name in the Hugging Face cache or in the catalogue.
// Looks at names and links only; never opens a socket, never blocks,
// never reads tensor headers. Threads: pure functions of the file system.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

enum class CheckpointFormat { kNone, kSafetensors, kGguf };
enum class ModelOrigin { kDirectory, kConfigFile, kGgufFile, kHfCache, kCatalogue };

struct ModelFiles {
  std::optional<std::string> config_path;          // absent where a GGUF file brings its own
  std::optional<std::string> hf_quant_config_path; // beside the config, as modelopt writes it
  std::vector<std::string> shards;                 // safetensors or GGUF files, sorted; empty for kNone
  std::size_t folder_bytes = 0;                    // of every shard's path: its folder, with the slash; the rest is the shard's name
  std::vector<std::string> rank_parts;   // of a checkpoint that an engine saved as its ranks had it; then kNone: see saved_ranks.hpp
  std::optional<std::string> index_path; // of a sharded safetensors checkpoint
  CheckpointFormat format = CheckpointFormat::kNone;
  ModelOrigin origin = ModelOrigin::kDirectory;
  std::string name;          // "org/name", with its revision and tag, where it was found by name, however that was typed; else empty
  Json changes;              // of a name whose configuration is a catalogue entry's but for these keys; null: none
  std::string assumed;       // what of them nobody published
  bool headers_only = false; // of a URL: behind their headers the files are holes, and no weights can be loaded

  // As an index names it: "model-00001-of-00002.safetensors", "sub/model.safetensors".
  std::string_view shard_name(std::size_t shard) const { return std::string_view(shards[shard]).substr(folder_bytes); }
};

struct LocateOptions {
  std::string catalogue_directory; // of <org>__<name>.json files; empty: no catalogue
  // Environment variables; the default asks the process.
  std::function<std::optional<std::string>(const char* name)> environment;
};

// kBadRequest where nothing of that name exists (the message lists where it was looked for), kBadConfig where a model has
// no config, kBadCheckpoint where its shards are incomplete or no files.
Result<ModelFiles> locate_model(const std::string& model, const LocateOptions& options = {});

// The folder in the local Hugging Face cache that a name means letter by letter; nothing where there is none.
std::optional<std::string> cached_folder(const std::string& name, const LocateOptions& options = {});

// A variable of the environment; nothing where it is not set or empty.
std::optional<std::string> environment_value(const LocateOptions& options, const char* name);

// The directory of the local Hugging Face cache: HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME or ~/.cache; empty without any.
std::string hf_cache_directory(const LocateOptions& options);

} // namespace plimsoll
