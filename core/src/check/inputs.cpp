#include "check/inputs.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>

#include "base/regular_file.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/locate.hpp"

namespace plimsoll::check {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostConfigBytes = 64U << 20U, kMostIndexBytes = 512U << 20U;

// A configuration, or what the catalogue wraps it in.
Result<Json> read_config_file(const std::string& path) {
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMostConfigBytes, ErrorCode::kBadRequest));
  PLIMSOLL_ASSIGN(Json config, parse_json(std::move(text), path, ErrorCode::kBadRequest));
  if (config.is_object() && config.value("schema", Json()) == "plimsoll.model/1") config = Json(config.value("config", Json::object()));
  if (!config.is_object() || (!config.contains("architectures") && !config.contains("model_type")))
    return fail(ErrorCode::kBadRequest, "is no model's configuration: neither /architectures nor /model_type is there", path);
  return config;
}

std::vector<std::string> json_files(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code failed;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".json") out.push_back(it->path().string());
  std::sort(out.begin(), out.end());
  return out;
}

Result<Input> named_input(const std::string& name, const std::string& catalogue) {
  LocateOptions options;
  options.catalogue_directory = catalogue + "/models";
  PLIMSOLL_ASSIGN(const ModelFiles files, locate_model(name, options));
  if (!files.config_path) return fail(ErrorCode::kBadRequest, "there is no config.json", name);
  PLIMSOLL_ASSIGN(Json config, read_config_file(*files.config_path));
  return Input{name, std::move(config), true};
}

bool is_of(const Manifest& manifest, const Json& config) {
  const Json* const list = find_pointer(config, "/architectures/0");
  const std::string name = list != nullptr && list->is_string() ? list->get<std::string>() : std::string();
  return std::any_of(manifest.families.begin(), manifest.families.end(),
                     [&](const FamilyManifest& family) { return family.names().architectures.contains(name); });
}

// Of each architecture one, of many a few.
std::vector<Input> of_catalogue(const Manifest& manifest, const std::string& catalogue) {
  std::map<std::string, Input> by_name;
  for (const std::string& file : json_files(fs::path(catalogue) / "models"))
    if (auto config = read_config_file(file); config && is_of(manifest, *config)) {
      const std::string name = config->at("architectures").at(0).get<std::string>();
      by_name.emplace(name, Input{file, std::move(*config), false});
    }
  std::vector<Input> all, out;
  for (auto& [name, input] : by_name) all.push_back(std::move(input));
  const std::size_t n = std::min(all.size(), kMostFound);
  for (std::size_t i = 0; i < n; ++i) out.push_back(std::move(all[i * all.size() / n]));
  return out;
}

// The keys that nearly all configurations have, small.
Json usual_config() {
  return {{"hidden_size", 64},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 16},
          {"vocab_size", 1024},
          {"max_position_embeddings", 2048},
          {"intermediate_size", 128},
          {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"}};
}
std::vector<Input> made_of(const Manifest& manifest) {
  std::vector<Input> out;
  for (const FamilyManifest& family : manifest.families) {
    if (family.names().architectures.empty() && family.names().model_types.empty()) continue;
    if (out.size() >= kMostFound) break;
    Json config = usual_config();
    if (!family.names().architectures.empty()) config["architectures"] = Json::array({family.names().architectures.begin()->first});
    if (!family.names().model_types.empty()) config["model_type"] = family.names().model_types.front();
    out.push_back({fmt::format("a configuration made of the manifest's family {}", family.id), std::move(config), false});
  }
  return out;
}

Result<std::vector<StoredTensor>> of_files(std::vector<std::string> shards) {
  ModelFiles files;
  files.shards = std::move(shards);
  files.folder_bytes = files.shards.front().rfind('/') + 1;
  files.format = CheckpointFormat::kSafetensors;
  PLIMSOLL_ASSIGN(const Checkpoint checkpoint, open_checkpoint(files, {}));
  return read_tensors(checkpoint);
}

// {"weight_map": {name: file}}, or {name: {"dtype", "shape", "data_offsets"}}.
Result<std::vector<StoredTensor>> of_json(const std::string& path) {
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMostIndexBytes, ErrorCode::kBadRequest));
  PLIMSOLL_ASSIGN(const Json root, parse_json(std::move(text), path, ErrorCode::kBadRequest));
  std::vector<StoredTensor> out;
  const bool index = root.is_object() && root.contains("weight_map");
  const Json& tensors = index ? root["weight_map"] : root;
  if (!tensors.is_object()) return fail(ErrorCode::kBadRequest, "is neither an index nor a header of safetensors", path);
  for (const auto& [name, value] : tensors.items()) {
    if (name == "__metadata__") continue;
    StoredTensor tensor{name, {}, {}, 0};
    if (!index) {
      const Json* const dtype = find_pointer(value, "/dtype");
      const Json* const shape = find_pointer(value, "/shape");
      if (dtype == nullptr || !dtype->is_string() || shape == nullptr || !shape->is_array())
        return fail(ErrorCode::kBadRequest, "a dtype and a shape were expected", fmt::format("{}: /{}", path, name));
      tensor.dtype = dtype->get<std::string>();
      for (const Json& dim : *shape) {
        const auto number = as_u64(dim);
        if (!number) return fail(ErrorCode::kBadRequest, "a shape is a list of numbers", fmt::format("{}: /{}", path, name));
        tensor.dims.push_back(*number);
      }
    }
    out.push_back(std::move(tensor));
  }
  return out;
}

} // namespace

Result<std::vector<Input>> collect_inputs(const Manifest& manifest, const std::vector<std::string>& named, const std::string& catalogue) {
  std::vector<Input> out;
  if (named.size() > kMostNamed)
    return fail(ErrorCode::kBadRequest, fmt::format("{} models; at most {} are tried", named.size(), kMostNamed), "--model");
  for (const std::string& name : named) {
    PLIMSOLL_ASSIGN(Input input, named_input(name, catalogue));
    out.push_back(std::move(input));
  }
  if (!out.empty()) return out;
  std::vector<std::string> files = json_files(fs::path(manifest.directory) / "tests");
  for (const std::string& file : json_files(manifest.directory))
    if (fs::path(file).filename().string().starts_with("config")) files.push_back(file);
  for (const std::string& file : files)
    if (auto config = read_config_file(file); config && out.size() < kMostNamed) out.push_back({file, std::move(*config), true});
  if (out.empty()) out = of_catalogue(manifest, catalogue);
  return out.empty() ? made_of(manifest) : out;
}

Result<std::vector<StoredTensor>> read_stored(const std::string& path) {
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(path));
  if (kind == PathKind::kMissing) return fail(ErrorCode::kBadRequest, "there is no such file or folder", path);
  if (kind != PathKind::kDirectory) return path.ends_with(".safetensors") ? of_files({fs::absolute(path).string()}) : of_json(path);
  std::vector<std::string> shards;
  std::string index;
  std::error_code failed;
  for (fs::directory_iterator it(fs::absolute(path), failed), end; !failed && it != end; it.increment(failed)) {
    if (it->path().extension() == ".safetensors") shards.push_back(it->path().string());
    if (it->path().string().ends_with(".safetensors.index.json")) index = it->path().string();
  }
  std::sort(shards.begin(), shards.end());
  if (!shards.empty()) return of_files(std::move(shards));
  if (!index.empty()) return of_json(index);
  return fail(ErrorCode::kBadRequest, "holds neither safetensors nor an index of them", path);
}

} // namespace plimsoll::check
