#include "host/config_files.hpp"

#include <cstdint>
#include <filesystem>
#include <fmt/format.h>
#include <system_error>
#include <utility>

#include "base/regular_file.hpp"
#include "checkpoint/mistral_params.hpp"
#include "checkpoint/quoted_name.hpp"
#include "host/sentence_modules.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 64ULL << 20;

} // namespace

void ConfigFiles::change(const Json& changes) {
  if (changes.is_null()) return;
  if (changes.contains("quantization_config")) {
    config.erase("quantization_config");
    hf_quant_config.reset();
  }
  config.merge_patch(changes);
}

Result<void> read_named_parts(Json& config, const LocateOptions& options, const std::string& catalogue, const std::string& where) {
  for (const auto& [key, part] : {std::pair("text_model_id", "text_config"), std::pair("audio_model_id", "audio_config")}) {
    const auto id = config.find(key);
    if (id == config.end() || !id->is_string() || config.contains(part)) continue;
    const std::string name = id->get<std::string>();
    const Result<ModelFiles> files = locate_model(name, options);
    if (!files || !files->config_path)
      return fail(ErrorCode::kBadConfig,
                  fmt::format("a part of the model is {}, whose configuration is not here{}; fetch it, or write it into {}",
                              quoted_name(name), files ? "" : ": " + files.error().message, part),
                  fmt::format("{}: /{}", where, key));
    PLIMSOLL_ASSIGN(ConfigFiles named, read_config(*files->config_path, files->hf_quant_config_path, catalogue));
    named.change(files->changes);
    config[part] = std::move(named.config);
  }
  return {};
}

Result<std::optional<std::string>> adapted_model(const std::string& folder) {
  const std::string path = folder + "/adapter_config.json";
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed) || std::filesystem::exists(folder + "/config.json", failed)) return std::nullopt;
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMaxConfigBytes, ErrorCode::kBadConfig));
  PLIMSOLL_ASSIGN(const Json config, parse_json(std::move(text), path, ErrorCode::kBadConfig));
  const Json* const base = find_pointer(config, "/base_model_name_or_path");
  if (base == nullptr || !base->is_string() || base->get_ref<const std::string&>().empty())
    return fail(ErrorCode::kBadConfig, "the name of the model that the adapter changes was expected; plan that model with --lora FOLDER",
                path + ": /base_model_name_or_path");
  return base->get<std::string>();
}

Result<ConfigFiles> read_config(const std::string& path, const std::optional<std::string>& hf_quant_path, const std::string& catalogue,
                                bool with_checkpoint) {
  ConfigFiles files;
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMaxConfigBytes, ErrorCode::kBadConfig));
  PLIMSOLL_ASSIGN(files.config, parse_json(std::move(text), path, ErrorCode::kBadConfig));
  if (!files.config.is_object()) return fail(ErrorCode::kBadConfig, "an object was expected", path);
  if (std::filesystem::path(path).filename() == "params.json") {
    const std::string names_path = catalogue + "/mistral_params.json";
    PLIMSOLL_ASSIGN(std::string names, read_text_file(names_path, kMaxConfigBytes, ErrorCode::kInternal));
    PLIMSOLL_ASSIGN(const Json kinds, parse_json(std::move(names), names_path, ErrorCode::kInternal));
    PLIMSOLL_ASSIGN(files.config, config_of_mistral_params(files.config, kinds, with_checkpoint, path));
  }
  if (files.config.value("schema", Json()) == "plimsoll.model/1") {
    if (files.config.contains("hf_quant_config")) files.hf_quant_config = files.config["hf_quant_config"];
    Json inner = files.config.value("config", Json::object());
    files.config = std::move(inner);
  }
  if (auto modules = read_sentence_modules(path)) {
    if (!files.config.contains("runner")) files.config["runner"] = "pooling";
    files.config["sentence_modules"] = std::move(*modules);
  }
  if (hf_quant_path) {
    PLIMSOLL_ASSIGN(std::string quant, read_text_file(*hf_quant_path, kMaxConfigBytes, ErrorCode::kBadConfig));
    PLIMSOLL_ASSIGN(files.hf_quant_config, parse_json(std::move(quant), *hf_quant_path, ErrorCode::kBadConfig));
  }
  return files;
}

} // namespace plimsoll
