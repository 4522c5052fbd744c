#include "host/sentence_modules.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/regular_file.hpp"
#include "checkpoint/quoted_name.hpp"
#include "plimsoll/program.hpp"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxFileBytes = 1ULL << 20;

// Nothing where it is not there or no JSON.
std::optional<Json> read(const fs::path& path) {
  std::error_code failed;
  if (!fs::is_regular_file(path, failed)) return std::nullopt;
  auto text = read_text_file(path.string(), kMaxFileBytes, ErrorCode::kBadConfig);
  if (!text) return std::nullopt;
  auto json = parse_json(*std::move(text), path.string(), ErrorCode::kBadConfig);
  if (!json) return std::nullopt;
  return std::move(*json);
}

std::string text_of(const Json& from, const char* pointer) {
  const Json* const text = find_pointer(from, pointer);
  return text != nullptr && text->is_string() ? text->get<std::string>() : std::string();
}

Json unsupported(std::string why) { return {{"unsupported", std::move(why)}}; }

// How one module pools. Older files have a switch for each way, of which one is on; newer ones a word.
Json pooling_of(const fs::path& folder, const std::string& module) {
  const fs::path path = folder / module / "config.json";
  if (module.find("..") != std::string::npos || fs::path(module).is_absolute())
    return unsupported(
        fmt::format("{}: the path {} leads out of the model's folder", (folder / "modules.json").string(), quoted_name(module)));
  const std::optional<Json> config = read(path);
  if (!config || !config->is_object())
    return unsupported(fmt::format("{}, which says how vectors are pooled, is not there or no JSON", path.string()));
  struct Way {
    const char* key;
    const char* word;
    RowPooling how;
  };
  constexpr std::array<Way, 6> kWays{{{"/pooling_mode_cls_token", "cls", RowPooling::kFirst},
                                      {"/pooling_mode_mean_tokens", "mean", RowPooling::kMean},
                                      {"/pooling_mode_lasttoken", "lasttoken", RowPooling::kLast},
                                      {"/pooling_mode_max_tokens", "max", RowPooling::kNone},
                                      {"/pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", RowPooling::kNone},
                                      {"/pooling_mode_weightedmean_tokens", "weightedmean", RowPooling::kNone}}};
  std::string found;
  RowPooling how = RowPooling::kNone;
  const std::string word = text_of(*config, "/pooling_mode");
  for (const Way& way : kWays) {
    const Json* const on = find_pointer(*config, way.key);
    if (word.empty() ? on == nullptr || !on->is_boolean() || !on->get<bool>() : word != way.word) continue;
    if (!found.empty())
      return unsupported(fmt::format("{}: two poolings side by side, {} and {}; one is made here", path.string(), found, way.word));
    found = way.word;
    how = way.how;
  }
  if (how != RowPooling::kNone) return {{"pooling", pooling_name(how)}};
  return unsupported(fmt::format("{}: the pooling {} is not made here; cls, mean and lasttoken are", path.string(),
                                 quoted_name(!found.empty() ? found
                                             : word.empty() ? "none"
                                                            : word)));
}

} // namespace

std::optional<Json> read_sentence_modules(const std::string& config_path) {
  const fs::path folder = fs::path(config_path).parent_path();
  const std::optional<Json> modules = read(folder / "modules.json");
  if (!modules || !modules->is_array()) return std::nullopt;
  std::optional<Json> out;
  std::string other;
  bool normalised = false;
  for (const Json& module : *modules) {
    const std::string type = text_of(module, "/type"), name = type.substr(type.rfind('.') + 1);
    if (name == "Pooling" && !out) out = pooling_of(folder, text_of(module, "/path"));
    else if (name == "Normalize") normalised = true;
    else if (name != "Transformer" && other.empty()) other = name;
  }
  if (!out) return std::nullopt;
  if (!other.empty() && !out->contains("unsupported"))
    *out = unsupported(fmt::format("{}: a module {} comes behind the model, which is not run here; Transformer, Pooling and Normalize are",
                                   (folder / "modules.json").string(), quoted_name(other)));
  if (normalised) (*out)["normalised"] = true;
  return out;
}

} // namespace plimsoll
