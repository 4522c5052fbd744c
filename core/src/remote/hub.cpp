#include "remote/hub.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>

#include "base/json.hpp"
#include "base/regular_file.hpp"
#include "checkpoint/quoted_name.hpp"
#include "checkpoint/shard_names.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostListed = 100'000, kMostProjectors = 8;
constexpr std::uint64_t kMostTokenBytes = 4'096;

std::string token_path(const LocateOptions& environment) {
  if (const auto path = environment_value(environment, "HF_TOKEN_PATH")) return *path;
  if (const auto home = environment_value(environment, "HF_HOME")) return *home + "/token";
  if (const auto cache = environment_value(environment, "XDG_CACHE_HOME")) return *cache + "/huggingface/token";
  if (const auto home = environment_value(environment, "HOME")) return *home + "/.cache/huggingface/token";
  return {};
}

// Letters that can stand in a header, and no others: whatever a file holds, it adds no header of its own.
bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= 512 && std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string stripped(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

std::string_view name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); } // npos + 1: all of it
std::string_view folder_of(std::string_view path) { return path.substr(0, path.rfind('/') + 1); }

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return out;
}

// A GGUF model of a repository: its parts, and what it is called without number and extension.
struct GgufParts {
  std::string stem;
  std::vector<RepositoryFile> parts;
};

std::vector<GgufParts> gguf_models(const std::vector<RepositoryFile>& files) {
  std::map<std::string, GgufParts> found;
  for (const RepositoryFile& file : files) {
    const std::string_view name = name_of(file.path);
    if (!name.ends_with(".gguf") || name.find("mmproj") != std::string_view::npos || name.find("imatrix") != std::string_view::npos)
      continue;
    const auto shard = parse_shard_name(name);
    std::string stem(shard ? shard->stem : name.substr(0, name.size() - 5));
    while (stem.ends_with('-') || stem.ends_with('_')) stem.pop_back();
    GgufParts& model = found[fmt::format("{}{} {}", folder_of(file.path), stem, shard ? shard->count_text : "")];
    model.stem = std::move(stem);
    model.parts.push_back(file);
  }
  std::vector<GgufParts> out;
  for (auto& [key, model] : found) {
    std::sort(model.parts.begin(), model.parts.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    out.push_back(std::move(model));
  }
  return out;
}

// "Q4_K_M" is the end of "Llama-3.1-8B-Q4_K_M"; a name may also be the tag itself.
bool has_tag(const GgufParts& model, const std::string& tag) {
  const std::string stem = upper(model.stem);
  if (stem == tag) return true;
  return stem.size() > tag.size() && stem.ends_with(tag) &&
         std::string_view("-._").find(stem[stem.size() - tag.size() - 1]) != std::string_view::npos;
}
// Q4_K_M is not UD-Q4_K_M where both are there.
bool is_dynamic(const GgufParts& model, const std::string& tag) { return upper(model.stem).ends_with("UD-" + tag); }

// What tells models of one repository apart: what is left of their names without what all of them begin with.
std::string tags_of(const std::vector<GgufParts>& models) {
  constexpr std::size_t kShown = 12;
  std::string_view common = models.front().stem;
  for (const GgufParts& model : models) {
    std::size_t same = 0;
    while (same < std::min(common.size(), model.stem.size()) && common[same] == model.stem[same]) ++same;
    common = common.substr(0, same);
  }
  const std::size_t cut = common.find_last_of("-."); // npos + 1: nothing
  std::vector<std::string> tags;
  for (std::size_t i = 0; i < std::min(models.size(), kShown); ++i)
    tags.push_back(quoted_name(std::string_view(models[i].stem).substr(cut + 1)));
  return fmt::format("{}{}", fmt::join(tags, ", "), models.size() > kShown ? ", ..." : "");
}

Result<GgufParts> choose_gguf(const RemoteModel& model, const std::vector<GgufParts>& models, const std::string& where) {
  if (model.tag.empty()) {
    if (models.size() == 1) return models.front();
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("the repository has {} GGUF models; give one as hf://{}:TAG, of {}", models.size(), model.repository, tags_of(models)),
        where);
  }
  const std::string tag = upper(model.tag);
  std::vector<GgufParts> fitting;
  for (const GgufParts& one : models)
    if (has_tag(one, tag)) fitting.push_back(one);
  if (fitting.size() > 1)
    fitting.erase(std::remove_if(fitting.begin(), fitting.end(), [&](const GgufParts& one) { return is_dynamic(one, tag); }),
                  fitting.end());
  if (fitting.size() == 1) return fitting.front();
  if (models.empty())
    return fail(ErrorCode::kBadRequest, fmt::format("the repository has no GGUF file, and so none that is {}", model.tag), where);
  if (fitting.empty())
    return fail(ErrorCode::kBadRequest, fmt::format("no GGUF file of the repository is {}; it has {}", model.tag, tags_of(models)), where);
  return fail(ErrorCode::kBadRequest,
              fmt::format("{} GGUF models of the repository are {}; give the URL of one: {}", fitting.size(), model.tag,
                          fitting.front().parts.front().path),
              where);
}

} // namespace

Result<std::string> hub_endpoint(const LocateOptions& environment) {
  std::string endpoint = environment_value(environment, "HF_ENDPOINT").value_or(std::string(kHub));
  while (endpoint.ends_with('/')) endpoint.pop_back();
  const std::size_t host = endpoint.find("://");
  const bool right = (endpoint.starts_with("https://") || endpoint.starts_with("http://")) && endpoint.size() < 512 &&
                     endpoint.find_first_of("@?# \\") == std::string::npos && host + 3 < endpoint.size();
  if (!right)
    return fail(ErrorCode::kBadRequest, "the hub's URL was expected, such as https://huggingface.co, and no credentials in it",
                "HF_ENDPOINT");
  return endpoint;
}

std::string hub_token(const LocateOptions& environment) {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (const auto token = environment_value(environment, name)) return is_token(stripped(*token)) ? stripped(*token) : std::string();
  const std::string path = token_path(environment);
  if (path.empty()) return {};
  const auto text = read_text_file(path, kMostTokenBytes, ErrorCode::kBadRequest);
  if (!text) return {};
  std::string token = stripped(*text);
  return is_token(token) ? token : std::string();
}

std::string token_for(const std::string& url, const RemoteModel& model, const std::string& token) {
  if (!model.is_hub() || !url.starts_with(model.endpoint + "/")) return {};
  const std::string host = host_of(url);
  const bool is_here = host.starts_with("127.0.0.1:") || host.starts_with("localhost:") || host.starts_with("[::1]:");
  return url.starts_with("https://") || is_here ? token : std::string();
}

std::string listing_url(const RemoteModel& model) {
  std::string folder = model.folder;
  if (folder.ends_with('/')) folder.pop_back();
  return fmt::format("{}/api/models/{}/tree/{}{}{}?recursive=true", model.endpoint, model.repository, escaped_path(model.revision, true),
                     folder.empty() ? "" : "/", escaped_path(folder));
}

Result<void> read_listing(std::string text, const std::string& url, std::vector<RepositoryFile>& files) {
  PLIMSOLL_ASSIGN(const Json list, parse_json(std::move(text), url, ErrorCode::kBadRequest));
  if (!list.is_array()) return fail(ErrorCode::kBadRequest, "a list of files was expected; this is no hub, or not at this URL", url);
  for (const Json& entry : list) {
    if (!entry.is_object() || entry.value("type", Json()) != "file") continue;
    const Json path = entry.value("path", Json()), bytes = entry.value("size", Json());
    if (!path.is_string() || !is_safe_path(path.get_ref<const std::string&>())) continue;
    if (files.size() == kMostListed)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("the repository has more than {} files; give the URL of the model's folder", kMostListed), url);
    files.push_back({path.get<std::string>(), as_u64(bytes)});
  }
  return {};
}

Result<Chosen> choose_files(const RemoteModel& model, const std::vector<RepositoryFile>& files) {
  const std::string where = fmt::format("{}/{}/tree/{}", model.endpoint, model.repository, escaped_path(model.revision, true));
  Chosen out;
  std::vector<RepositoryFile> indexes, safetensors;
  bool single = false;
  for (const RepositoryFile& file : files) {
    if (!file.path.starts_with(model.folder)) continue;
    const std::string_view name = std::string_view(file.path).substr(model.folder.size());
    if (name.find('/') != std::string_view::npos) continue;
    if (name == "config.json" || name == "hf_quant_config.json" || name == "modules.json") out.whole.push_back(file);
    else if (name.ends_with(".safetensors.index.json")) indexes.push_back(file);
    else if (name.ends_with(".safetensors")) safetensors.push_back(file);
    single = single || name == "model.safetensors";
  }
  for (const RepositoryFile& file : indexes)
    if (name_of(file.path) == "model.safetensors.index.json" || (indexes.size() == 1 && !single)) out.index = file;
  const std::vector<GgufParts> models = gguf_models(files);
  const bool has_config =
      std::any_of(out.whole.begin(), out.whole.end(), [](const auto& file) { return name_of(file.path) == "config.json"; });
  if (model.tag.empty() && has_config) {
    if (!out.index) out.shards = std::move(safetensors);
    if (out.index || !out.shards.empty() || models.empty()) return out;
  }
  if (model.tag.empty() && models.empty())
    return fail(ErrorCode::kBadConfig, "the repository has neither a config.json nor a GGUF model there; give the URL of one that has",
                where);
  PLIMSOLL_ASSIGN(GgufParts chosen, choose_gguf(model, models, where));
  out = {};
  out.gguf = true;
  const std::string folder(folder_of(chosen.parts.front().path));
  for (const RepositoryFile& file : files) {
    const std::string_view name = name_of(file.path);
    const bool is_beside = folder_of(file.path) == folder || folder_of(file.path) == model.folder;
    if (is_beside && name.ends_with(".gguf") && name.find("mmproj") != std::string_view::npos && out.projectors.size() < kMostProjectors)
      out.projectors.push_back(file);
  }
  out.shards = std::move(chosen.parts);
  return out;
}

} // namespace plimsoll
