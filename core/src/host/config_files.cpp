#include "host/config_files.hpp"

#include <cstdint>
#include <utility>

#include "base/regular_file.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 64ULL << 20;

} // namespace

Result<ConfigFiles> read_config(const std::string& path, const std::optional<std::string>& hf_quant_path) {
  ConfigFiles files;
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMaxConfigBytes, ErrorCode::kBadConfig));
  PLIMSOLL_ASSIGN(files.config, parse_json(std::move(text), path, ErrorCode::kBadConfig));
  if (!files.config.is_object()) return fail(ErrorCode::kBadConfig, "an object was expected", path);
  if (files.config.value("schema", Json()) == "plimsoll.model/1") {
    if (files.config.contains("hf_quant_config")) files.hf_quant_config = files.config["hf_quant_config"];
    Json inner = files.config.value("config", Json::object());
    files.config = std::move(inner);
  }
  if (hf_quant_path) {
    PLIMSOLL_ASSIGN(std::string quant, read_text_file(*hf_quant_path, kMaxConfigBytes, ErrorCode::kBadConfig));
    PLIMSOLL_ASSIGN(files.hf_quant_config, parse_json(std::move(quant), *hf_quant_path, ErrorCode::kBadConfig));
  }
  return files;
}

} // namespace plimsoll
